"""Samples over time, in at most 1,000 slots whatever the length of the run."""

import math
from collections.abc import Iterator

from clusters.load_tests.histogram import COARSE, Histogram, bucket_of, merged

MOST_SLOTS = 1000


class Timeline:
    """Histograms by slot of time, and a finer one of all. Slots are one second wide and double when there are too many.

    A slot's percentiles are exact to 1.6 %: a thousand finer histograms would take hundreds of megabytes.
    """

    __slots__ = ("first", "fractions", "interval", "last", "slots", "whole")

    def __init__(self) -> None:
        self.interval = 1  # seconds
        self.slots: dict[int, Histogram] = {}
        self.whole = Histogram()  # of all samples
        self.first, self.last = math.inf, -math.inf
        self.fractions = False  # moments are finer than a second

    def add(self, moment: float, value: float) -> None:
        """Counts `value` at `moment` (seconds since epoch, in any order). Raises ValueError for no sample."""
        bucket = bucket_of(value)
        self.whole.tally(value, bucket)
        slot = int(moment // self.interval)
        histogram = self.slots.get(slot)
        if histogram is None:
            histogram = self.slots[slot] = Histogram(COARSE)
            histogram.tally(value, bucket)
            if len(self.slots) > MOST_SLOTS:
                self._widen()
        else:
            histogram.tally(value, bucket)
        if moment < self.first:
            self.first = moment
        if moment > self.last:
            self.last = moment
        if not self.fractions and moment % 1:
            self.fractions = True

    def rows(self) -> Iterator[tuple[int, Histogram]]:
        """(start of the slot in seconds since epoch, its samples), oldest first; slots without samples are left out."""
        for slot in sorted(self.slots):
            yield slot * self.interval, self.slots[slot]

    @property
    def span(self) -> tuple[float, float] | None:
        """From the first to the last sample, at least a second; None without samples.

        Where moments are whole seconds the last second counts whole: a rate over the span is then at most too low.
        """
        if not self.slots:
            return None
        return self.first, max(self.last if self.fractions else self.last + 1, self.first + 1)

    def _widen(self) -> None:
        while len(self.slots) > MOST_SLOTS:
            self.interval *= 2
            pairs: dict[int, list[Histogram]] = {}
            for slot, histogram in self.slots.items():
                pairs.setdefault(slot // 2, []).append(histogram)
            self.slots = {slot: parts[0] if len(parts) == 1 else merged(parts, COARSE) for slot, parts in pairs.items()}
