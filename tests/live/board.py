"""A live view for tests: rows of a table of its own, visible by the watcher's colour; sessions in a table as well."""

import time
from collections.abc import Mapping, Sequence
from http.cookies import SimpleCookie
from typing import Any

from django.db import connection

from ops_portal.lib.live import sessions, views
from ops_portal.lib.live.views import Snapshot, View, Watcher

TABLES = """
CREATE TABLE IF NOT EXISTS live_test_rows (board text, colour text, key text, a int, b text, at float8,
    PRIMARY KEY (board, colour, key));
CREATE TABLE IF NOT EXISTS live_test_sessions (identity text PRIMARY KEY, user_id int, colour text, version text, until float8);
"""
NO_TABLES = "DROP TABLE IF EXISTS live_test_rows; DROP TABLE IF EXISTS live_test_sessions"


def parse_params(raw: views.Params) -> dict[str, Any]:
    board = raw.get("board")
    if not isinstance(board, str) or set(raw) - {"board", "size"}:
        raise ValueError("board must be text, and nothing else is known but size.")
    return {"board": board, "size": int(raw.get("size", 0))}


def scope(watcher: Watcher, params: views.Params) -> str:
    if params["board"] == "closed":
        raise views.Forbidden
    if params["board"] == "broken":
        raise RuntimeError("something inside")
    return str(watcher.claims)


def snapshot(colour: str, params: views.Params) -> Snapshot:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT key, a, b, at FROM live_test_rows WHERE board = %s AND colour = %s ORDER BY key",
            [params["board"], colour],
        )
        found = {key: [a, (b or "") + "x" * params["size"], at] for key, a, b, at in cursor.fetchall()}
    return Snapshot(found, max((row[2] for row in found.values()), default=None))


def authenticate(handshake: Mapping[str, Any]) -> Watcher | None:
    cookie = SimpleCookie(dict(handshake["headers"]).get(b"cookie", b"").decode())
    identity = cookie["session"].value if "session" in cookie else ""
    return _watchers([identity]).get(identity)


def revalidate(watchers: Sequence[Watcher]) -> dict[str, Watcher | None]:
    found = _watchers([watcher.identity for watcher in watchers])
    return {watcher.identity: found.get(watcher.identity) for watcher in watchers}


def _watchers(identities: list[str]) -> dict[str, Watcher]:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT identity, user_id, colour, version, until FROM live_test_sessions WHERE identity = ANY(%s)",
            [identities],
        )
        return {row[0]: Watcher(row[1], row[0], row[3], row[4], row[2]) for row in cursor.fetchall()}


def install() -> None:
    """Register the view and hand in the hooks, in a process of its own."""
    views.register(VIEW)
    sessions.configure(authenticate=authenticate, revalidate=revalidate)


VIEW = View(
    name="test.board",
    columns=("a", "b", "at"),
    key="key",
    parse_params=parse_params,
    scope=scope,
    snapshot=snapshot,
    period_seconds=lambda params: 600.0,
    time_column="at",
)


# --- What tests do to the tables -------------------------------------------------------------------------


def make_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute(TABLES)


def empty() -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM live_test_rows; DELETE FROM live_test_sessions")


def drop_tables() -> None:
    with connection.cursor() as cursor:
        cursor.execute(NO_TABLES)


_test = 0


def begin() -> None:
    """Give the coming test boards of its own: the web process remembers those of the last one for a while."""
    global _test
    _test += 1


def own(board: str) -> str:
    return f"{board}-{_test}"


def put(board: str, rows: Mapping[str, tuple[int, str]], *, colour: str = "red", at: float | None = None) -> None:
    """Write rows of a board."""
    at = time.time() if at is None else at
    with connection.cursor() as cursor:
        cursor.executemany(
            "INSERT INTO live_test_rows VALUES (%s, %s, %s, %s, %s, %s) ON CONFLICT (board, colour, key) "
            "DO UPDATE SET a = excluded.a, b = excluded.b, at = excluded.at",
            [(own(board), colour, key, a, b, at) for key, (a, b) in rows.items()],
        )


def take(board: str, key: str) -> None:
    """Remove a row of a board."""
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM live_test_rows WHERE board = %s AND key = %s", [own(board), key])


def sign_in(identity: str, *, user_id: int = 1, colour: str = "red", version: str = "1", seconds: float = 3600) -> None:
    """Open a session, or change what it is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO live_test_sessions VALUES (%s, %s, %s, %s, %s) ON CONFLICT (identity) DO UPDATE "
            "SET colour = excluded.colour, version = excluded.version, until = excluded.until",
            [identity, user_id, colour, version, time.time() + seconds],
        )


def sign_out(identity: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM live_test_sessions WHERE identity = %s", [identity])
