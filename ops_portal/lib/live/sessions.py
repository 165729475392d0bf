"""Sessions on open sockets: the hooks that accounts hands in, and the events that reach every web process.

A socket is checked at the handshake, at every event below, and by a sweep in case an event was lost.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any

import orjson
import redis
from django.db import transaction

from ops_portal.lib.live import store
from ops_portal.lib.live.views import Watcher

logger = logging.getLogger(__name__)

Authenticate = Callable[[Mapping[str, Any]], Watcher | None]
Revalidate = Callable[[Sequence[Watcher]], Mapping[str, Watcher | None]]


@dataclass(frozen=True, slots=True)
class Hooks:
    """What the accounts app does for sockets. Both run in a thread and may query.

    - `authenticate(scope)`: the watcher behind the handshake's ASGI scope (headers with cookie or bearer token), or None.
    - `revalidate(watchers)`: identity -> the watcher as of now, None when that session is over. One query for all.
    """

    authenticate: Authenticate
    revalidate: Revalidate


_hooks: Hooks | None = None


def configure(*, authenticate: Authenticate, revalidate: Revalidate) -> None:
    """Hand in the hooks, in `apps.ready`. The last call counts."""
    global _hooks
    _hooks = Hooks(authenticate, revalidate)


def hooks() -> Hooks:
    if _hooks is None:
        raise RuntimeError("nobody has called ops_portal.lib.live.sessions.configure")
    return _hooks


def identity_of(secret: str) -> str:
    """The name under which a session key or token goes around: a hash, so that no event or log line carries the secret."""
    return sha256(secret.encode()).hexdigest()[:32]


def revoke(*, user_id: int | None = None, identity: str | None = None) -> None:
    """Have every open socket of this user or session checked again at once, after the current transaction's commit.

    Call it for sign-out, password, `is_active`, role, client and token changes. A session that is over closes with 4401; one
    that sees other things than before is subscribed anew. Without arguments all sockets are checked.
    """
    _announce({"check": {"user_id": user_id, "identity": identity}})


def extend(*, identity: str, expires_at: float) -> None:
    """Move the deadline of open sockets of this session, after the commit. `expires_at`: seconds since the epoch."""
    _announce({"extend": {"identity": identity, "expires_at": expires_at}})


def drain() -> None:
    """Ask every socket of every web process to connect again elsewhere; call it before processes are stopped."""
    _announce({"drain": {}})


def _announce(event: dict[str, Any]) -> None:
    transaction.on_commit(lambda: _send(event), robust=True)


def _send(event: dict[str, Any]) -> None:
    try:
        store.client().publish(store.control_channel(), orjson.dumps(event))
    except redis.RedisError as error:
        # Sockets are swept every 2 s while a process hears nothing from the server, every 30 s otherwise.
        logger.warning("A session event did not reach the web processes at once: %s", error)
