"""Words of lag: verdicts, methods, flags, trends, event kinds. One enum defines value, label and tone; models and pages take theirs from here."""

from enum import StrEnum

from ops_portal.lib.tones import Tone as Tone


class Verdict(StrEnum):
    """Verdicts of interfaces.md 4, worst first: the order of definition is the order of severity."""

    TRUNCATED = "truncated"
    STOPPED = "stopped"
    STALLED = "stalled"
    REWOUND = "rewound"
    FALLING_BEHIND = "falling_behind"
    CATCHING_UP = "catching_up"
    NO_COMMITS = "no_commits"
    UNKNOWN = "unknown"
    OK = "ok"

    @property
    def severity(self) -> int:
        """0 = worst."""
        return _ORDER[self]

    @property
    def label(self) -> str:
        return self.value.replace("_", " ")

    @property
    def tone(self) -> Tone:
        return _TONES[self]


_ORDER = {verdict: rank for rank, verdict in enumerate(Verdict)}
_TONES = {
    Verdict.TRUNCATED: Tone.CRITICAL,
    Verdict.STOPPED: Tone.CRITICAL,
    Verdict.STALLED: Tone.CRITICAL,
    Verdict.REWOUND: Tone.WARNING,
    Verdict.FALLING_BEHIND: Tone.WARNING,
    Verdict.CATCHING_UP: Tone.WARNING,
    Verdict.NO_COMMITS: Tone.WARNING,
    Verdict.UNKNOWN: Tone.UNKNOWN,
    Verdict.OK: Tone.OK,
}


class Method(StrEnum):
    """How a lag in seconds was found."""

    CAUGHT_UP = "caught_up"
    KNOTS = "knots"
    TIMESTAMP = "timestamp"
    LOWER_BOUND = "lower_bound"


class Flag(StrEnum):
    APPROXIMATE = "approximate"
    BEYOND_END = "beyond_end"
    OPEN_TXN = "open_txn"
    NOT_MEASURED = "not_measured"
    NOT_ALLOWED = "not_allowed"
    SHARED_TOPIC = "shared_topic"


class EventKind(StrEnum):
    """Kinds of group events (interfaces.md 3)."""

    MEMBER_JOINED = "member_joined"
    MEMBER_LEFT = "member_left"
    REBALANCE = "rebalance"
    REWOUND = "rewound"
    SKIPPED = "skipped"
    TRUNCATED = "truncated"
    TOPIC_RECREATED = "topic_recreated"
    GROUP_APPEARED = "group_appeared"
    GROUP_VANISHED = "group_vanished"
    VERDICT_CHANGED = "verdict_changed"
    SLO_OPENED = "slo_opened"
    SLO_CLOSED = "slo_closed"

    @property
    def label(self) -> str:
        return self.value.replace("_", " ")
