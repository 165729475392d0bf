"""From values to a state: thresholds, how long they have held, and the sentence why. Pure.

A value that is missing is unknown. A value that is bad counts once it has been bad for the signal's `hold` without a break,
and stops to count when it is back by a tenth beyond the threshold, so that one that sways does not flicker.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clusters.health.states import Health, worst
from clusters.signals import Bad, Signal

MARGIN = 0.1  # of the threshold
PARTS_KEPT = 60
CLUSTER = ""  # the entity of a value of the whole cluster


@dataclass(frozen=True, slots=True)
class Reading:
    """What one source says of one signal. `values` by entity (`broker 2`, or CLUSTER); `missing` = why there are none."""

    values: Mapping[str, float] = field(default_factory=dict)
    missing: str = ""
    absent: tuple[str, ...] = ()  # entities that should have a value and have none
    note: str = ""  # a sentence that names what is behind the value
    query: str = ""


@dataclass(frozen=True, slots=True)
class Part:
    """The state of one entity."""

    entity: str
    state: Health
    value: float | None


@dataclass(frozen=True, slots=True)
class Judged:
    """The state of a signal as one source sees it. `memory` is handed to the next judgement."""

    state: Health
    reason: str
    value: float | None
    entity: str
    parts: tuple[Part, ...]
    memory: dict[str, Any]


def judge(signal: Signal, reading: Reading, memory: Mapping[str, Any], now: float) -> Judged:
    """The state of a signal. `memory` is what the last judgement left; `now` is on the clock of all judgements."""
    if reading.missing or not reading.values:
        reason = reading.missing or "There is no such series."
        return Judged(Health.UNKNOWN, reason, None, CLUSTER, (), dict(memory))
    kept: dict[str, Any] = {}
    parts: list[Part] = []
    pending: list[tuple[str, float, Health]] = []
    for entity, value in reading.values.items():
        state, held, waiting = _held(signal, value, memory.get(entity), now)
        kept[entity] = held
        parts.append(Part(entity, state, value))
        if waiting is not None:
            pending.append((entity, waiting[1], waiting[0]))
    parts += [Part(entity, Health.UNKNOWN, None) for entity in reading.absent]
    parts.sort(key=lambda part: (-part.state.rank, _badness(signal, part.value), part.entity))
    state = worst(part.state for part in parts)
    first = parts[0]
    lead = first if first.value is not None else next((part for part in parts if part.value is not None), first)
    reason = _reason(signal, reading, parts, state, pending)
    return Judged(state, reason, lead.value, lead.entity, tuple(parts[:PARTS_KEPT]), kept)


def bad_as(signal: Signal, value: float, *, was: Health = Health.OK) -> Health:
    """The state that the value alone deserves, for one that was in state `was`."""
    if signal.critical is not None and _beyond(signal, value, signal.critical, was is Health.CRITICAL):
        return Health.CRITICAL
    if signal.warn is not None and _beyond(signal, value, signal.warn, was in {Health.WARNING, Health.CRITICAL}):
        return Health.WARNING
    return Health.OK


def value_text(value: float | None, unit: str) -> str:
    """A value as a person reads it."""
    if value is None:
        return "unknown"
    if unit == "ratio":
        return f"{value * 100:.1f} %" if abs(value) < 0.1 else f"{value * 100:.0f} %"
    number = f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.3g}"
    words = {
        "ms": "ms",
        "hours": "h",
        "bytes": "bytes",
        "records": "records",
        "per_second": "a second",
        "per_minute": "a minute",
    }
    return f"{number} {words[unit]}" if unit in words else number


def threshold_text(signal: Signal) -> str:
    """`warning from 10 ms, critical from 100 ms`."""
    word = {Bad.ABOVE: "from", Bad.BELOW: "down from", Bad.NOT: "unless"}[signal.bad]
    parts = [
        f"{name} {word} {value_text(limit, signal.unit)}"
        for name, limit in (("warning", signal.warn), ("critical", signal.critical))
        if limit is not None
    ]
    return ", ".join(parts)


def _held(
    signal: Signal, value: float, before: Any, now: float
) -> tuple[Health, list[Any], tuple[Health, float] | None]:
    """(state that counts, memory, what is bad but not yet for long enough with the seconds it has been)."""
    was, warn_since, critical_since = (Health(before[0]), before[1], before[2]) if before else (Health.OK, None, None)
    raw = bad_as(signal, value, was=was)
    warn_since = (warn_since if warn_since is not None else now) if raw in {Health.WARNING, Health.CRITICAL} else None
    critical_since = (critical_since if critical_since is not None else now) if raw is Health.CRITICAL else None
    if critical_since is not None and now - critical_since >= signal.hold:
        state = Health.CRITICAL
    elif warn_since is not None and now - warn_since >= signal.hold:
        state = Health.WARNING if signal.warn is not None else Health.OK
    else:
        state = Health.OK
    since = critical_since if raw is Health.CRITICAL else warn_since
    waiting = (raw, now - since) if since is not None and raw.rank > state.rank else None
    return state, [state.value, warn_since, critical_since], waiting


def _beyond(signal: Signal, value: float, limit: float, was_beyond: bool) -> bool:
    if signal.bad is Bad.NOT:
        return value != limit
    slack = MARGIN * abs(limit) if was_beyond else 0.0
    if signal.unit == "ratio" and signal.bad is Bad.BELOW:
        slack = min(slack, MARGIN * abs(1 - limit))  # a share cannot come back beyond one
    if signal.bad is Bad.ABOVE:
        return value >= limit - slack
    return value <= limit + slack


def _badness(signal: Signal, value: float | None) -> float:
    """Sorts the worst value first."""
    if value is None:
        return 0.0
    return value if signal.bad is Bad.BELOW else -value


def _reason(
    signal: Signal, reading: Reading, parts: list[Part], state: Health, pending: list[tuple[str, float, Health]]
) -> str:
    first = parts[0]
    text = _who(first.entity, value_text(first.value, signal.unit))
    if state in {Health.WARNING, Health.CRITICAL}:
        limit = signal.critical if state is Health.CRITICAL else signal.warn
        held = f" for {signal.hold:.0f} s or longer" if signal.hold else ""
        others = sum(part.state is state for part in parts) - 1
        more = f" {others} more likewise." if others else ""
        sentence = f"{text}{held}, {state.value} {_limit_word(signal)} {value_text(limit, signal.unit)}.{more}"
    elif state is Health.UNKNOWN:
        gone = [part.entity for part in parts if part.state is Health.UNKNOWN]
        named = ", ".join(gone[:3]) + (f" and {len(gone) - 3} more" if len(gone) > 3 else "")
        sentence = f"There is no figure of {named}; the others are fine."
    else:
        sentence = f"{text}; {threshold_text(signal)}."
        if pending:
            entity, seconds, to_be = max(pending, key=lambda one: one[1])
            sentence += f" {_who(entity, 'bad')} for {seconds:.0f} s, {to_be.value} after {signal.hold:.0f} s."
    return f"{sentence} {reading.note}".strip()


def _who(entity: str, text: str) -> str:
    whole = f"{entity}: {text}" if entity else text
    return whole[:1].upper() + whole[1:]


def _limit_word(signal: Signal) -> str:
    return {Bad.ABOVE: "from", Bad.BELOW: "down from", Bad.NOT: "unless"}[signal.bad]
