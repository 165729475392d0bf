"""From samples to steps of a chart: what held at each poll, and the largest, mean and worst of it. Pure."""

from collections.abc import Iterable, Sequence
from typing import TypeVar

from lag.history.blocks import Number, Point, Sample

_Number = TypeVar("_Number", int, float)


def held(samples: Sequence[Sample], polls: Iterable[float]) -> Iterable[tuple[float, Sample]]:
    """(time, the sample that held then) for each poll; polls before the first sample and within gaps are left out.

    `samples` and `polls` come oldest first. A sample's time may differ from its poll's by the rounding to milliseconds.
    """
    index, last = 0, None
    for at in polls:
        while index < len(samples) and samples[index].at <= at + 0.002:
            last = samples[index]
            index += 1
        if last is not None and last.verdict is not None:
            yield at, last


def stepped(samples: Sequence[Sample], polls: Iterable[float], step: float) -> dict[int, Point]:
    """Points by number of the step since the epoch; steps in which nothing was read are absent."""
    found: dict[int, list[tuple[float, Sample]]] = {}
    for at, sample in held(samples, polls):
        found.setdefault(int(at // step), []).append((at, sample))
    return {number: point_of_samples(rows) for number, rows in found.items()}


def point_of_samples(rows: Sequence[tuple[float, Sample]]) -> Point:
    """One step of what held at its polls."""
    at, last = rows[-1]
    if all(sample is last for _, sample in rows):
        return _point(last, at)
    return point_of_points([_point(sample, then) for then, sample in rows])


def _point(sample: Sample, at: float) -> Point:
    parts = None
    if sample.parts is not None:
        parts = {
            number: (lag, max(0.0, at - since) if since else since)
            for number, lag, since in zip(sample.parts.numbers, sample.parts.lag, sample.parts.since, strict=True)
        }
    return Point(
        sample.lag,
        sample.lag_max,
        sample.seconds_at(at),
        sample.produce,
        sample.consume,
        sample.members,
        sample.verdict,
        parts,
    )


def point_of_points(points: Sequence[Point]) -> Point:
    """One step out of finer ones: the largest lags, mean rates, the last members, the worst verdict."""
    if len(points) == 1:
        return points[0]
    verdicts = [point.verdict for point in points if point.verdict is not None]
    parts: dict[int, tuple[Number, float | None]] = {}
    for point in points:
        for number, (lag, seconds) in (point.parts or {}).items():
            known = parts.get(number)
            parts[number] = (lag, seconds) if known is None else (_larger(known[0], lag), _larger(known[1], seconds))
    return Point(
        _largest(point.lag for point in points),
        _largest(point.lag_max for point in points),
        _largest(point.seconds for point in points),
        _mean([point.produce for point in points if point.produce is not None]),
        _mean([point.consume for point in points if point.consume is not None]),
        next((point.members for point in reversed(points) if point.members is not None), None),
        min(verdicts, key=lambda verdict: verdict.severity, default=None) if verdicts else None,
        parts or None,
    )


def _largest(values: Iterable[_Number | None]) -> _Number | None:
    return max((value for value in values if value is not None), default=None)


def _larger(one: _Number | None, other: _Number | None) -> _Number | None:
    return other if one is None else one if other is None else max(one, other)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None
