"""When a log line was written: the time at its beginning, or in its access-log bracket."""

import re
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from functools import lru_cache

# [2026-11-22 14:16:51,050] of log4j, 2026-11-22T14:16:51.050Z of JSON layouts and journals.
_STAMP = re.compile(r"(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d):(\d\d)(?:[.,](\d{1,9}))?\s?(Z|[+-]\d\d:?\d\d)?")
# 22/Nov/2026:14:16:51 +0000 of web servers.
_ACCESS_STAMP = re.compile(r"(\d\d)/(\w{3})/(\d{4}):(\d\d):(\d\d):(\d\d) ([+-]\d{4})")
_MONTHS = {
    name: number + 1
    for number, name in enumerate(["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"])
}


def moment_in(text: str, zone: tzinfo, end: int | None = None) -> float | None:
    """Seconds since the epoch of the first time in `text[:end]`; None when there is none.

    A time without an offset is one of `zone`; in the hour that a clock goes through twice it is the first.
    """
    found = _STAMP.search(text, 0, len(text) if end is None else end)
    if found is None:
        return _access_moment(text, end)
    day, minute, second, fraction, offset = found.groups()
    try:
        start = _minute(day, minute, offset or "", zone)
    except (ValueError, OverflowError):
        return None
    whole = start + int(second)
    return whole if fraction is None else whole + float(f"0.{fraction}")


def _access_moment(text: str, end: int | None) -> float | None:
    found = _ACCESS_STAMP.search(text, 0, len(text) if end is None else end)
    if found is None or found[2] not in _MONTHS:
        return None
    try:
        at = datetime(
            int(found[3]), _MONTHS[found[2]], int(found[1]), int(found[4]), int(found[5]), int(found[6]), 0, UTC
        )
    except ValueError:
        return None
    return at.timestamp() - _offset(found[7]).total_seconds()


@lru_cache(maxsize=512)
def _minute(day: str, minute: str, offset: str, zone: tzinfo) -> float:
    if offset == "Z":
        zone = UTC
    elif offset:
        zone = timezone(_offset(offset.replace(":", "")))
    return datetime.fromisoformat(f"{day}T{minute}:00").replace(tzinfo=zone).timestamp()


def _offset(text: str) -> timedelta:
    size = timedelta(hours=int(text[1:3]), minutes=int(text[3:5]))
    return -size if text[0] == "-" else size
