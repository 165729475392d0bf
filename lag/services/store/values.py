"""Values as PostgreSQL and JSON take them."""

from typing import Any

import orjson
from psycopg.types.json import Jsonb

from ops_portal.lib.clock import as_datetime

AT_ONCE = 200  # rows made through the ORM: the memory of thousands of its objects never comes back in one piece


def moment(seconds: float | None) -> Any:
    """Seconds since the epoch as a time."""
    return None if seconds is None else as_datetime(seconds)


def milli(value: float | None) -> float | None:
    """Rounded to three digits."""
    return None if value is None else round(value, 3)


def json_text(value: Any) -> str:
    """JSON, for a text column that becomes jsonb."""
    return orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS).decode()


def jsonb(value: Any) -> Any:
    """A jsonb value for COPY."""
    return None if value is None else Jsonb(value)
