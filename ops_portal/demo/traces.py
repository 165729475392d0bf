"""Records what the demo's groups do as labelled traces for the verdict tests (format: tests/lag/corpus.py).

The label is what was done to a group, never what the portal said about it. A round lasts 14 minutes: all groups left to
their habits, two sets of scenarios, and what follows when they end.
"""

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import orjson

from clusters.ports import GatewayFailed, GroupListing, KafkaPort, OffsetSpec, Partition
from lag.verdicts import Verdict
from ops_portal.demo.topology import GROUPS, GroupSpec, Habit, group, topic
from ops_portal.lib.resilience import Deadline, DeadlinePassed

PERIOD_SECONDS = 5.0
ROUND_SECONDS = 830
_MOST_PARTITIONS = 6  # of a topic: every partition of a group is in the same situation, and files stay small
_OK = Verdict.OK.value
_HABITUAL = {
    Habit.SLOW: Verdict.FALLING_BEHIND.value,
    Habit.STOPPED: Verdict.STOPPED.value,
    Habit.STALLED: Verdict.STALLED.value,
}
_NOT_RECORDED = {
    Habit.QUEUE,  # not measured
    Habit.CATCHING_UP,  # its backlog is older than the trace: without timestamp look-ups its age is not in it
}

Reading = list[Any]  # [at, state, members or None, {"topic/0": [committed, start, end, high_watermark]}]
Ask = Callable[..., str]  # control.ask without the directory


@dataclass(frozen=True, slots=True)
class Action:
    """A command of the demo, given `at` seconds into the round."""

    at: float
    do: str
    group: str = ""
    more: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Cut:
    """One trace: a group from `begin` to `end` seconds of the round."""

    group: str
    scenario: str
    begin: float
    end: float
    expected: str
    allowed: tuple[str, ...] = ()
    judge: str = "end"


def plan() -> tuple[list[Action], list[Cut]]:
    """The scenarios of one round and the traces they make."""
    behind, caught = Verdict.FALLING_BEHIND.value, Verdict.CATCHING_UP.value
    stalled, stopped, rewound = Verdict.STALLED.value, Verdict.STOPPED.value, Verdict.REWOUND.value
    actions = [
        Action(175, "crash", "risk-engine"),
        Action(175, "crash", "northgate-positions"),
        Action(175, "slow", "stonebridge-signals", {"pace": 0.2}),
        Action(175, "slow", "northgate-trade-blotter", {"pace": 0.0}),
        Action(180, "rewind", "harbourline-reporting", {"records": 500}),
        Action(350, "slow", "stonebridge-signals", {"pace": 2.0}),
        Action(455, "restore"),
        Action(655, "slow", "stonebridge-signals", {"pace": 0.0}),
        Action(655, "slow", "risk-engine", {"pace": 0.3}),
        Action(655, "slow", "northgate-positions", {"pace": 0.3}),
        Action(655, "slow", "compliance-audit", {"pace": 0.0}),
        Action(655, "crash", "settlement-ledger"),
        Action(655, "crash", "brightwater-backfill"),
        Action(655, "crash", "northgate-trade-blotter"),
        Action(660, "rewind", "harbourline-archive", {"records": 300}),
        Action(ROUND_SECONDS, "restore"),
    ]
    cuts = [
        Cut("risk-engine", "one of three members crashes", 150, 345, _OK),
        Cut("northgate-positions", "the only member crashes", 150, 345, stopped, (behind,)),
        Cut("stonebridge-signals", "slowed down", 150, 345, behind),
        Cut("stonebridge-signals", "slowed down, then faster than production", 150, 450, caught, (behind,)),
        Cut("northgate-trade-blotter", "members alive, nothing read", 150, 345, stalled, (behind,)),
        Cut("harbourline-reporting", "rewound while falling behind", 150, 345, rewound, (behind, caught), "any"),
        Cut("stonebridge-signals", "members alive, nothing read", 630, 825, stalled, (behind,)),
        Cut("risk-engine", "slowed down", 630, 825, behind),
        Cut("northgate-positions", "slowed down", 630, 825, behind),
        Cut("compliance-audit", "members alive, nothing read", 630, 825, stalled, (behind,)),
        Cut("settlement-ledger", "the only member crashes", 630, 825, stopped, (behind,)),
        Cut("brightwater-backfill", "the only member crashes", 630, 825, stopped, (behind, caught)),
        Cut("northgate-trade-blotter", "one of two members crashes", 630, 825, _OK),
        Cut("harbourline-archive", "rewound without members", 630, 825, rewound, (stopped,), "any"),
    ]
    for begin, end in ((0, 172), (480, 652)):
        for spec in GROUPS:
            if spec.habit not in _NOT_RECORDED:
                expected = _HABITUAL.get(spec.habit, _OK)
                allowed = (behind,) if expected in (stalled, stopped) else ()
                cuts.append(Cut(spec.name, spec.habit.value, begin, end, expected, allowed))
    return actions, cuts


