"""What was recorded of a deed, as people read it."""

import re
from datetime import UTC, datetime
from typing import Any

from django import template
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.models import AuditEntry
from accounts.selectors import Change, audit_changes

register = template.Library()
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")


@register.filter
def changes(entry: AuditEntry) -> list[Change]:
    """What differs between before and after of an entry."""
    return audit_changes(entry)


@register.filter
def recorded(value: Any) -> SafeString | str:
    """A recorded value: lists with commas, yes and no, moments without the machine's T, nothing for what is empty."""
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return format_html('<time datetime="{}">{}</time>', value, _plain(value))
    return _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value in (None, "", [], {}):
        return "nothing"
    if isinstance(value, list):
        return ", ".join(_plain(one) for one in value)
    if isinstance(value, dict):
        return ", ".join(f"{name.replace('_', ' ')} {_plain(one)}" for name, one in value.items())
    if isinstance(value, str) and _MOMENT.fullmatch(value):
        return datetime.fromisoformat(value).astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")
    return str(value)
