"""Tags and filters of every page: icons, status pills, figures with units, times. Text rules live in ops_portal.lib.formats."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

from django import template
from django.http import QueryDict
from django.utils.html import format_html
from django.utils.safestring import SafeString

from ops_portal.icons import sprite
from ops_portal.lib import formats

register = template.Library()
TONE_ICONS = {
    "ok": "ok", "warning": "warning", "critical": "critical", "unknown": "unknown", "maintenance": "maintenance", "neutral": "neutral",
}  # fmt: skip


@register.simple_tag
def icon_sprite() -> SafeString:
    """The sprite, once per page; `icon` refers to it."""
    return sprite()


@register.simple_tag
def icon(name: str, label: str = "") -> SafeString:
    """One icon. Without a label it is decoration and hidden from screen readers."""
    if label:
        return format_html('<svg class="icon" role="img" aria-label="{}"><use href="#i-{}"></use></svg>', label, name)
    return format_html('<svg class="icon" aria-hidden="true"><use href="#i-{}"></use></svg>', name)


@register.simple_tag
def pill(word: Any, tone: str = "", title: str = "") -> SafeString:
    """A status: colour, shape and word. `word` is text with a tone, or an enum member that has label and tone."""
    label = getattr(word, "label", word)
    shown = str(tone or getattr(word, "tone", "neutral"))
    return format_html(
        '<span class="pill tone-{}"{}>{}{}</span>',
        shown,
        format_html(' title="{}"', title) if title else "",
        icon(TONE_ICONS.get(shown, "neutral")),
        label,
    )


@register.simple_tag
def unknown(reason: str = "") -> SafeString:
    """What stands where a figure is not known: never 0, never blank."""
    return format_html('<abbr class="unknown" title="{}">unknown</abbr>', reason or "not measured")


def _figure(text: str, title: str, value: float) -> SafeString:
    figure, _, unit = (
        text.partition(formats.THIN) if text.count(formats.THIN) == 1 and " " not in text else (text, "", "")
    )
    tail = format_html('<span class="num__unit">{}</span>', unit) if unit else ""
    return format_html('<data class="num" value="{}" title="{}">{}{}</data>', value, title, figure, tail)


@register.filter
def figure(value: float | None, unit: str = "") -> SafeString:
    """A count with at most three significant digits; the exact one on hover. None reads "unknown"."""
    if value is None:
        return unknown()
    text = formats.compact(value)
    letter = text.partition(formats.THIN)[2]
    shown = text.partition(formats.THIN)[0]
    tail = f"{letter}{formats.THIN if letter and unit and not unit.startswith('/') else ''}{unit}"
    title = f"{formats.exact(value)} {unit}".strip()
    return format_html(
        '<data class="num" value="{}" title="{}">{}{}</data>',
        value,
        title,
        shown,
        format_html('<span class="num__unit">{}</span>', tail) if tail else "",
    )


@register.filter
def exact(value: float | None) -> SafeString:
    """Every digit, thin spaces between thousands."""
    if value is None:
        return unknown()
    return format_html('<data class="num" value="{}">{}</data>', value, formats.exact(value))


@register.filter
def duration(value: float | None, reason: str = "") -> SafeString:
    """Seconds as people say them; the exact seconds on hover."""
    if value is None:
        return unknown(reason)
    return _figure(formats.duration(value), f"{formats.exact(value)} seconds", value)


@register.filter
def bound(value: float | None) -> SafeString | str:
    """The error bound of a lag in seconds, where it says anything."""
    if not value or value < 0.005:  # what is less would read as zero
        return ""
    return format_html(
        '<span class="num__bound" title="the true age lies within this bound">±{}</span>', formats.duration(value)
    )


@register.filter
def ago(value: datetime | None, reason: str = "") -> SafeString:
    """A moment, relative; the exact ISO time and zone on hover and focus. The page keeps it current."""
    if value is None:
        return format_html('<abbr class="unknown" title="{}">never</abbr>', reason or "not yet, as far as is known")
    iso = value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    seconds = time.time() - value.timestamp()  # the web process's clock: shown, never stored
    text = (
        "now"
        if -0.5 <= seconds < 1
        else f"in {formats.duration(round(-seconds))}"
        if seconds < 0
        else f"{formats.duration(int(seconds))} ago"
    )
    return format_html(
        '<time class="num" datetime="{}" title="{}" data-ago>{}</time>',
        iso,
        iso.replace("T", " ").replace("Z", " UTC"),
        text,
    )


@register.filter
def clock_time(value: datetime | None) -> SafeString:
    """Hours, minutes and seconds in UTC; the full ISO time on hover."""
    if value is None:
        return unknown()
    iso = value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return format_html(
        '<time class="num" datetime="{}" title="{}">{}</time>',
        iso,
        iso.replace("T", " ").replace("Z", " UTC"),
        value.astimezone(UTC).strftime("%H:%M:%S"),
    )


@register.filter
def words(value: Any) -> str:
    """A lower snake word as people read it."""
    return str(value).replace("_", " ")


@register.filter
def path_name(name: str, pk: int | None = None) -> str:
    """A group or topic name as a path segment; names that cannot be one become `~<id>` (interfaces.md 1)."""
    if pk is not None and (not name or "/" in name or name in {".", ".."} or name.startswith("~")):
        return f"~{pk}"
    return name


@register.filter
def quoted(value: str) -> str:
    """Percent-encoded, for a query value."""
    return quote(str(value), safe="")


@register.simple_tag(takes_context=True)
def query(context: Mapping[str, Any], **changes: Any) -> str:
    """The current query string with some values changed; None or "" takes a key out. `limit` and `cursor` never survive."""
    params = QueryDict(context["request"].GET.urlencode(), mutable=True)
    for key in ("cursor", *changes):
        params.pop(key, None)
    for key, value in changes.items():
        if value not in (None, ""):
            params[key] = str(value)
    return f"?{params.urlencode()}" if params else "?"


@register.inclusion_tag("components/age_chip.html")
def age_chip(
    observed_at: datetime | None, period_seconds: float = 5, source: str = "", panel: str = ""
) -> dict[str, Any]:
    """Age of a panel's data. static/js/age.js keeps it current by the server's clock; late and stale as in ops_portal.lib.units."""
    return {"observed_at": observed_at, "period_seconds": period_seconds, "source": source, "panel": panel}


@register.inclusion_tag("components/field.html")
def form_field(field: Any) -> dict[str, Any]:
    """One form field with label, help and errors beside it."""
    kind = getattr(field.field.widget, "input_type", "")
    return {"field": field, "check": kind == "checkbox"}


@register.inclusion_tag("components/state.html")
def state(
    kind: str, title: str, text: str = "", action: str = "", href: str = "", icon_name: str = ""
) -> dict[str, Any]:
    """A designed state: empty, loading, partial, stale, error, forbidden or not_found. Says what, since when, what to do."""
    icons = {
        "empty": "empty",
        "error": "critical",
        "forbidden": "lock",
        "not_found": "not-found",
        "stale": "offline",
        "partial": "warning",
        "loading": "clock",
    }
    tones = {"error": "critical", "stale": "warning", "partial": "warning"}
    return {
        "kind": kind,
        "title": title,
        "text": text,
        "action": action,
        "href": href,
        "icon_name": icon_name or icons.get(kind, "empty"),
        "tone": tones.get(kind, ""),
    }


# --- poll runs ---------------------------------------------------------------------------------------------------------------
_RUN_TONES = {"ok": "ok", "partial": "warning", "failed": "critical", "skipped": "unknown", "running": "neutral"}


@register.filter
def run_tone(status: str) -> str:
    return _RUN_TONES.get(status, "neutral")


@register.filter
def took(run: Any) -> float | None:
    """Seconds a poll run took."""
    return None if run.ended_at is None else float((run.ended_at - run.started_at).total_seconds())


@register.filter
def total(counts: Mapping[str, Any] | None) -> float | None:
    """Sum of the numbers in a mapping; None where nothing was counted."""
    numbers = [value for value in (counts or {}).values() if isinstance(value, int | float)]
    return sum(numbers) if numbers else None


@register.filter
def plain(value: Any) -> str:
    """A figure as short text, anything else as it is."""
    return formats.compact(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)


@register.filter
def times3(value: int) -> int:
    """Position of a bar in a strip of bars three units wide."""
    return value * 3


@register.filter
def split(text: str) -> list[str]:
    return text.split()


@register.filter
def epoch(value: float | None) -> datetime | None:
    """Seconds since the epoch as a time."""
    return None if value is None else datetime.fromtimestamp(value, UTC)


@register.filter
def unlocalized(value: float) -> str:
    """A number as SVG wants it."""
    return f"{value:g}"
