"""A histogram with a fixed relative error, so that percentiles of any number of samples need little memory."""

import math
from collections import Counter
from collections.abc import Iterable

_STEPS = 512  # buckets per doubling: a bucket is at most 1/512 of its value wide

RELATIVE_ERROR = 1 / _STEPS
LARGEST = 1e15  # of a sample, so that no sum of samples is infinite
COARSE = 3  # shift of histograms of which there are many: 64 buckets per doubling


class Histogram:
    """Counts of non-negative samples by bucket. A percentile is exact to `RELATIVE_ERROR * 2**shift` of its value.

    The buckets are those of HdrHistogram: equal steps inside each doubling.
    """

    __slots__ = ("count", "counts", "largest", "shift", "smallest", "total", "zeros")

    def __init__(self, shift: int = 0) -> None:
        self.shift = shift
        self.counts: Counter[int] = Counter()
        self.zeros = 0
        self.count = 0
        self.total = 0.0
        self.smallest = math.inf
        self.largest = -math.inf

    def add(self, value: float) -> None:
        """Counts one sample. Raises ValueError for what is negative or no number."""
        self.tally(value, bucket_of(value))

    def tally(self, value: float, bucket: int | None) -> None:
        """Counts one sample whose `bucket_of` is known."""
        self.count += 1
        self.total += value
        if value < self.smallest:
            self.smallest = value
        if value > self.largest:
            self.largest = value
        if bucket is None:
            self.zeros += 1
        else:
            self.counts[bucket >> self.shift] += 1

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
                return min(self.largest, max(self.smallest, self._middle(bucket)))
        return self.largest

    @property
    def mean(self) -> float | None:
        """Arithmetic mean of the samples; None without any."""
        return self.total / self.count if self.count else None

    def _middle(self, bucket: int) -> float:
        steps = _STEPS >> self.shift
        exponent, step = divmod(bucket, steps)
        return math.ldexp(0.5 + (step + 0.5) / (2 * steps), exponent)


def bucket_of(value: float) -> int | None:
    """The finest bucket of a sample, None for zero. Raises ValueError for what is negative, beyond measure or no number."""
    if not 0 <= value < LARGEST:
        raise ValueError(f"{value} is no sample")
    if value == 0:
        return None
    fraction, exponent = math.frexp(value)  # value = fraction * 2**exponent, fraction in [0.5, 1)
    return exponent * _STEPS + int((fraction - 0.5) * 2 * _STEPS)


def merged(parts: Iterable[Histogram], shift: int = 0) -> Histogram:
    """One histogram of all samples of `parts`, which all have this shift."""
    whole = Histogram(shift)
    for part in parts:
        whole.counts.update(part.counts)
        whole.zeros += part.zeros
        whole.count += part.count
        whole.total += part.total
        whole.smallest = min(whole.smallest, part.smallest)
        whole.largest = max(whole.largest, part.largest)
    return whole
