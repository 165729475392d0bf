"""Marks of rejections: commands in sentences, and bars by the minute."""

import json
import re

from django import template
from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

from clusters.selectors.rejection_history import Bars
from ops_portal.lib import formats

register = template.Library()
HEIGHT = 48.0
_MATCHING = re.compile(
    r"resourceType=(?P<type>\w+), resourceName=(?P<name>.*), patternType=(?P<pattern>\w+), "
    r"principal=(?P<principal>.*), host=(?P<host>[^,]*), operation=(?P<operation>\w+), permissionType=DENY\]"
)


@register.filter
def commands(text: str | None) -> SafeString:
    """A sentence whose commands stand between backticks, as in `kafka-acls.sh ...`."""
    parts = (text or "").split("`")
    return format_html_join(
        "", "{}", ((format_html("<code>{}</code>", part) if number % 2 else part,) for number, part in enumerate(parts))
    )


@register.simple_tag
def command_in(text: str | None) -> str:
    """The first command of a sentence; empty when there is none."""
    parts = (text or "").split("`")
    return parts[1] if len(parts) > 2 else ""


@register.filter
def rule_words(rule: str) -> str:
    """The rule that refused, as people say it; what is no authorizer's rule stays as it is."""
    if rule == "DefaultDeny":
        return "no rule allows it"
    found = _MATCHING.search(rule)
    if found is None:
        return rule
    host = "any host" if found["host"] == "*" else found["host"]
    prefix = "names that begin with " if found["pattern"] == "PREFIXED" else ""
    kind = found["type"].lower().replace("_", " ")
    return f"a rule denies {found['operation']} on {kind} {prefix}{found['name']} to {found['principal']} from {host}"


@register.simple_tag
def bars(found: Bars, label: str) -> SafeString:
    """Counts over time, stacked by kind, as a drawing that needs no style of its own."""
    peak = max(found.peak, 1)
    pieces = []
    for position, stack in enumerate(found.stacks):
        below = 0.0
        for kind, count in stack:
            height = max(1.0, HEIGHT * count / peak)
            pieces.append((position * 4, f"{HEIGHT - below - height:.1f}", f"{height:.1f}", kind))
            below += height
    drawn = format_html_join("", '<rect x="{}" y="{}" width="3" height="{}" class="bar bar--{}"></rect>', pieces)
    return format_html(
        '<svg class="bars" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img" aria-label="{}">{}</svg>',
        len(found.stacks) * 4 - 1,
        int(HEIGHT),
        f"{label}: {formats.exact(found.total)} in all, at most {formats.exact(found.peak)} in {found.step_words}",
        drawn,
    )


@register.filter
def unlocalized_exact(value: float) -> str:
    """Seconds to the microsecond, as a script reads them."""
    return f"{value:.6f}"


@register.filter
def pretty(schema: str) -> list[str]:
    """The lines of a schema's text, laid out where it is JSON."""
    try:
        return json.dumps(json.loads(schema), indent=2, ensure_ascii=False).splitlines()
    except (ValueError, RecursionError):
        return schema.splitlines()
