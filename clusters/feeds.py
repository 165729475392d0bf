"""Calendar (RFC 5545) and CSV (RFC 4180) of certificates and keys, as bytes. Pure."""

import csv
import io
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

_FORMULA = ("=", "+", "-", "@", "\t", "\r")
_FOLD = 75  # octets of a line, without its end


@dataclass(frozen=True, slots=True)
class Event:
    """One whole day. `uid` stays the same for the life of the event; a cancelled one is taken off people's calendars."""

    uid: str
    day: date
    title: str
    text: str
    cancelled: bool = False


def calendar(name: str, events: Iterable[Event], stamp: datetime) -> bytes:
    """The events as one iCalendar object."""
    lines = [
        "BEGIN:VCALENDAR", "VERSION:2.0", "PRODID:-//Ops Portal//Certificates//EN", "CALSCALE:GREGORIAN",
        f"X-WR-CALNAME:{_escaped(name)}", "REFRESH-INTERVAL;VALUE=DURATION:PT1H", "X-PUBLISHED-TTL:PT1H",
    ]  # fmt: skip
    for event in events:
        lines += _event(event, stamp)
    lines.append("END:VCALENDAR")
    return b"".join(_folded(line) for line in lines)


def _event(event: Event, stamp: datetime) -> list[str]:
    return [
        "BEGIN:VEVENT",
        f"UID:{_escaped(event.uid)}",
        f"DTSTAMP:{stamp.astimezone(UTC):%Y%m%dT%H%M%SZ}",
        f"DTSTART;VALUE=DATE:{event.day:%Y%m%d}",
        f"DTEND;VALUE=DATE:{_next(event.day):%Y%m%d}",
        f"SEQUENCE:{int(event.cancelled)}",
        f"STATUS:{'CANCELLED' if event.cancelled else 'CONFIRMED'}",
        f"SUMMARY:{_escaped(event.title)}",
        f"DESCRIPTION:{_escaped(event.text)}",
        "TRANSP:TRANSPARENT",
        "END:VEVENT",
    ]


def _next(day: date) -> date:
    return day if day == date.max else day + timedelta(days=1)


def _escaped(text: str) -> str:
    clean = "".join(char for char in text if char >= " " or char in "\n\t")
    return clean.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,").replace("\n", "\\n")


def _folded(line: str) -> bytes:
    """The line cut into pieces of at most 75 octets, never within a character, each further one begun with a space."""
    pieces, piece, size = [], b"", 0
    for char in line:
        raw = char.encode("utf-8", "replace")
        if size + len(raw) > _FOLD:
            pieces.append(piece)
            piece, size = b" ", 1
        piece += raw
        size += len(raw)
    return b"\r\n".join([*pieces, piece]) + b"\r\n"


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> bytes:
    """CSV in UTF-8 with CRLF. Unknown is empty, and no text is taken for a formula by a spreadsheet."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    writer.writerow(header)
    writer.writerows([_cell(value) for value in row] for row in rows)
    return out.getvalue().encode("utf-8", "replace")


def _cell(value: object) -> object:
    if value is None:
        return ""
    if isinstance(value, list | tuple):
        value = " ".join(str(one) for one in value)
    if isinstance(value, str) and value.startswith(_FORMULA):
        return f"'{value}"
    return value
