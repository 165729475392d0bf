"""Rows, deltas and how they are put together; pure.

A delta row is `[key, changed-column bitmask, values...]`, bit i for column i, values in column order. Values are absolute.
A row that is new to the reader has every bit set.

Time column. Most rows of a view are read together, so their time is the view's source time `ts` and moves with every poll.
A reader therefore first moves the time of every row whose time equals the old `ts` on to the new one, then applies the
delta; a delta names a row's time only where that guess is wrong.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import orjson

from ops_portal.lib.clock import as_datetime, iso
from ops_portal.lib.live.views import Snapshot, View

FOLLOWS = True  # in a stored row: the time is the view's own source time


@dataclass(frozen=True, slots=True)
class Delta:
    """What changed from one sequence number to another, rows in wire form."""

    rows: list[list[Any]]
    deleted: list[str]

    def __bool__(self) -> bool:
        return bool(self.rows or self.deleted)


@dataclass(slots=True)
class Table:
    """A reader's copy of a view: rows in wire form. `ts` is the source time in seconds, None when there never was one."""

    columns: tuple[str, ...]
    time_index: int | None
    ts: float | None = None
    rows: dict[str, list[Any]] = field(default_factory=dict)

    def apply(
        self,
        ts: float | None,
        delta_rows: Iterable[Sequence[Any]],
        deleted: Iterable[str],
    ) -> None:
        """Bring the copy to `ts`. The caller has checked that the delta follows what it holds."""
        self._follow(ts)
        for key in deleted:
            self.rows.pop(key, None)
        for key, mask, *values in delta_rows:
            row = self.rows.get(key)
            if row is None:
                row = self.rows[key] = [None] * len(self.columns)
            position = 0
            for index in range(len(row)):
                if mask >> index & 1:
                    row[index] = values[position]
                    position += 1

    def _follow(self, ts: float | None) -> None:
        if self.time_index is not None and self.ts is not None and ts != self.ts:
            old, new = wire_time(self.ts), wire_time(ts)
            for row in self.rows.values():
                if row[self.time_index] == old:
                    row[self.time_index] = new
        self.ts = ts


def wire_time(seconds: float | None) -> str | None:
    """ISO 8601 with milliseconds, as every interface writes times."""
    return None if seconds is None else iso(as_datetime(seconds))


def source_time(snapshot: Snapshot) -> float | None:
    """The snapshot's source time as it travels: whole milliseconds, so that both ends write the same text."""
    return None if snapshot.source_at is None else _whole(snapshot.source_at)


def _whole(seconds: float) -> float:
    """Without what is finer than a millisecond, which no interface writes."""
    moment = as_datetime(seconds)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000).timestamp()


def stored_rows(view: View, snapshot: Snapshot) -> dict[str, bytes]:
    """Row key -> encoded row, the form in which two states are compared and kept in the store."""
    index, source_at = view.time_index, source_time(snapshot)
    width = len(view.columns)
    stored: dict[str, bytes] = {}
    for key, row in snapshot.rows.items():
        if len(row) != width:
            raise ValueError(f"a row of {view.name} has {len(row)} values for {width} columns")
        if index is not None:
            row = [*row]
            at = row[index]
            row[index] = FOLLOWS if at is not None and _whole(at) == source_at else wire_time(at)
        stored[key] = orjson.dumps(row)
    return stored


def wire_row(stored: bytes, time_index: int | None, ts: float | None) -> list[Any]:
    """A stored row as readers see it at source time `ts`."""
    row: list[Any] = orjson.loads(stored)
    if time_index is not None and row[time_index] is FOLLOWS:
        row[time_index] = wire_time(ts)
    return row


def difference(
    view: View,
    before: Mapping[str, bytes],
    after: Mapping[str, bytes],
    ts: float | None,
) -> Delta:
    """What a reader of `before` needs to hold `after`, whose source time is `ts`."""
    time_index, everything = view.time_index, (1 << len(view.columns)) - 1
    rows: list[list[Any]] = []
    for key, encoded in after.items():
        old = before.get(key)
        if old == encoded:
            continue
        new_row = wire_row(encoded, time_index, ts)
        if old is None:
            rows.append([key, everything, *new_row])
            continue
        old_values, new_values = orjson.loads(old), orjson.loads(encoded)
        mask, values = 0, []
        for index, value in enumerate(new_row):
            if not _same(old_values[index], new_values[index]):
                mask |= 1 << index
                values.append(value)
        if mask:
            rows.append([key, mask, *values])
    return Delta(rows, [key for key in before if key not in after])


def merge(
    deltas: Iterable[tuple[Iterable[Sequence[Any]], Iterable[str]]],
    now: Mapping[str, Sequence[Any]],
) -> Delta:
    """One delta for several in a row: the columns any of them changed, with the values of `now`, the state after the last."""
    masks: dict[str, int] = {}
    for delta_rows, deleted in deltas:
        for key in deleted:
            masks[key] = 0
        for key, mask, *_ in delta_rows:
            masks[key] = masks.get(key, 0) | mask
    rows = [
        [
            key,
            mask,
            *(value for index, value in enumerate(now[key]) if mask >> index & 1),
        ]
        for key, mask in masks.items()
        if key in now
    ]
    return Delta(rows, [key for key in masks if key not in now])


def _same(left: Any, right: Any) -> bool:
    """Equal as JSON: Python alone would take true for 1."""
    return type(left) is type(right) and bool(left == right)
