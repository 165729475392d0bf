"""The page's order of certificates: a tree of trust, each branch by its end, and where on the time axis each ends. Pure but for rows."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import log1p

from clusters.chains import ChainVerdict
from clusters.expiry import Band, Policy, steps
from clusters.selectors.certificates import CertificateRow

AXIS_DAYS = 3650.0
WIDTH = 1000.0
_TICKS = ((0, "now"), (7, "7 d"), (30, "30 d"), (90, "90 d"), (365, "1 y"), (1095, "3 y"), (3650, "10 y"))
_DEEPEST = 6


@dataclass(frozen=True, slots=True)
class Shade:
    """A band on the time axis, in units of its width."""

    band: str
    x: float
    width: float


@dataclass(frozen=True, slots=True)
class Node:
    """One line of the tree. `depth` is its indent, `x` where it ends on the axis."""

    row: CertificateRow
    depth: int
    x: float
    shades: tuple[Shade, ...]
    beyond: bool

    @property
    def bad(self) -> bool:
        return self.row.verdict not in {ChainVerdict.OK, ChainVerdict.UNVERIFIED}

    @property
    def urgent(self) -> bool:
        return self.row.band not in {Band.OK, Band.UNKNOWN}


@dataclass(frozen=True, slots=True)
class Tick:
    x: float
    label: str
    percent: float


def place(days: float) -> float:
    """Where on the axis so many days from now lie: near days get most of it."""
    return round(WIDTH * log1p(min(max(days, 0.0), AXIS_DAYS) / 5) / log1p(AXIS_DAYS / 5), 1)


def ticks() -> list[Tick]:
    return [Tick(place(days), label, round(place(days) / WIDTH * 100, 1)) for days, label in _TICKS]


def tree_of(rows: Sequence[CertificateRow]) -> list[Node]:
    """Every row once: roots first, each followed by what it signed; what has no known issuer stands at the end."""
    by_print = {(row.cluster, row.fingerprint): row for row in rows if row.fingerprint}
    below: dict[tuple[str, str], list[CertificateRow]] = {}
    tops = []
    for row in rows:
        if row.parent and (row.cluster, row.parent) in by_print and row.parent != row.fingerprint:
            below.setdefault((row.cluster, row.parent), []).append(row)
        else:
            tops.append(row)
    tops.sort(key=lambda row: (row.cluster, not row.kind.is_authority, row.not_after))
    seen: set[int] = set()
    found = [node for top in tops for node in _branch(top, 0, below, seen)]
    found += [node for row in rows if row.id not in seen for node in _branch(row, 0, {}, seen)]
    return found


def _branch(
    row: CertificateRow, depth: int, below: dict[tuple[str, str], list[CertificateRow]], seen: set[int]
) -> Iterator[Node]:
    if row.id in seen:
        return
    seen.add(row.id)
    yield Node(row, min(depth, _DEEPEST), place(row.days_left), tuple(_shades(row)), row.days_left > AXIS_DAYS)
    for child in sorted(
        below.get((row.cluster, row.fingerprint or ""), ()), key=lambda one: (not one.kind.is_authority, one.not_after)
    ):
        yield from _branch(child, depth + 1, below, seen)


def _shades(row: CertificateRow) -> Iterable[Shade]:
    """The days before its end in which each band will hold, as far as they lie ahead."""
    lifetime = (row.not_after - row.not_before).total_seconds() / 86_400
    found = steps(Policy(row.rotate_days, row.alarm_days), lifetime)
    edges = [(row.days_left - step.days, step.band) for step in found] + [(row.days_left, Band.OK)]
    for (begins, band), (ends, _) in itertools.pairwise(edges):
        left, right = place(begins), place(ends)
        if right > left:
            yield Shade("warning" if band is Band.ROTATE else "critical", left, round(right - left, 1))
