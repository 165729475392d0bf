"""A row of the board as it travels to the page: by push and, beyond the pushed rows, by HTTP."""

from math import floor, log10
from typing import Any

from lag.rows import GroupSummary

BOARD_COLUMNS = (
    "group", "client", "state", "members", "worst_topic", "lag_records", "lag_seconds", "bound", "produce_rate", "consume_rate",
    "trend", "catch_up_seconds", "verdict", "reason", "observed_at",
)  # fmt: skip


def board_values(item: GroupSummary) -> list[Any]:
    """Values in the order of the columns, numbers cut to what a screen shows; the time in seconds since the epoch."""
    return [
        item.group, item.client, item.state, item.members, item.worst_topic, item.lag_records, short_seconds(item.lag_seconds),
        short(item.lag_seconds_bound), short(item.produce_rate), short(item.consume_rate), short(item.trend),
        short_seconds(item.catch_up_seconds), item.verdict.value, item.reason,
        item.observed_at.timestamp() if item.observed_at else None,
    ]  # fmt: skip


def short(value: float | None) -> float | None:
    """Three significant digits: what a cell shows, so that a delta does not carry noise."""
    if not value:
        return value
    return round(value, 2 - floor(log10(abs(value))))


def short_seconds(value: float | None) -> float | None:
    """Tenths of a second up to 100 s, whole seconds above."""
    return value if value is None else round(value, 1 if value < 100 else 0)
