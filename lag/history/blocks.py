"""Blocks of history: samples of one series packed into bytes, and back. Pure.

Numbers are kept as integers: seconds in tenths, rates in hundredths, times in milliseconds after the block's start. Columns
are stored as differences and a column that never changes as one value; orjson and deflate do the rest.
"""

import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import orjson

from lag.verdicts import Verdict
from ops_portal.lib.memory import fitted

VERDICTS = tuple(Verdict)
_INDEX = {verdict: index for index, verdict in enumerate(VERDICTS)}
GAP = -1  # in place of a verdict: the group was not read, nothing is known from here on

Number = int | None


class Parts(NamedTuple):
    """Per-partition figures of a topic's sample, in the order of `numbers`."""

    numbers: tuple[int, ...]
    committed: tuple[Number, ...]
    lag: tuple[Number, ...]
    since: tuple[float | None, ...]  # unread since, seconds since the epoch; 0.0 = caught up
    lost: tuple[int, ...] = ()  # records below the log start that were never read; empty = none of any partition


class Sample(NamedTuple):
    """One reading of a series. `since` as in `Parts`; `parts` only for topics. `at` in seconds since the epoch."""

    at: float
    lag: Number = None
    lag_max: Number = None
    since: float | None = None
    produce: float | None = None
    consume: float | None = None
    members: Number = None
    verdict: Verdict | None = None  # None = not read: a gap begins
    parts: Parts | None = None

    def seconds_at(self, at: float) -> float | None:
        return seconds_at(self.since, at)


class Point(NamedTuple):
    """What a step of history shows: the largest lag within it, mean rates, the last member count, the worst verdict."""

    lag: Number = None
    lag_max: Number = None
    seconds: float | None = None
    produce: float | None = None
    consume: float | None = None
    members: Number = None
    verdict: Verdict | None = None
    parts: dict[int, tuple[Number, float | None]] | None = None  # partition -> (lag, seconds)


@dataclass(frozen=True, slots=True)
class Series:
    """Key of a series; topic 0 = the whole group."""

    group_id: int
    topic_id: int = 0


def seconds_at(since: float | None, at: float) -> float | None:
    """Lag in seconds at `at`; 0.0 as `since` means caught up."""
    if since is None:
        return None
    return max(0.0, at - since) if since else 0.0


def gap(at: float) -> Sample:
    return Sample(at)


# --- one poll ------------------------------------------------------------------------------------------------------------
def cycle_row(group_id: int, topic_id: int, sample: Sample) -> bytes:
    """A sample for `cycle_encode`. All of one poll share its time, which is not part of the bytes."""
    return fitted(orjson.dumps([group_id, topic_id, *_plain(sample)]))


def cycle_encode(samples: Iterable[bytes]) -> bytes:
    """Samples of one poll."""
    return zlib.compress(b"[" + b",".join(samples) + b"]", 1)


def cycle_decode(data: bytes, at: float) -> Iterable[tuple[int, int, Sample]]:
    for group_id, topic_id, *plain in orjson.loads(zlib.decompress(data)):
        yield group_id, topic_id, _sample(at, plain)


def _plain(sample: Sample) -> list[Any]:
    verdict = GAP if sample.verdict is None else _INDEX[sample.verdict]
    at = sample.at
    plain: list[Any] = [
        sample.lag, sample.lag_max, _tenths(sample.since, at), _hundredths(sample.produce), _hundredths(sample.consume),
        sample.members, verdict,
    ]  # fmt: skip
    if sample.parts is not None:
        parts = sample.parts
        plain += [parts.numbers, parts.committed, parts.lag, [_tenths(since, at) for since in parts.since]]
        plain += [parts.lost] if any(parts.lost) else []
    return plain


def _sample(at: float, plain: Sequence[Any]) -> Sample:
    lag, lag_max, tenths, produce, consume, members, verdict = plain[:7]
    parts = None
    if len(plain) > 7:
        numbers, committed, part_lag, part_tenths, *more = plain[7:]
        since = tuple(_since(value, at) for value in part_tenths)
        lost = tuple(value or 0 for value in more[0]) if more and any(more[0]) else ()
        parts = Parts(tuple(numbers), tuple(committed), tuple(part_lag), since, lost)
    return Sample(
        at, lag, lag_max, _since(tenths, at), _rate(produce), _rate(consume), members,
        None if verdict == GAP else VERDICTS[verdict], parts,
    )  # fmt: skip


def _tenths(since: float | None, at: float) -> Number:
    """Unread since as tenths of seconds before the reading; -1 = caught up. Exact enough, and small."""
    if since is None:
        return None
    return max(0, round((at - since) * 10)) if since else -1


def _since(tenths: Number, at: float) -> float | None:
    if tenths is None:
        return None
    return 0.0 if tenths < 0 else at - tenths / 10


def _hundredths(rate: float | None) -> Number:
    return None if rate is None else round(rate * 100)


def _rate(hundredths: Number) -> float | None:
    return None if hundredths is None else hundredths / 100


# --- raw blocks: samples of a minute ---------------------------------------------------------------------------------------
def samples_encode(start: float, samples: Sequence[Sample]) -> bytes:
    """Samples of one series within the minute that begins at `start`, oldest first."""
    plain = [_plain(sample) for sample in samples]
    columns: list[Any] = [len(samples), _packed([round((sample.at - start) * 1000) for sample in samples])]
    columns += [_packed([row[index] for row in plain]) for index in range(7)]
    numbers = sorted({number for row in plain if len(row) > 7 for number in row[7]})
    if numbers:
        columns.append(numbers)
        for kind in (8, 9, 10, 11) if any(len(row) > 11 for row in plain) else (8, 9, 10):
            by_sample = [dict(zip(row[7], row[kind], strict=True)) if len(row) > kind else {} for row in plain]
            columns.append([_packed([found.get(number) for found in by_sample]) for number in numbers])
    return _squeeze(columns)


