"""What lag is and what it means: pure functions from Kafka readings to records, seconds, verdicts and events."""

from lag.compute.group import assess_group, group_vanished
from lag.compute.log import ClusterLog
from lag.compute.memory import GroupMemory
from lag.compute.seconds import LookUps
from lag.compute.types import (
    GroupEvent,
    GroupReading,
    GroupResult,
    GroupSummary,
    LagSettings,
    PartitionResult,
    TopicResult,
    seconds_at,
)

__all__ = [
    "ClusterLog",
    "GroupEvent",
    "GroupMemory",
    "GroupReading",
    "GroupResult",
    "GroupSummary",
    "LagSettings",
    "LookUps",
    "PartitionResult",
    "TopicResult",
    "assess_group",
    "group_vanished",
    "seconds_at",
]
