"""A histogram with a fixed relative error, so that percentiles of any number of samples need little memory."""

import math
from collections import Counter
from collections.abc import Iterable

_STEPS = 512  # buckets per doubling: a bucket is at most 1/512 of its value wide

RELATIVE_ERROR = 1 / _STEPS


class Histogram:
    """Counts of non-negative samples by bucket. A percentile is exact to `RELATIVE_ERROR` of its value.

    The buckets are those of HdrHistogram: equal steps inside each doubling.
    """

    __slots__ = ("count", "counts", "largest", "smallest", "total", "zeros")

    def __init__(self) -> None:
        self.counts: Counter[int] = Counter()
        self.zeros = 0
        self.count = 0
        self.total = 0.0
        self.smallest = math.inf
        self.largest = -math.inf

    def add(self, value: float) -> None:
        """Counts one sample. Raises ValueError for what is negative or no number."""
        if not 0 <= value < math.inf:
            raise ValueError(f"{value} is no sample")
        self.count += 1
        self.total += value
        self.smallest = min(self.smallest, value)
        self.largest = max(self.largest, value)
        if value == 0:
            self.zeros += 1
            return
        fraction, exponent = math.frexp(value)  # value = fraction * 2**exponent, fraction in [0.5, 1)
        self.counts[exponent * _STEPS + int((fraction - 0.5) * 2 * _STEPS)] += 1

    def percentile(self, percent: float) -> float | None:
        """The smallest value that at least `percent` of all samples do not exceed (nearest rank); None without samples."""
        if not self.count:
            return None
        rank = max(1, math.ceil(self.count * percent / 100 - 1e-9))
        if rank >= self.count:
            return self.largest
        seen = self.zeros
        if rank <= seen:
            return 0.0
        for bucket in sorted(self.counts):
            seen += self.counts[bucket]
            if seen >= rank:
                return min(self.largest, max(self.smallest, _middle(bucket)))
        return self.largest

    @property
    def mean(self) -> float | None:
        """Arithmetic mean of the samples; None without any."""
        return self.total / self.count if self.count else None


def merged(parts: Iterable[Histogram]) -> Histogram:
    """One histogram of all samples of `parts`."""
    whole = Histogram()
    for part in parts:
        whole.counts.update(part.counts)
        whole.zeros += part.zeros
        whole.count += part.count
        whole.total += part.total
        whole.smallest = min(whole.smallest, part.smallest)
        whole.largest = max(whole.largest, part.largest)
    return whole


def _middle(bucket: int) -> float:
    exponent, step = divmod(bucket, _STEPS)
    return math.ldexp(0.5 + (step + 0.5) / (2 * _STEPS), exponent)
