"""Marks of cluster health: values in their unit, thresholds, bars that need no style of their own."""

from collections.abc import Iterable
from datetime import datetime
from math import floor

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from clusters.health.states import HealthEventKind
from clusters.models import HealthEvent
from clusters.selectors.platform_slos import PlatformSloRow
from clusters.signals import AMPLE_DISK, BY_ID, Bad, Signal
from ops_portal.lib import formats
from ops_portal.lib.tones import Tone
from ops_portal.templatetags.ops import icon, unknown

register = template.Library()
_SUFFIX = {"ms": "ms", "hours": "h", "records": "records", "per_second": "/s", "per_minute": "/min"}
AMBER_SKEW, RED_SKEW = 0.10, 0.20
FAST_BURN = 14.4  # a month's budget in two days
_BELOW_LIMITS = {"idle": (0.3, 0.1), "disk": (0.25, 0.1)}


def value_words(value: float, unit: str) -> str:
    """A value as text: at most three digits, thin spaces, its unit."""
    if unit == "ratio":
        return f"{formats.three_digits(value * 100)}{formats.THIN}%"
    if unit == "bytes":
        return _bytes(value)
    if unit == "ms" and abs(value) >= 1000:
        return formats.duration(value / 1000)
    text = formats.compact(value)
    suffix = _SUFFIX.get(unit, "")
    return f"{text}{suffix}" if suffix.startswith("/") else f"{text}{formats.THIN}{suffix}" if suffix else text


@register.filter
def in_unit(value: float | None, unit: str) -> SafeString:
    """A value with its unit; the exact one on hover. None reads "unknown"."""
    if value is None:
        return unknown()
    exact = f"{formats.exact(value * 100)} %" if unit == "ratio" else f"{formats.exact(value)} {_SUFFIX.get(unit, '')}"
    return format_html(
        '<data class="num" value="{}" title="{}">{}</data>', value, exact.strip(), value_words(value, unit)
    )


@register.filter
def milliseconds(seconds: float) -> float:
    """Seconds as milliseconds, for what takes a part of one."""
    return seconds * 1000


@register.filter
def bytes_of(value: float | None, unit: str = "") -> SafeString:
    """Bytes in decimal steps, `unit` = "/s" for a rate."""
    if value is None:
        return unknown()
    title = f"{formats.exact(value)} bytes{unit}"
    return format_html('<data class="num" value="{}" title="{}">{}{}</data>', value, title, _bytes(value), unit)


@register.filter
def share(value: float | None) -> SafeString:
    """A share as percent."""
    return in_unit(value, "ratio")


@register.filter
def thresholds(signal: Signal) -> str:
    """From which values on a signal is bad, and for how long it has to be."""
    word = {Bad.ABOVE: "from", Bad.BELOW: "down from", Bad.NOT: "unless"}[signal.bad]
    limits = [
        f"{name} {word} {value_words(limit, signal.unit)}"
        for name, limit in (("warning", signal.warn), ("critical", signal.critical))
        if limit is not None
    ]
    held = f", held for {formats.duration(signal.hold)}" if signal.hold else ""
    return ", ".join(limits) + held


@register.filter
def skew(value: float | None) -> SafeString:
    """A skew with its mark: amber from 10 %, red from 20 %, in colour and shape."""
    if value is None:
        return unknown("the broker is down, or has no partitions")
    text = f"{'+' if value > 0 else ''}{value_words(value, 'ratio')}"
    size = abs(value)
    tone = "critical" if size >= RED_SKEW else "warning" if size >= AMBER_SKEW else ""
    if not tone:
        return format_html('<data class="num muted" value="{}">{}</data>', value, text)
    return format_html(
        '<span class="pill tone-{}" title="{} from the fair share"><svg class="icon" aria-hidden="true"><use href="#i-{}"></use></svg>{}</span>',
        tone, text, tone, text,
    )  # fmt: skip


@register.simple_tag
def meter(value: float | None, most: float | None, kind: str = "") -> SafeString | str:
    """A bar of `value` against `most`, for cells: the odd one stands out. Nothing where either is unknown."""
    if value is None or not most:
        return ""
    part = max(0.0, min(1.0, value / most))
    warn, critical = _BELOW_LIMITS.get(kind, (-1.0, -1.0))
    tone = "critical" if part <= critical else "warning" if part <= warn else "plain"
    return format_html(
        '<svg class="meter meter--{}" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
        '<rect class="meter__track" width="100" height="4"></rect><rect class="meter__bar" width="{}" height="4"></rect></svg>',
        tone, f"{part * 100:.1f}",
    )  # fmt: skip


