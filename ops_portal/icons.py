"""The icons of the portal: one SVG sprite, built from the installed Tabler icons when the first page needs it."""

import functools
import re
from pathlib import Path

from django.conf import settings
from django.utils.safestring import SafeString, mark_safe

# name in templates and modules -> Tabler's outline icon
ICONS = {
    "activity": "activity", "alert": "alert-triangle", "arrow-down": "arrow-narrow-down", "audit": "clipboard-list",
    "ban": "ban", "bell": "bell", "bell-off": "bell-off", "board": "layout-list", "book": "book-2", "brand": "wave-square",
    "certificate": "certificate", "chart": "chart-line", "check": "check", "chevron-down": "chevron-down", "chevron-right": "chevron-right",
    "client": "building", "clock": "clock", "close": "x", "cluster": "server-2", "collapse": "layout-sidebar-left-collapse",
    "copy": "copy", "critical": "alert-octagon", "database-off": "database-off", "download": "download", "empty": "inbox",
    "external": "external-link", "filter": "filter", "finding": "flag-3", "gauge": "gauge", "group": "users-group", "home": "layout-dashboard",
    "info": "info-circle", "key": "key", "keyboard": "keyboard", "load-test": "barbell", "lock": "lock", "maintenance": "tool", "member": "user",
    "moon": "moon", "more": "dots", "neutral": "circle", "not-found": "map-question", "offline": "plug-connected-x",
    "ok": "circle-check", "pencil": "pencil", "plus": "plus", "refresh": "refresh", "schema": "braces", "search": "search", "settings": "settings",
    "sign-out": "logout", "slo": "target-arrow", "source": "plug-connected", "sun": "sun", "theme": "sun-moon",
    "topic": "stack-2", "trash": "trash", "unknown": "circle-dashed", "user": "user-circle", "users": "users",
    "warning": "alert-triangle",
}  # fmt: skip
_DIRECTORY = Path(settings.BASE_DIR) / "node_modules/@tabler/icons/icons/outline"
_SHAPES = re.compile(r"<(?:path|circle|rect|line|polyline|ellipse)\b[^>]*/>")
_FRAME = '<path stroke="none" d="M0 0h24v24H0z" fill="none" />'


@functools.cache
def sprite() -> SafeString:
    """All icons as `<symbol id="i-NAME">`. An icon whose file is missing is left out: a page without it still reads."""
    symbols = "".join(_symbol(name, file) for name, file in sorted(ICONS.items()))
    return mark_safe(f'<svg class="icon-sprite" aria-hidden="true" focusable="false">{symbols}</svg>')  # noqa: S308 - built from our own package files


def _symbol(name: str, file: str) -> str:
    path = _DIRECTORY / f"{file}.svg"
    if not path.exists():
        return ""
    shapes = "".join(_SHAPES.findall(path.read_text().replace(_FRAME, "")))
    return f'<symbol id="i-{name}" viewBox="0 0 24 24">{" ".join(shapes.split())}</symbol>'
