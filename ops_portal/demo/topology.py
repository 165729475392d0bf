"""What the demo consists of: topics, made-up clients, consumer groups with their habits, and the users. Data only."""

from dataclasses import dataclass
from enum import StrEnum

BROKERS = 3
CLUSTER = "demo"
SESSION_TIMEOUT_MS = 10_000
_MINUTE = 60_000


@dataclass(frozen=True, slots=True)
class TopicSpec:
    """`share` is the topic's part of all events; `history_seconds` of them are there before the traffic begins."""

    name: str
    partitions: int
    share: float
    config: dict[str, str]
    history_seconds: int = 0


@dataclass(frozen=True, slots=True)
class ClientSpec:
    """A made-up tenant. Its record keys are `<key>.000` to `<key>.049`, one per account."""

    key: str
    name: str
    weight: float  # part of the events

    @property
    def groups(self) -> str:
        return f"{self.key}-*"

    @property
    def keys(self) -> str:
        return f"{self.key}.*"


class Habit(StrEnum):
    """What a group is like; the scenario its traces are labelled with."""

    KEEPING_UP = "keeping_up"
    BURSTY = "bursty"  # rests, then reads at full speed
    SLOW = "slow"  # reads less than is produced, for a long time
    STOPPED = "stopped"  # has commits, no members
    STALLED = "stalled"  # members alive, nothing read
    CATCHING_UP = "catching_up"  # works off a backlog, builds the next one
    BATCH = "batch"  # reads all the time, commits every few minutes
    READ_COMMITTED = "read_committed"
    NEW_PROTOCOL = "new_protocol"  # KIP-848
    IDLE = "idle"  # of a topic that gets no records
    RESTARTING = "restarting"  # one member leaves and returns every few minutes
    QUEUE = "queue"  # a share group: listed, not measured


@dataclass(frozen=True, slots=True)
class Hints:
    """What the portal has to be told of a group (manage.py set_group); None is the portal's default."""

    read_committed: bool | None = None
    commit_interval_seconds: float | None = None
    target_seconds: float | None = None


@dataclass(frozen=True, slots=True)
class GroupSpec:
    """A consumer group; `start_behind_seconds` is where its first commit lies before the newest record."""

    name: str
    topic: str
    habit: Habit
    purpose: str
    members: int = 1
    commit_seconds: float = 2.0
    prompt: bool = False  # asks for records more often than the others
    start_behind_seconds: int | None = None  # None: no commit before its members make one
    hints: Hints | None = None


TRADES, STATE, ALERTS, NAV = "trades.execution", "portfolio.state", "risk.alerts", "portfolio.nav"
INSTRUCTIONS, CALENDAR = "settlement.instructions", "reference.calendar"


def _kept(minutes: int, segment_minutes: int, **more: str) -> dict[str, str]:
    """Retention by time, with a ceiling of 64 MB a partition."""
    return {
        "retention.ms": str(minutes * _MINUTE),
        "retention.bytes": str(64 * 2**20),
        "segment.ms": str(segment_minutes * _MINUTE),
        "segment.bytes": str(16 * 2**20),
        **more,
    }


TOPICS = (
    TopicSpec(TRADES, 30, 0.80, _kept(20, 5)),
    TopicSpec(STATE, 12, 0.13, {"cleanup.policy": "compact", "segment.ms": str(5 * _MINUTE), "max.compaction.lag.ms": str(10 * _MINUTE)}),
    TopicSpec(ALERTS, 6, 0.04, _kept(180, 15), history_seconds=900),
    TopicSpec(NAV, 6, 0.02, _kept(3 * 24 * 60, 60), history_seconds=900),
    TopicSpec(INSTRUCTIONS, 6, 0.01, _kept(180, 15)),
    TopicSpec(CALENDAR, 3, 0.0, {"retention.ms": "-1"}),
)  # fmt: skip
# The portal's own record with each poll of brokers; nobody reads it.
CANARY = TopicSpec("platform.canary", 3, 0.0, _kept(10, 5))

CLIENTS = (
    ClientSpec("northgate", "Northgate Capital", 0.34),
    ClientSpec("harbourline", "Harbourline Partners", 0.22),
    ClientSpec("meridianvale", "Meridian Vale Asset Management", 0.16),
    ClientSpec("brightwater", "Brightwater Securities", 0.12),
    ClientSpec("oakhaven", "Oakhaven Pension Fund", 0.09),
    ClientSpec("stonebridge", "Stonebridge Quantitative", 0.07),
)
ACCOUNTS = 50  # record keys of one client

GROUPS = (
    GroupSpec("risk-engine", TRADES, Habit.KEEPING_UP, "reads every trade at once", members=3, commit_seconds=0.5, prompt=True),
    GroupSpec("compliance-audit", TRADES, Habit.BURSTY, "rests 20 s, then reads up to 50,000 records in one go", members=2),
    GroupSpec("settlement-ledger", INSTRUCTIONS, Habit.READ_COMMITTED, "reads committed transactions only", hints=Hints(read_committed=True)),
    GroupSpec("northgate-trade-blotter", TRADES, Habit.RESTARTING, "one member restarts every three minutes", members=2),
    GroupSpec("northgate-positions", STATE, Habit.KEEPING_UP, "reads a compacted topic"),
    GroupSpec("harbourline-reporting", ALERTS, Habit.SLOW, "reads less than arrives and falls behind", start_behind_seconds=180),
    GroupSpec("harbourline-archive", NAV, Habit.STOPPED, "has commits and no members", start_behind_seconds=600),
    GroupSpec("meridianvale-valuation", NAV, Habit.STALLED, "its member is alive and reads nothing", start_behind_seconds=60),
    GroupSpec("brightwater-backfill", ALERTS, Habit.CATCHING_UP, "works off a backlog", start_behind_seconds=840),
    GroupSpec("oakhaven-ledger-batch", NAV, Habit.BATCH, "commits every three minutes", commit_seconds=180, start_behind_seconds=0,
              hints=Hints(commit_interval_seconds=180.0, target_seconds=240.0)),
    GroupSpec("oakhaven-calendar", CALENDAR, Habit.IDLE, "its topic gets no records"),
    GroupSpec("stonebridge-signals", TRADES, Habit.NEW_PROTOCOL, "uses the new group protocol (KIP-848)", members=2),
    GroupSpec("stonebridge-alert-queue", ALERTS, Habit.QUEUE, "a share group: listed, not measured"),
)  # fmt: skip

RESTART_PERIOD_SECONDS, RESTART_PAUSE_SECONDS = 180, 5


def topic(name: str) -> TopicSpec:
    return next(one for one in TOPICS if one.name == name)


def group(name: str) -> GroupSpec | None:
    return next((one for one in GROUPS if one.name == name), None)
