"""Opaque cursors of lists: where the next page starts, signed and tied to the filter and sort it was made for."""

import base64
import binascii
import hashlib
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import orjson
from django.conf import settings

T = TypeVar("T")
_TAG_BYTES = 9


class CursorRefused(Exception):
    """The cursor is not one of ours, or was made for another filter, sort or caller."""


def encode(position: Any, *tied_to: Any) -> str:
    """A cursor for `position` (JSON values); it decodes with the same `tied_to` (JSON values) only."""
    body = orjson.dumps(position)
    return base64.urlsafe_b64encode(_tag(body, tied_to) + body).decode().rstrip("=")


def decode(text: str, *tied_to: Any) -> Any:
    """The position in a cursor. Raises CursorRefused."""
    try:
        raw = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
    except (ValueError, binascii.Error):
        raise CursorRefused("not a cursor") from None
    tag, body = raw[:_TAG_BYTES], raw[_TAG_BYTES:]
    if not hmac.compare_digest(tag, _tag(body, tied_to)):
        raise CursorRefused("made for another filter or sort")
    return orjson.loads(body)


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a list. `total` counts the whole list."""

    items: Sequence[T]
    next_cursor: str | None
    total: int


def page(rows: Sequence[T], limit: int, cursor: str | None, *tied_to: Any) -> Page[T]:
    """The page of a list already in order and in memory. Raises CursorRefused."""
    start = offset(cursor, *tied_to)
    end = start + limit
    return Page(rows[start:end], encode(end, *tied_to) if end < len(rows) else None, len(rows))


def offset(cursor: str | None, *tied_to: Any) -> int:
    """Where in a list the page of this cursor begins. Raises CursorRefused."""
    if cursor is None:
        return 0
    start = decode(cursor, *tied_to)
    if not isinstance(start, int) or start < 0:
        raise CursorRefused("not a cursor of this list")
    return start


def _tag(body: bytes, tied_to: Sequence[Any]) -> bytes:
    message = orjson.dumps(tied_to, option=orjson.OPT_SORT_KEYS) + b"\0" + body
    return hmac.new(settings.SECRET_KEY.encode(), b"cursor\0" + message, hashlib.sha256).digest()[:_TAG_BYTES]
