"""One state out of what two independent sources say, and a verdict out of all states. Pure.

The worse of two sources holds: each sees failures that the other cannot. While the metadata of the cluster stands still,
what either says of partitions is unknown, for the broker that is left repeats what it last heard.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from clusters.health.judge import Part, value_text
from clusters.health.states import Health, Source
from clusters.signals import SIGNALS, Signal

REASONS_KEPT = 8


@dataclass(frozen=True, slots=True)
class Seen:
    """What one source says of a signal, with its age. `since` = when it came into this state."""

    source: Source
    state: Health
    reason: str
    value: float | None
    entity: str
    query: str
    observed_at: float | None
    stale: bool
    since: float | None = None
    parts: tuple[Part, ...] = ()


@dataclass(frozen=True, slots=True)
class Joined:
    """A signal as it stands now. `seen` keeps what each source says."""

    signal: Signal
    state: Health
    reason: str
    value: float | None
    entity: str
    query: str
    sources: tuple[Source, ...]
    observed_at: float | None
    stale: bool
    since: float | None
    parts: tuple[Part, ...]
    seen: tuple[Seen, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The whole cluster: its state and the sentences why, worst first."""

    state: Health
    reasons: tuple[str, ...]
    counts: Mapping[Health, int]


def joined(
    rows: Mapping[str, Iterable[Seen]], configured: Mapping[Source, str], frozen: str | None = None
) -> tuple[Joined, ...]:
    """Every signal in the order of the table. `configured` = per source why it says nothing of this cluster at all, or ''.

    `frozen` is the sentence that tells that the metadata stands still; by default it follows from the signals themselves.
    """
    by_signal = {name: tuple(seen) for name, seen in rows.items()}
    still = frozen_reason(by_signal) if frozen is None else frozen
    return tuple(_join(signal, by_signal.get(signal.id, ()), configured, still) for signal in SIGNALS)


def frozen_reason(rows: Mapping[str, Iterable[Seen]]) -> str:
    """Why what is said of partitions must not be believed now, or ''."""
    for name in ("quorum_reachable", "metadata_lag"):
        for seen in rows.get(name, ()):
            if seen.state is not Health.CRITICAL or seen.stale:
                continue
            bad = [part for part in seen.parts if part.state is Health.CRITICAL]
            whole = name == "quorum_reachable" or 2 * len(bad) > len(seen.parts)
            if whole:
                return f"The cluster's metadata stands still ({seen.reason.rstrip('.')})."
    return ""


def verdict_of(signals: Iterable[Joined], configured: Mapping[Source, str]) -> Verdict:
    """Critical if any signal is; else unknown if one is that no verdict can do without; else the worst of the others."""
    found = tuple(signals)
    counts = {state: sum(one.state is state for one in found) for state in Health}
    bad = [one for one in found if one.state in {Health.CRITICAL, Health.WARNING}]
    bad.sort(key=lambda one: (-one.state.rank, not one.signal.essential))
    blind = [one for one in found if one.state is Health.UNKNOWN and _owed(one, configured)]
    state = bad[0].state if bad else Health.OK
    if blind and state is not Health.CRITICAL:
        state = Health.UNKNOWN
    reasons = [f"{one.signal.title}: {one.reason}" for one in bad[:REASONS_KEPT]]
    reasons += [
        f"{one.signal.title} cannot be told: {one.reason}" for one in blind[: max(0, REASONS_KEPT - len(reasons))]
    ]
    if len(bad) > REASONS_KEPT:
        reasons.append(f"{len(bad) - REASONS_KEPT} more signals are bad.")
    return Verdict(state, tuple(reasons), counts)


def _owed(one: Joined, configured: Mapping[Source, str]) -> bool:
    """Whether an unknown signal makes the verdict unknown: one of a source that this cluster does not have does not."""
    return one.signal.essential and any(not configured.get(source, "") for source in one.signal.sources)


def _join(signal: Signal, rows: tuple[Seen, ...], configured: Mapping[Source, str], frozen: str) -> Joined:
    seen = tuple(_believed(signal, one, frozen) for one in rows if not configured.get(one.source))
    if not seen:
        reasons = [configured[source] for source in signal.sources if configured.get(source)]
        reason = reasons[0] if reasons else "It has not been read yet."
        return Joined(signal, Health.UNKNOWN, reason, None, "", "", signal.sources, None, True, None, (), ())
    known = [one for one in seen if one.state is not Health.UNKNOWN]
    # Of two that agree the metadata: it names brokers and topics, and the words do not change with every poll.
    lead = max(known or seen, key=lambda one: (one.state.rank, one.value is not None, one.source is Source.BROKERS))
    return Joined(
        signal=signal,
        state=lead.state,
        reason=_reason(signal, lead, seen),
        value=lead.value,
        entity=lead.entity,
        query=lead.query,
        sources=tuple(one.source for one in seen),
        observed_at=lead.observed_at,
        stale=lead.stale,
        since=_since(lead, known),
        parts=lead.parts,
        seen=seen,
    )


def _since(lead: Seen, known: list[Seen]) -> float | None:
    """When it came into its state: bad with the first source that says so, ok with the last."""
    times = [one.since for one in known or [lead] if one.state is lead.state and one.since is not None]
    if not times:
        return None
    return max(times) if lead.state is Health.OK else min(times)


def _believed(signal: Signal, seen: Seen, frozen: str) -> Seen:
    if seen.stale:
        return replace(seen, state=Health.UNKNOWN, reason=f"The last reading is too old. It was: {seen.reason}")
    if frozen and signal.needs_quorum and seen.state is not Health.UNKNOWN:
        return replace(seen, state=Health.UNKNOWN, reason=frozen, value=None, parts=())
    return seen


def _reason(signal: Signal, lead: Seen, seen: tuple[Seen, ...]) -> str:
    others = [one for one in seen if one is not lead]
    told = [lead.reason]
    for other in others:
        who = "Prometheus" if other.source is Source.PROMETHEUS else "Kafka's metadata"
        if other.state is Health.UNKNOWN:
            told.append(f"{who} cannot tell: {other.reason}")
        elif other.state is not lead.state:
            told.append(f"{who} says {value_text(other.value, signal.unit)}.")
    return " ".join(told)
