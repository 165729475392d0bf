"""Geometry of the crash view: members as lanes, partitions as segments that change lanes at a rebalance, commits as ticks. Pure."""

from collections.abc import Callable
from dataclasses import dataclass

from lag.crash import Crash, Resumption, Window

Place = Callable[[float], float]  # epoch seconds -> x
WIDTH = 900.0
LABEL = 190.0  # left of the time axis
ROW = 16.0
TOP = 47.0  # two lines of labels above the first lane: times that follow at once would be written over each other
MOST_ROWS = 24
STOOD_SECONDS = 60.0  # a last commit that was older than this at the loss stands at the edge


@dataclass(frozen=True, slots=True)
class Mark:
    """Something at a place on the axis; `width` 0 = a moment."""

    x: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class Lane:
    """One partition: held by the lost member until `lost`, by nobody until `resumed`, then by another."""

    y: float
    name: str
    held: Mark
    gap: Mark
    resumed: Mark | None
    last_commit: Mark | None
    first_commit: Mark | None
    reread: str
    skipped: str

    @property
    def commits(self) -> tuple[Mark, ...]:
        return tuple(mark for mark in (self.last_commit, self.first_commit) if mark is not None)


@dataclass(frozen=True, slots=True)
class Diagram:
    height: float
    lanes: tuple[Lane, ...]
    windows: tuple[Mark, ...]
    moments: tuple[Mark, ...]
    hidden: int  # partitions beyond the ones drawn

    @property
    def width(self) -> float:
        return WIDTH

    @property
    def label_width(self) -> float:
        return LABEL


def lane_diagram(crash: Crash) -> Diagram:
    """Places of everything in one crash on a common axis; partitions with most to tell first, at most 24."""
    start, end = _span(crash)
    scale = (WIDTH - LABEL - 10) / max(1.0, end - start)

    def x(at: float) -> float:
        return round(LABEL + (min(max(at, start), end) - start) * scale, 1)

    ranked = sorted(
        crash.partitions, key=lambda row: (-(row.skipped or 0), -(row.reread_at_most or 0), row.topic, row.partition)
    )
    lanes = tuple(_lane(row, crash, TOP + index * ROW, x, end) for index, row in enumerate(ranked[:MOST_ROWS]))
    windows = [_window(crash.lost, "lost", x)]
    if crash.rebalanced:
        windows.append(_window(crash.rebalanced, "rebalanced", x))
    if crash.recovered:
        windows.append(_window(crash.recovered, "back to normal", x))
    moments = [Mark(x(crash.detected_at), 0, "detected")]
    if crash.lag_peak_at is not None:
        moments.append(Mark(x(crash.lag_peak_at), 0, "lag peak"))
    height = TOP + len(lanes) * ROW + 8
    return Diagram(height, lanes, tuple(windows), tuple(moments), max(0, len(ranked) - MOST_ROWS))


def _span(crash: Crash) -> tuple[float, float]:
    times = [crash.lost.earliest, crash.lost.latest, crash.detected_at]
    times += [
        at for row in crash.partitions for at in (row.last_commit_read_at, row.first_commit_read_at) if at is not None
    ]
    seen = [row.last_commit_seen_at for row in crash.partitions if row.last_commit_seen_at is not None]
    times += [at for at in seen if at >= crash.lost.earliest - STOOD_SECONDS]
    times += [window.latest for window in (crash.rebalanced, crash.recovered) if window is not None]
    times += [crash.lag_peak_at] if crash.lag_peak_at is not None else []
    room = max(5.0, (max(times) - min(times)) * 0.06)
    return min(times) - room, max(times) + room


def _lane(row: Resumption, crash: Crash, y: float, x: Place, end: float) -> Lane:
    lost = x(crash.lost.latest)
    resumed_at = row.first_commit_read_at or next(
        (window.latest for window in (crash.rebalanced, crash.recovered) if window is not None), None
    )
    until = x(resumed_at) if resumed_at is not None else x(end)
    return Lane(
        y=y,
        name=f"{row.topic}/{row.partition}",
        held=Mark(LABEL, max(0.0, round(lost - LABEL, 1)), "held by the lost member"),
        gap=Mark(lost, max(0.0, round(until - lost, 1)), "no commit seen"),
        resumed=Mark(until, max(0.0, round(x(end) - until, 1)), "read again") if resumed_at is not None else None,
        last_commit=_commit(row.last_commit, row.last_commit_seen_at or row.last_commit_read_at, "last commit", x),
        first_commit=_commit(row.first_commit, row.first_commit_read_at, "first commit after", x),
        reread=f"at most {row.reread_at_most} read twice" if row.reread_at_most else "",
        skipped=f"{row.skipped} skipped" if row.skipped else "",
    )


def _commit(offset: int | None, at: float | None, word: str, x: Place) -> Mark | None:
    return None if offset is None or at is None else Mark(x(at), 0, f"{word} {offset}")


def _window(window: Window, label: str, x: Place) -> Mark:
    left = x(window.earliest)
    return Mark(left, max(1.5, round(x(window.latest) - left, 1)), label)