def record(
    port: KafkaPort, ask: Ask, now: Callable[[], float], directory: Path, *, rounds: int, say: Callable[[str], None]
) -> int:
    """Play `rounds` rounds on the running demo and write their traces; how many there are."""
    written = 0
    directory.mkdir(parents=True, exist_ok=True)
    for number in range(1, rounds + 1):
        actions, cuts = plan()
        readings, begin = _play(port, ask, now, actions, say)
        for cut in cuts:
            written += _write(directory, cut, number, begin, readings.get(cut.group, []))
        say(f"Round {number} of {rounds}: {written} traces so far")
    return written


def _play(
    port: KafkaPort, ask: Ask, now: Callable[[], float], actions: Iterable[Action], say: Callable[[str], None]
) -> tuple[dict[str, list[Reading]], float]:
    readings: dict[str, list[Reading]] = {}
    waiting = sorted(actions, key=lambda action: action.at)
    begin, ticks, started = now(), 0, time.monotonic()
    while waiting:
        time.sleep(max(0.0, started + ticks * PERIOD_SECONDS - time.monotonic()))
        ticks += 1
        while waiting and now() - begin >= waiting[0].at:
            action = waiting.pop(0)
            named = {"group": action.group} if action.group else {}
            say(f"{action.at:4.0f} s  {ask(action.do, **named, **action.more)}")
        try:
            for name, reading in _read(port, now).items():
                readings.setdefault(name, []).append(reading)
        except (GatewayFailed, DeadlinePassed) as reason:
            say(f"{now() - begin:4.0f} s  not read: {reason}")
    return readings, begin


def _read(port: KafkaPort, now: Callable[[], float]) -> dict[str, Reading]:
    """One poll of every recorded group, in the collector's order: commits first."""
    deadline = Deadline.after(PERIOD_SECONDS * 0.9)
    port.metadata(deadline)
    specs = {spec.name: spec for spec in GROUPS if spec.habit is not Habit.QUEUE}
    listed = port.list_groups(deadline).groups
    committed = port.committed(list(specs), deadline)
    described = port.describe_groups([name for name in specs if name in listed], deadline)
    places = {place for spec in specs.values() for place in _places(spec)}
    starts, ends = port.offsets(places, OffsetSpec.START, deadline), port.offsets(places, OffsetSpec.END, deadline)
    stable = port.offsets(_read_committed(specs.values()), OffsetSpec.STABLE, deadline)
    found: dict[str, Reading] = {}
    for name, spec in specs.items():
        if committed[name].error is not None or name not in listed:
            continue
        rows = {}
        for place in _places(spec):
            if place in starts.offsets and place in ends.offsets:
                high = ends.offsets[place].offset
                end = stable.offsets[place].offset if place in stable.offsets else high
                key = f"{place[0]}/{place[1]}"
                rows[key] = [committed[name].offsets.get(place), starts.offsets[place].offset, end, high]
        members = None
        if name in described and described[name].error is None:
            members = [
                [
                    one.member_id,
                    one.client_id,
                    one.host,
                    [f"{t}/{p}" for t, p in one.partitions if (t, p) in _places(spec)],
                ]
                for one in described[name].members
            ]
        found[name] = [round(committed[name].read_at, 3), _state(listed[name]), members, rows]
    return found


def _state(listing: GroupListing) -> str:
    return listing.state.value


def _places(spec: GroupSpec) -> list[Partition]:
    count = topic(spec.topic).partitions
    return [(spec.topic, number) for number in range(0, count, max(1, count // _MOST_PARTITIONS))]


def _read_committed(specs: Iterable[GroupSpec]) -> list[Partition]:
    return [place for spec in specs if spec.habit is Habit.READ_COMMITTED for place in _places(spec)]


def _write(directory: Path, cut: Cut, number: int, begin: float, readings: list[Reading]) -> int:
    """One file per trace; the number of files written."""
    inside = [reading for reading in readings if begin + cut.begin <= reading[0] <= begin + cut.end]
    spec = group(cut.group)
    if spec is None or len(inside) < (cut.end - cut.begin) / PERIOD_SECONDS * 0.8:
        return 0  # the cluster was not readable for too long
    slug = cut.scenario.replace(",", "").replace(" ", "-").replace("_", "-")
    name = f"{cut.group}-{slug}-{number}{'b' if cut.begin == 480 else ''}"
    hints = {key: value for key, value in asdict(spec.hints).items() if value is not None} if spec.hints else {}
    settings = {"period": PERIOD_SECONDS} | {
        key.replace("commit_interval_seconds", "commit_interval"): value for key, value in hints.items()
    }
    trace = {
        "name": name,
        "scenario": cut.scenario,
        "expected": cut.expected,
        "allowed": list(cut.allowed),
        "judge": cut.judge,
        "type": "consumer" if spec.habit is Habit.NEW_PROTOCOL else "classic",
        "settings": settings,
        "readings": inside,
    }
    (directory / f"{name}.json").write_bytes(orjson.dumps(trace) + b"\n")
    return 1
