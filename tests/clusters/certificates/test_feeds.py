"""Calendar and table are read back, without loss, by parsers that are not ours."""

import csv
import io
from datetime import UTC, date, datetime
from typing import Any

import icalendar
from hypothesis import given
from hypothesis import strategies as st

from clusters.feeds import Event, calendar, table

STAMP = datetime(2026, 6, 1, 12, tzinfo=UTC)
_TEXT = st.text(st.characters(blacklist_categories=["Cs", "Cc"]), max_size=200)


def events(raw: bytes) -> list[Any]:
    found = icalendar.Calendar.from_ical(raw)
    assert found["VERSION"] == "2.0"
    return list(found.walk("VEVENT"))


def test_an_event_is_a_whole_day_with_a_lasting_id() -> None:
    raw = calendar("Certificates", [Event("a@x", date(2028, 2, 29), "kafka-1; expires, soon", "one\ntwo\\")], STAMP)
    (event,) = events(raw)
    assert (event["UID"], event["SUMMARY"], event["DESCRIPTION"]) == ("a@x", "kafka-1; expires, soon", "one\ntwo\\")
    assert (event["DTSTART"].dt, event["DTEND"].dt) == (date(2028, 2, 29), date(2028, 3, 1))
    assert event["DTSTAMP"].dt == STAMP
    assert (event["STATUS"], event["SEQUENCE"]) == ("CONFIRMED", 0)


def test_what_was_rotated_is_cancelled_under_the_same_id() -> None:
    (event,) = events(calendar("x", [Event("a@x", date(2028, 1, 1), "t", "", cancelled=True)], STAMP))
    assert (event["UID"], event["STATUS"], event["SEQUENCE"]) == ("a@x", "CANCELLED", 1)


def test_the_last_day_there_is() -> None:
    (event,) = events(calendar("x", [Event("a@x", date(9999, 12, 31), "t", "")], STAMP))
    assert event["DTSTART"].dt == date(9999, 12, 31)


@given(_TEXT, _TEXT, _TEXT)
def test_any_text_comes_back_from_the_calendar(name: str, title: str, text: str) -> None:
    raw = calendar(name, [Event("a@x", date(2027, 1, 1), title, text)], STAMP)
    assert all(len(line) <= 75 for line in raw.split(b"\r\n"))
    (event,) = events(raw)
    assert (str(event["SUMMARY"]), str(event["DESCRIPTION"])) == (title, text)


@given(st.lists(st.lists(_TEXT, min_size=3, max_size=3), max_size=8))
def test_any_text_comes_back_from_the_table(rows: list[list[str]]) -> None:
    found = list(csv.reader(io.StringIO(table(("a", "b", "c"), rows).decode(), newline="")))
    assert found[0] == ["a", "b", "c"]
    assert [
        [cell.removeprefix("'") if cell[1:2] in {"=", "+", "-", "@"} else cell for cell in row] for row in found[1:]
    ] == rows


def test_no_cell_is_a_formula_and_unknown_is_empty() -> None:
    raw = table(("a", "b", "c", "d"), [["=1+1", None, ["x:1", "y:2"], -3.5]])
    assert raw == b"a,b,c,d\r\n'=1+1,,x:1 y:2,-3.5\r\n"