def samples_decode(data: bytes, start: float, *, parts: bool = True) -> list[Sample]:
    """What `samples_encode` packed; without `parts` the partitions are left packed, which is most of the work."""
    count, packed_offsets, *columns = _loosen(data)
    offsets = _unpacked(packed_offsets, count)
    plain = [_unpacked(column, count) for column in columns[:7]]
    numbers, packed_parts = (columns[7], columns[8:12]) if parts and len(columns) > 7 else ([], [])
    per_kind = [list(zip(*(_unpacked(column, count) for column in kind), strict=True)) for kind in packed_parts]
    samples = []
    for index, offset in enumerate(offsets):
        row: list[Any] = [column[index] for column in plain]
        if numbers and row[6] != GAP:
            row += [numbers, *(kind[index] for kind in per_kind)]
        samples.append(_sample(start + (offset or 0) / 1000, row))
    return samples


# --- rolled-up blocks: every point of an hour or a day -----------------------------------------------------------------------
def points_encode(points: Sequence[Point | None]) -> bytes:
    """Every point of a block in order, None = gap."""
    verdicts = [None if point is None or point.verdict is None else _INDEX[point.verdict] for point in points]
    plain = [_plain_point(point) for point in points]
    columns: list[Any] = [_packed([int(point is not None) for point in points]), _packed(verdicts)]
    columns += [_packed([row[index] for row in plain]) for index in range(6)]
    numbers = sorted({number for point in points if point and point.parts for number in point.parts})
    if numbers:
        columns.append(numbers)
        found = [(point.parts or {}) if point else {} for point in points]
        columns.append([_packed([parts.get(number, _NO_PART)[0] for parts in found]) for number in numbers])
        columns.append(
            [_packed([_plain_seconds(parts.get(number, _NO_PART)[1]) for parts in found]) for number in numbers]
        )
    return _squeeze([len(points), *columns])


def _plain_point(point: Point | None) -> list[Number]:
    if point is None:
        return [None] * 6
    rates = _hundredths(point.produce), _hundredths(point.consume)
    return [point.lag, point.lag_max, _plain_seconds(point.seconds), *rates, point.members]


def points_decode(data: bytes, *, parts: bool = True) -> list[Point | None]:
    """What `points_encode` packed, `parts` as in `samples_decode`."""
    count, present, verdicts, *columns = _loosen(data)
    here = _unpacked(present, count)
    verdict = _unpacked(verdicts, count)
    plain = [_unpacked(column, count) for column in columns[:6]]
    numbers, parts_lag, parts_seconds = [], [], []
    if parts and len(columns) > 6:
        numbers = columns[6]
        parts_lag = [_unpacked(column, count) for column in columns[7]]
        parts_seconds = [_unpacked(column, count) for column in columns[8]]
    points: list[Point | None] = []
    for index in range(count):
        if not here[index]:
            points.append(None)
            continue
        lag, lag_max, seconds, produce, consume, members = (column[index] for column in plain)
        by_number = {
            number: (lags[index], _seconds(tenths[index]))
            for number, lags, tenths in zip(numbers, parts_lag, parts_seconds, strict=True)
        }
        number = verdict[index]
        known = None if number is None else VERDICTS[number]
        points.append(
            Point(lag, lag_max, _seconds(seconds), _rate(produce), _rate(consume), members, known, by_number or None)
        )
    return points


_NO_PART: tuple[Number, float | None] = (None, None)


def _plain_seconds(seconds: float | None) -> Number:
    return None if seconds is None else round(seconds * 10)


def _seconds(tenths: Number) -> float | None:
    return None if tenths is None else tenths / 10


# --- columns ---------------------------------------------------------------------------------------------------------------
def _packed(values: list[Number]) -> list[Number]:
    """A constant column as its one value, else the first value and differences to the last known one."""
    first = values[0]
    if values.count(first) == len(values):
        return [first]
    packed: list[Number] = []
    last = 0
    for value in values:
        if value is None:
            packed.append(None)
        else:
            packed.append(value - last)
            last = value
    return packed


def _unpacked(packed: list[Number], count: int) -> list[Number]:
    if len(packed) == 1:
        return packed * count
    values: list[Number] = []
    last = 0
    for value in packed:
        if value is None:
            values.append(None)
        else:
            last += value
            values.append(last)
    return values


# A block is short, so deflate needs a dictionary to find anything in it.
_DICTIONARY = (
    b"null,null,null,null,[[0],[-1],[1],[null],],[,0,0,0,0,0,0,[5000,5001,4999,5000,5000,-1,1,10,50,0],[8],[8],[0],[0],[0],"
    * 2
)


def _squeeze(columns: Any) -> bytes:
    squeezer = zlib.compressobj(6, wbits=-15, zdict=_DICTIONARY)
    return squeezer.compress(orjson.dumps(columns)) + squeezer.flush()


def _loosen(data: bytes) -> Any:
    loosener = zlib.decompressobj(wbits=-15, zdict=_DICTIONARY)
    return orjson.loads(loosener.decompress(data) + loosener.flush())
