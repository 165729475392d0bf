"""Targets of the platform, their error budget and how fast it burns. Pure."""

from collections.abc import Iterable
from dataclasses import dataclass

WINDOW_DAYS = 30
BUCKET_SECONDS = 300


@dataclass(frozen=True, slots=True)
class PlatformSlo:
    """A target: `signal` below `limit` (of its unit) in the share `objective` of all seconds that could be told."""

    id: str
    title: str
    signal: str  # '' = told by the poll of brokers itself
    limit: float | None
    unit: str
    objective: float
    note: str


SLOS = (
    PlatformSlo("produce_p95", "Produce latency, 95 of 100", "produce_p95", 10, "ms", 0.99, "The slowest broker counts."),
    PlatformSlo("produce_p99", "Produce latency, 99 of 100", "produce_p99", 100, "ms", 0.99, "The slowest broker counts."),
    PlatformSlo(
        "replication_lag", "Replication lag", "replication_lag_ms", 100, "ms", 0.99,
        "Derived: the largest lag in records over the records that the busiest broker takes in.",
    ),
    PlatformSlo(
        "availability", "Availability", "", None, "ratio", 0.9999,
        "Seconds in which no partition was offline and the canary record was acknowledged, over seconds counted.",
    ),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Count:
    """Seconds by how the target fared."""

    good: float = 0.0
    bad: float = 0.0
    unknown: float = 0.0

    @property
    def counted(self) -> float:
        return self.good + self.bad

    def __add__(self, other: "Count") -> "Count":
        return Count(self.good + other.good, self.bad + other.bad, self.unknown + other.unknown)


@dataclass(frozen=True, slots=True)
class Budget:
    """How a target stands over its window. None = nothing was counted. `left` of the budget: 1 = all, below 0 = overdrawn."""

    attained: float | None
    budget_seconds: float
    used_seconds: float
    left: float | None
    burn_hour: float | None  # 1 = just as fast as the window allows
    burn_day: float | None


def summed(counts: Iterable[Count]) -> Count:
    found = Count()
    for count in counts:
        found += count
    return found


def budget(slo: PlatformSlo, window: Count, day: Count, hour: Count) -> Budget:
    """The error budget: the share of counted seconds that may be bad."""
    allowed = (1 - slo.objective) * window.counted
    return Budget(
        attained=window.good / window.counted if window.counted else None,
        budget_seconds=allowed,
        used_seconds=window.bad,
        left=1 - window.bad / allowed if allowed else None,
        burn_hour=_burn(slo, hour),
        burn_day=_burn(slo, day),
    )


def met(slo: PlatformSlo, value: float | None) -> bool | None:
    """Whether a value meets the target; None where it is unknown."""
    return None if value is None or slo.limit is None else value < slo.limit


def _burn(slo: PlatformSlo, count: Count) -> float | None:
    return count.bad / count.counted / (1 - slo.objective) if count.counted else None
