"""What every page needs: the rail of the signed-in role, the theme, the nonce and the import map."""

import functools
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django.conf import settings
from django.http import HttpRequest
from django.templatetags.static import static
from django.urls import NoReverseMatch, reverse
from django.utils.safestring import SafeString, mark_safe

from accounts.policies import may
from accounts.roles import Right, Role

THEMES = ("auto", "light", "dark")
AT_BOTTOM = 4  # beside search and the menu


@dataclass(frozen=True, slots=True)
class Place:
    """A page that the rail can lead to."""

    word: str
    icon: str
    url_name: str
    right: Right | None = None
    at_bottom: int = 0  # rank in the bar of narrow screens, which holds the first four that one may see; 0 = never
    also: tuple[str, ...] = ()  # namespaced URL names that belong to the same place
    key: str = ""  # the letter that leads there after g


PLACES = (
    Place("Overview", "home", "home", at_bottom=1, key="h"),
    Place("Lag", "board", "lag:board", Right.SEE_LAG, 2, ("lag:group",), "b"),
    Place("Topics", "topic", "lag:topics", Right.SEE_LAG, 5, ("lag:topic",), "t"),
    Place("Events", "activity", "lag:events", Right.SEE_LAG, 6, key="e"),
    Place("SLOs", "slo", "lag:slos", Right.SEE_LAG, 0, ("lag:slo",)),
    Place("Brokers", "cluster", "clusters:health", Right.SEE_CLUSTERS, 3, ("clusters:health",), "k"),
    Place("Targets", "gauge", "clusters:targets", Right.SEE_CLUSTERS),
    Place("Certificates", "certificate", "clusters:certificates", Right.SEE_LAG, 0, ("clusters:certificate",), "c"),
    Place("Rejections", "ban", "clusters:rejections", Right.SEE_LAG, 4, ("clusters:rejection",), "r"),
    Place("Schemas", "schema", "clusters:schemas", Right.SEE_LAG, 0, ("clusters:schema",)),
    Place("Load tests", "load-test", "clusters:load-tests", Right.SEE_CLUSTERS, 0, ("clusters:load-test",)),
    Place("Findings", "finding", "clusters:findings", Right.SEE_FINDINGS, key="f"),
    Place("Clients", "client", "lag:clients", Right.SEE_CLIENTS, 0, ("lag:client",)),
    Place("Sources", "source", "clusters:sources", Right.SEE_SOURCES, 0, ("clusters:source",), "s"),
    Place("Audit", "audit", "accounts:audit-list", Right.SEE_AUDIT, 0, ("accounts:audit",)),
    Place("Administration", "settings", "accounts:admin-home", Right.ADMINISTER, 0, ("accounts:user", "accounts:client", "clusters:cluster")),
)  # fmt: skip
USER_PLACES = (Place("Documentation", "book", "docs", None, 0, ("docs",)), Place("Account", "user", "accounts:profile"))


@dataclass(frozen=True, slots=True)
class Entry:
    word: str
    icon: str
    href: str
    current: bool
    count: int = 0
    count_words: str = ""
    key: str = ""


def shell(request: HttpRequest) -> dict[str, Any]:
    """Context processor of all pages. Costs no query: counts come with the pages that know them."""
    theme = _theme(request)
    return {
        "csp_nonce": getattr(request, "csp_nonce", ""),
        "theme": theme,
        "theme_shown": "light" if theme == "auto" else theme,
        **_zones(request),
        "theme_url": _reverse("accounts:theme-change"),
        "rail_width": "narrow" if request.COOKIES.get("ops_rail") == "narrow" else "wide",
        "import_map": import_map(),
        **_places(request),
    }


def _theme(request: HttpRequest) -> str:
    """The account's choice; before signing in, what this browser showed last."""
    chosen = getattr(getattr(request, "user", None), "theme", None) or request.COOKIES.get("ops_theme", "auto")
    return chosen if chosen in THEMES else "auto"


def _zones(request: HttpRequest) -> dict[str, str]:
    """The zone that times are shown in, and the person's own ("" = the browser's); the page switches between it and UTC."""
    own = getattr(getattr(request, "user", None), "time_zone", "UTC")
    return {
        "zone": "own" if request.COOKIES.get("ops_zone") == "own" else "utc",
        "own_zone": "" if own == "UTC" else own,
    }


def _places(request: HttpRequest) -> dict[str, Any]:
    user = getattr(request, "user", None)
    if user is None or not user.is_authenticated:
        return {
            "rail": [],
            "rail_user": [],
            "bottom_bar": [],
            "search_url": "",
            "sign_out_url": "",
            "sign_in_url": _reverse("accounts:sign-in"),
        }
    bar = sorted((place for place in PLACES if place.at_bottom), key=lambda place: place.at_bottom)
    return {
        "rail": place_entries(PLACES, request),
        "rail_user": _entries(USER_PLACES, request),
        "bottom_bar": place_entries(bar, request)[:AT_BOTTOM],
        "search_url": _reverse("search"),
        "sign_out_url": _reverse("accounts:sign-out"),
    }


def place_entries(places: Any, request: HttpRequest) -> list[Entry]:
    """Entries of the places that the user may go to."""
    return _entries([place for place in places if place.right is None or may(request.user, place.right)], request)


def _entries(places: Any, request: HttpRequest) -> list[Entry]:
    here = request.resolver_match.view_name if request.resolver_match else ""
    found = []
    for place in places:
        if href := _reverse(place.url_name):
            word = request.user.get_username() if place.url_name == "accounts:profile" else place.word
            found.append(Entry(word, place.icon, href, _is_here(place, here), key=place.key))
    return found


def _is_here(place: Place, here: str) -> bool:
    return here == place.url_name or any(here == name or here.startswith(f"{name}-") for name in place.also)


def _reverse(name: str) -> str:
    """The address of a page, or nothing where this build has no such page."""
    try:
        return reverse(name)
    except NoReverseMatch:
        return ""


@functools.cache
def import_map() -> SafeString:
    """Bare module names -> hashed addresses: `ops/NAME` for each of our modules, and the vendored ones."""
    names = sorted(path.stem for path in (Path(settings.BASE_DIR) / "static/js").glob("*.js"))
    imports = {f"ops/{name}": static(f"js/{name}.js") for name in names}
    imports["uplot"] = static("vendor/uplot/uPlot.esm.js")
    text = json.dumps({"imports": imports}).replace("<", "\\u003c")
    return mark_safe(text)  # noqa: S308 - addresses of our own files, "<" escaped


def role_label(user: Any) -> str:
    """The role as people call it."""
    return Role(user.role).label
