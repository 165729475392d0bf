"""Samples over time, in at most 1,000 slots whatever the length of the run."""

from collections.abc import Iterator

from clusters.load_tests.histogram import Histogram, merged

MOST_SLOTS = 1000


class Timeline:
    """Histograms by slot of time. Slots are one second wide and double whenever there would be more than `MOST_SLOTS`."""

    __slots__ = ("interval", "slots")

    def __init__(self) -> None:
        self.interval = 1  # seconds
        self.slots: dict[int, Histogram] = {}

    def add(self, moment: float, value: float) -> None:
        """Counts `value` at `moment` (seconds since epoch, in any order). Raises ValueError for no sample."""
        slot = int(moment // self.interval)
        histogram = self.slots.get(slot)
        if histogram is None:
            histogram = Histogram()
            histogram.add(value)
            self.slots[slot] = histogram
            if len(self.slots) > MOST_SLOTS:
                self._widen()
        else:
            histogram.add(value)

    def whole(self) -> Histogram:
        """All samples in one histogram."""
        return merged(self.slots.values())

    def rows(self) -> Iterator[tuple[int, Histogram]]:
        """(start of the slot in seconds since epoch, its samples), oldest first; slots without samples are left out."""
        for slot in sorted(self.slots):
            yield slot * self.interval, self.slots[slot]

    @property
    def span(self) -> tuple[int, int] | None:
        """[start of the first slot, end of the last one); None without samples."""
        if not self.slots:
            return None
        return min(self.slots) * self.interval, (max(self.slots) + 1) * self.interval

    def _widen(self) -> None:
        while len(self.slots) > MOST_SLOTS:
            self.interval *= 2
            pairs: dict[int, list[Histogram]] = {}
            for slot, histogram in self.slots.items():
                pairs.setdefault(slot // 2, []).append(histogram)
            self.slots = {slot: parts[0] if len(parts) == 1 else merged(parts) for slot, parts in pairs.items()}
