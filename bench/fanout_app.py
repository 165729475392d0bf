"""The web process that bench.fanout loads: the portal's ASGI application with one trivial live view."""

from collections.abc import Mapping, Sequence
from http.cookies import SimpleCookie
from typing import Any

from ops_portal.asgi import application
from ops_portal.lib.live import sessions, views
from ops_portal.lib.live.views import Snapshot, View, Watcher

ROWS = 100
FAR_FUTURE = 4e9


def rows_at(tick: int, sent_at: float) -> Snapshot:
    """100 rows of which 8 change with every tick; row `0` carries the tick and when it was published."""
    found: dict[str, list[Any]] = {}
    for index in range(1, ROWS):
        last = tick - (tick - index) % 12  # the last tick that touched this row
        found[str(index)] = [
            f"orders-service-{index}",
            "Northgate Capital",
            "stable",
            last * 37 % 100_003,
            last / 10,
            sent_at,
        ]
    found["0"] = ["tick", "", "", tick, sent_at, sent_at]
    return Snapshot(found, sent_at)


def authenticate(handshake: Mapping[str, Any]) -> Watcher | None:
    cookie = SimpleCookie(dict(handshake["headers"]).get(b"cookie", b"").decode())
    user = int(cookie["user"].value)
    return Watcher(user, f"bench-{user}", "1", FAR_FUTURE)


def revalidate(watchers: Sequence[Watcher]) -> dict[str, Watcher | None]:
    return {watcher.identity: watcher for watcher in watchers}


VIEW = View(
    name="bench.fanout",
    columns=("group", "client", "state", "lag", "seconds", "at"),
    parse_params=dict,
    scope=lambda watcher, params: "all",
    snapshot=lambda scope, params: rows_at(0, 0.0),
    period_seconds=lambda params: None,
    time_column="at",
)


def install() -> None:
    views.register(VIEW)
    sessions.configure(authenticate=authenticate, revalidate=revalidate)


install()

__all__ = ["application"]
