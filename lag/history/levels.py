"""The three levels of history and the partitions they live in."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import LiteralString

from django.conf import settings

from ops_portal.lib.partitions import Span


@dataclass(frozen=True, slots=True)
class Level:
    """One table: a row is a block of `block_seconds`, made of points `point_seconds` apart (0 = one per poll)."""

    name: str
    table: LiteralString
    point_seconds: int
    block_seconds: int
    span: Span
    ahead: int  # partitions made before they are needed

    @property
    def keep(self) -> timedelta:
        """How long blocks are kept, by setting."""
        if self.name == "raw":
            return timedelta(hours=settings.HISTORY_RAW_HOURS)
        return timedelta(days=settings.HISTORY_MINUTE_DAYS if self.name == "minute" else settings.HISTORY_HOUR_DAYS)

    def block_of(self, at: datetime) -> datetime:
        """Start of the block that holds `at`."""
        return datetime.fromtimestamp(at.timestamp() // self.block_seconds * self.block_seconds, tz=UTC)


RAW = Level("raw", "lag_historyraw", 0, 60, Span.DAY, 3)
MINUTE = Level("minute", "lag_historyminute", 60, 3600, Span.DAY, 3)
HOUR = Level("hour", "lag_historyhour", 3600, 86400, Span.MONTH, 2)
LEVELS = (RAW, MINUTE, HOUR)
SHARDS = 8  # of a poll's topic samples, by group id; shard 0 holds the groups' totals


def shard_of(group_id: int, topic_id: int) -> int:
    return 1 + group_id % SHARDS if topic_id else 0
