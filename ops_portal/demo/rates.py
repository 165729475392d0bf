"""How many events a second the demo produces: a business day's shape around the mean of DEMO_RATE. Pure."""

import math

from ops_portal.demo.topology import TopicSpec

# Weight of each hour of the day (UTC): quiet night, London opens at 8, New York at 14, closing auctions at 16 and 20.
_HOURS = (0.70, 0.70, 0.70, 0.72, 0.75, 0.80, 0.95, 1.20, 1.45, 1.20, 1.05, 1.00,
          1.00, 1.15, 1.60, 1.40, 1.45, 1.15, 1.10, 1.20, 1.40, 0.95, 0.80, 0.72)  # fmt: skip
_MEAN = sum(_HOURS) / len(_HOURS)


def day_shape(at: float) -> float:
    """Events at `at` (seconds since the epoch) over the mean of the day."""
    hours = at / 3600 % 24
    first = int(hours)
    part = hours - first
    return (_HOURS[first] * (1 - part) + _HOURS[(first + 1) % 24] * part) / _MEAN


def rate(topic: TopicSpec, mean_rate: float, at: float) -> float:
    """Records per second of `topic` at `at`, when all topics together have `mean_rate` over a day."""
    wave = 1 + 0.06 * math.sin(at / 15.5) + 0.04 * math.sin(at / 4.1)
    return mean_rate * topic.share * day_shape(at) * wave