@register.filter
def joined(values: Iterable[object]) -> str:
    """Numbers or words, comma between."""
    return ", ".join(str(value) for value in values)


def event_mark(kind: str) -> str:
    """The icon of what happened."""
    for part, name in (
        ("down", "offline"), ("up", "ok"), ("restarted", "refresh"), ("controller", "key"), ("leaders", "activity"),
        ("unclean", "critical"), ("shrunk", "warning"), ("expanded", "ok"), ("offline", "critical"), ("online", "ok"),
        ("created", "plus"), ("deleted", "trash"), ("verdict", "finding"),
    ):  # fmt: skip
        if part in kind:
            return name
    return "activity"


@register.filter
def span_words(event: object) -> str:
    """`within 5 s`: how finely the moment of an event is known."""
    earliest, at = getattr(event, "at_earliest", None), getattr(event, "at", None)
    if not isinstance(earliest, datetime) or not isinstance(at, datetime):
        return ""
    return f"within {formats.duration((at - earliest).total_seconds())}"


@register.filter
def plain_bytes(value: float) -> str:
    """Bytes as text, for titles."""
    return _bytes(value)


@register.simple_tag
def health_event(event: HealthEvent) -> SafeString:
    """What happened: colour, shape and word."""
    kind = HealthEventKind(event.kind)
    tone = "" if kind.tone is Tone.NEUTRAL else f" tone-text--{kind.tone}"
    return format_html(
        '<span class="tone-text{}">{}{}</span>', tone, icon(event_mark(event.kind)), kind.label.capitalize()
    )


@register.simple_tag
def full_in(hours: float, free: float | None) -> SafeString:
    """Time until a disk is full, with its mark: amber within three days, red within one, none while it is ample."""
    text = formats.duration(hours * 3600)
    disk = BY_ID["disk_forecast"]
    for limit, tone in ((disk.critical, "critical"), (disk.warn, "warning")):
        if limit is not None and hours <= limit and (free is None or free <= AMPLE_DISK):
            return format_html('<span class="pill tone-{}">{}{}</span>', tone, icon(tone), text)
    return format_html('<data class="num" value="{}">{}</data>', hours, text if hours < 24 * 365 else "over a year")


@register.filter
def fine_share(value: float | None) -> SafeString:
    """A share near one, with the digits that matter: 99.99 %."""
    if value is None:
        return unknown("no second has been counted yet")
    cut = floor(value * 1e5) / 1e3  # never rounded up to what was not attained
    return format_html(
        '<data class="num" value="{}">{}</data>', value, f"{cut:.3f}".rstrip("0").rstrip(".") + f"{formats.THIN}%"
    )


@register.simple_tag
def attained(row: PlatformSloRow) -> SafeString:
    """The share attained, marked where it is below the objective."""
    share_ = row.budget.attained
    if share_ is None or share_ >= row.slo.objective:
        return fine_share(share_)
    return format_html(
        '<span class="tone-text tone-text--critical">{}{}</span>', icon("critical", "missed"), fine_share(share_)
    )


@register.simple_tag
def budget_left(row: PlatformSloRow) -> SafeString:
    """What is left of the error budget, as share and as time."""
    left = row.budget.left or 0.0
    seconds = row.budget.budget_seconds - row.budget.used_seconds
    text = (
        f"{value_words(left, 'ratio')}, {formats.duration(seconds)}"
        if left >= 0
        else f"overdrawn by {formats.duration(-seconds)}"
    )
    tone = "critical" if left <= 0 else "warning" if left < 0.25 else "ok"
    return format_html(
        '<span class="tone-text tone-text--{}">{}{}</span>{}', tone, icon(tone), text, meter(max(left, 0.0), 1)
    )


@register.simple_tag
def burn(value: float | None) -> SafeString:
    """How fast the budget goes: 1 = just as fast as the window allows."""
    if value is None:
        return unknown("no second of this time was counted")
    text = f"{formats.three_digits(value)}\u00d7"
    tone = "critical" if value >= FAST_BURN else "warning" if value > 1 else ""
    if not tone:
        return format_html('<data class="num" value="{}">{}</data>', value, text)
    return format_html('<span class="tone-text tone-text--{}">{}{}</span>', tone, icon(tone), text)


def _bytes(value: float) -> str:
    text = formats.compact(value)
    return f"{text}B" if formats.THIN in text else f"{text}{formats.THIN}B"
