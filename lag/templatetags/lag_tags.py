"""Addresses of groups and topics, and marks of lag events."""

from django import template
from django.urls import reverse

from lag.rows import GroupSummary
from lag.verdicts import EventKind, Tone, Verdict
from ops_portal.lib.formats import THIN, exact
from ops_portal.lib.names import path_name

register = template.Library()

_EVENT_ICONS = {
    EventKind.MEMBER_JOINED: "member", EventKind.MEMBER_LEFT: "offline", EventKind.REBALANCE: "refresh",
    EventKind.REWOUND: "warning", EventKind.SKIPPED: "warning", EventKind.TRUNCATED: "critical",
    EventKind.TOPIC_RECREATED: "topic", EventKind.GROUP_APPEARED: "plus", EventKind.GROUP_VANISHED: "close",
    EventKind.VERDICT_CHANGED: "activity", EventKind.SLO_OPENED: "slo", EventKind.SLO_CLOSED: "slo",
}  # fmt: skip
_EVENT_TONES = {
    EventKind.MEMBER_LEFT: Tone.WARNING, EventKind.REWOUND: Tone.WARNING, EventKind.SKIPPED: Tone.WARNING,
    EventKind.TRUNCATED: Tone.CRITICAL, EventKind.SLO_OPENED: Tone.CRITICAL, EventKind.SLO_CLOSED: Tone.OK,
}  # fmt: skip


@register.simple_tag
def group_url(row: GroupSummary) -> str:
    """The page of a group; names that cannot stand in a path are reached by id."""
    return reverse("lag:group-detail", args=[row.cluster, path_name(row.group, row.id)])


@register.simple_tag
def group_link(cluster: str, name: str, pk: int) -> str:
    return reverse("lag:group-detail", args=[cluster, path_name(name, pk)])


@register.simple_tag
def topic_link(cluster: str, name: str) -> str:
    """The page of a topic."""
    return reverse("lag:topic-detail", args=[cluster, name])


@register.filter
def event_icon(kind: str) -> str:
    return _EVENT_ICONS.get(EventKind(kind), "neutral")


@register.filter
def event_tone(event: object) -> str:
    """How loud an event is; a change of verdict is as loud as the verdict it leads to."""
    kind = EventKind(getattr(event, "kind", ""))
    if kind is EventKind.VERDICT_CHANGED:
        after = getattr(event, "after", None)
        word = after.get("verdict") if isinstance(after, dict) else after
        return Verdict(word).tone.value if word in set(Verdict) else Tone.NEUTRAL.value
    return _EVENT_TONES.get(kind, Tone.NEUTRAL).value


@register.filter
def verdict_of(value: object) -> str:
    """The verdict in an event's before or after, which is the word or an object that holds it."""
    return str(value.get("verdict", "")) if isinstance(value, dict) else str(value or "")


@register.filter
def plain_value(value: object) -> str:
    """An event's before or after as text: an offset with thin spaces, an object as its values."""
    if isinstance(value, bool) or value is None:
        return "nothing" if value is None else str(value)
    if isinstance(value, int | float):
        return exact(value)
    if isinstance(value, dict):
        return ", ".join(f"{key} {plain_value(inner)}" for key, inner in value.items())
    return str(value)


@register.filter
def percent(share: float | None) -> str:
    """A share of one as per cent, as many digits as tell it from 100 %."""
    if share is None:
        return "unknown"
    shown = f"{share * 100:.3f}".rstrip("0").rstrip(".")
    return f"{shown}{THIN}%"


@register.filter
def clamped(share: float) -> str:
    """A share between 0 and 1, for a meter."""
    return f"{min(1.0, max(0.0, share)):.4f}"


_METHODS = {
    "caught_up": "caught up",
    "knots": "from own readings",
    "timestamp": "from record time",
    "lower_bound": "at least",
}


@register.filter
def method_words(method: str | None) -> str:
    """How a lag in seconds was found, for people."""
    return _METHODS.get(method or "", "")
