"""What late and stale mean, in one place for list, chart, socket and API alike (architecture.md, section 4)."""

LATE_PERIODS = 1.5
STALE_PERIODS = 2.0
STALE_GRACE_SECONDS = 2.0


def is_late(age_seconds: float | None, period_seconds: float) -> bool:
    """True when the value is older than one and a half periods; an unknown age is late."""
    return age_seconds is None or age_seconds > LATE_PERIODS * period_seconds


def stale_after_seconds(period_seconds: float) -> float:
    """Age in seconds from which a value is stale: two missed slots and a grace of two seconds."""
    return STALE_PERIODS * period_seconds + STALE_GRACE_SECONDS


def is_stale(age_seconds: float | None, period_seconds: float) -> bool:
    """True when the value must not be read as current; an unknown age is stale."""
    return age_seconds is None or age_seconds > stale_after_seconds(period_seconds)
