"""Words of health. One enum defines value, label, tone and order."""

from collections.abc import Iterable
from enum import StrEnum

from ops_portal.lib.tones import Tone


class Health(StrEnum):
    """State of a signal and verdict of a cluster. Unknown is never better than ok, and never hides what is worse."""

    OK = "ok"
    UNKNOWN = "unknown"
    WARNING = "warning"
    CRITICAL = "critical"

    @property
    def label(self) -> str:
        return self.value

    @property
    def tone(self) -> Tone:
        return _TONES[self]

    @property
    def rank(self) -> int:
        """Higher is worse."""
        return _ORDER.index(self)


class Scope(StrEnum):
    """What one value of a signal is about."""

    CLUSTER = "cluster"
    BROKER = "broker"
    LISTENER = "listener"
    DISK = "disk"


class Area(StrEnum):
    """Where a signal stands on the page."""

    BROKERS = "brokers"
    REPLICATION = "replication"
    CONTROLLERS = "controllers"
    REQUESTS = "requests"
    STORAGE = "storage"
    MACHINES = "machines"
    SECURITY = "security"

    @property
    def label(self) -> str:
        return self.value


class Source(StrEnum):
    """Kinds of sources that health is read from."""

    BROKERS = "brokers"  # Kafka's admin API
    PROMETHEUS = "prometheus"


class HealthEventKind(StrEnum):
    """What happens to a cluster."""

    BROKER_DOWN = "broker_down"
    BROKER_UP = "broker_up"
    BROKER_RESTARTED = "broker_restarted"
    CONTROLLER_MOVED = "controller_moved"
    LEADERS_MOVED = "leaders_moved"
    UNCLEAN_ELECTION = "unclean_election"
    ISR_SHRUNK = "isr_shrunk"
    ISR_EXPANDED = "isr_expanded"
    PARTITIONS_OFFLINE = "partitions_offline"
    PARTITIONS_ONLINE = "partitions_online"
    REASSIGNMENT_STARTED = "reassignment_started"
    REASSIGNMENT_ENDED = "reassignment_ended"
    TOPIC_CREATED = "topic_created"
    TOPIC_DELETED = "topic_deleted"
    VERDICT_CHANGED = "verdict_changed"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ")

    @property
    def tone(self) -> Tone:
        return _EVENT_TONES.get(self, Tone.NEUTRAL)


_TONES = {
    Health.OK: Tone.OK,
    Health.UNKNOWN: Tone.UNKNOWN,
    Health.WARNING: Tone.WARNING,
    Health.CRITICAL: Tone.CRITICAL,
}
_ORDER = list(_TONES)
_EVENT_TONES = {
    HealthEventKind.BROKER_DOWN: Tone.CRITICAL,
    HealthEventKind.UNCLEAN_ELECTION: Tone.CRITICAL,
    HealthEventKind.PARTITIONS_OFFLINE: Tone.CRITICAL,
    HealthEventKind.ISR_SHRUNK: Tone.WARNING,
    HealthEventKind.BROKER_RESTARTED: Tone.WARNING,
    HealthEventKind.BROKER_UP: Tone.OK,
    HealthEventKind.ISR_EXPANDED: Tone.OK,
    HealthEventKind.PARTITIONS_ONLINE: Tone.OK,
}


def worst(states: Iterable[Health]) -> Health:
    """The worst of some states; OK of none."""
    return max(states, key=lambda state: state.rank, default=Health.OK)
