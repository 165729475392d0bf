"""Publishing news of live views, from any process that has just committed something.

The usual call is `on_commit_publish("lag.board", "lag.group")` in a service: after the commit the rows of every watched key
of those views are read from Postgres again and what changed goes out in one call. Nothing here may hurt a poll: without the
server the news is counted and dropped, and the next publish carries it, because a delta is taken against the stored state.
"""

import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable

import redis
from django.db import InterfaceError, OperationalError, transaction
from psycopg_pool import PoolTimeout

from ops_portal.lib.live import frames, rows, store, views
from ops_portal.lib.live.store import State
from ops_portal.lib.live.views import Params, Snapshot, ViewKey

logger = logging.getLogger(__name__)

Match = Callable[[Params, str], bool]

# What this process did since it started, for /metrics: published, unchanged, conflicts, dropped, failed.
counts: Counter[str] = Counter()

_ATTEMPTS = 5
_MOST_KNOWN = 200
_PAUSE_SECONDS = 2.0  # after a failure the server is left alone that long, so that a poll waits for it at most once

_known: dict[str, State] = {}
_owed: set[str] = set()  # views whose news was dropped; the next call pays
_paused_until = 0.0


class Contended(Exception):
    """Others published the same key again and again; their news is at least as new."""


def watched_keys(view_name: str) -> list[ViewKey]:
    """The keys of this view that are on somebody's screen. Raises redis.RedisError without the server."""
    script = store.client().register_script(store.WATCHED)
    return [views.parse_key(text.decode()) for text in script(keys=[store.interest_name(view_name)])]


def publish_changed(*view_names: str, match: Match | None = None) -> int:
    """Read the watched keys of these views again and publish what changed; returns how many keys had news.

    `match(params, scope)` can leave out keys that cannot have changed (another cluster, another client). Never raises: faults
    are logged and counted.
    """
    published = 0
    try:
        if time.monotonic() < _paused_until:
            raise redis.ConnectionError("left alone after a failure")
        for name in dict.fromkeys([*view_names, *_owed]):
            for key in watched_keys(name):
                if match is None or name in _owed or match(key.params, key.scope):
                    before = counts["published"]
                    _refresh_counted(key)
                    published += counts["published"] > before
            _owed.discard(name)
    except redis.RedisError as error:
        _owed.update(view_names)
        _pause(error)
    except Exception:
        counts["failed"] += 1
        logger.exception("The live views %s could not be published.", ", ".join(view_names))
    return published


def on_commit_publish(*view_names: str, match: Match | None = None) -> None:
    """`publish_changed` once the current transaction is committed."""
    transaction.on_commit(lambda: publish_changed(*view_names, match=match), robust=True)


def refresh(key: ViewKey) -> State:
    """Bring the stored state of one key up to Postgres and return it.

    Rows are read after the state they are compared with, and a state that moved meanwhile is refused by the server, so
    older rows never replace newer ones. Raises redis.RedisError without the server, and what the snapshot raises.
    """
    known = _known.get(key.text) or read_state(key.text)
    for _ in range(_ATTEMPTS):
        state = _publish(key, known, key.snapshot())
        if state is not None:
            return state
        counts["conflicts"] += 1
        known = read_state(key.text)
    raise Contended(key.view.name)


def publish(key: ViewKey, snapshot: Snapshot) -> State | None:
    """Publish rows that the caller has just computed. None when something newer is already out.

    Raises redis.RedisError without the server.
    """
    known = _known.get(key.text) or read_state(key.text)
    for _ in range(_ATTEMPTS):
        if known.ts is not None and (snapshot.source_at is None or snapshot.source_at < known.ts):
            return None
        state = _publish(key, known, snapshot)
        if state is not None:
            return state
        known = read_state(key.text)
    raise Contended(key.view.name)


def read_state(key: str) -> State:
    """The state as the server has it. Raises redis.RedisError."""
    names = store.names_of(key)
    return store.decode_state(store.client().register_script(store.READ)(keys=[names.meta, names.snap]))


def forget() -> None:
    """Drop what this process remembers of the server; for tests."""
    global _paused_until
    _known.clear()
    _owed.clear()
    _paused_until = 0.0


def _refresh_counted(key: ViewKey) -> None:
    """A key that cannot be read costs no other its news. Raises where none could be read: without either server."""
    try:
        refresh(key)
    except Contended:
        counts["conflicts"] += 1
    except (redis.RedisError, OperationalError, InterfaceError, PoolTimeout):
        raise
    except Exception:
        counts["failed"] += 1
        logger.exception("The live view %s could not be published.", key.view.name)


def _publish(key: ViewKey, known: State, snapshot: Snapshot) -> State | None:
    """The state after publishing `snapshot` on top of `known`; None when the server's state is another by now."""
    ts = rows.source_time(snapshot)
    after = rows.stored_rows(key.view, snapshot)
    delta = rows.difference(key.view, known.rows, after, ts)
    if known.epoch and not delta and ts == known.ts:
        counts["unchanged"] += 1
        return _confirmed(key.text, known)
    epoch = known.epoch or secrets.token_hex(6)
    state = State(epoch, known.seq + 1, ts, secrets.token_hex(6), after)
    # A first state goes without rows: whoever hears of an unknown epoch reads the whole of it.
    wire_rows, deleted = (delta.rows, delta.deleted) if known.epoch else ([], [])
    body = frames.delta_body(state.seq, known.seq, ts, wire_rows, deleted)
    changed = {name: row for name, row in after.items() if known.rows.get(name) != row}
    names = store.names_of(key.text)
    accepted, _ = store.client().register_script(store.PUBLISH)(
        keys=[names.meta, names.snap, names.stream],
        args=[
            names.channel, state.pid, epoch, known.seq, "" if ts is None else repr(ts), store.STATE_SECONDS,
            store.STREAM_LENGTH, f"{epoch} {state.pid} {known.pid}\n{body}", len(changed), len(delta.deleted),
            *(part for pair in changed.items() for part in pair), *delta.deleted,
        ],
    )  # fmt: skip
    if not accepted:
        _known.pop(key.text, None)
        return None
    counts["published"] += 1
    _remember(key.text, state)
    return state


def _confirmed(key: str, known: State) -> State | None:
    """`known`, when the server still holds exactly that; nothing was written that would have told."""
    names = store.names_of(key)
    epoch, seq, _ = store.client().register_script(store.TOUCH)(
        keys=[names.meta, names.snap, names.stream], args=[store.STATE_SECONDS]
    )
    if epoch is not None and (epoch.decode(), int(seq)) == (known.epoch, known.seq):
        _remember(key, known)
        return known
    _known.pop(key, None)
    return None


def _remember(key: str, state: State) -> None:
    _known.pop(key, None)  # so that the dict stays in order of use
    _known[key] = state
    while len(_known) > _MOST_KNOWN:
        _known.pop(next(iter(_known)), None)


def _pause(error: redis.RedisError) -> None:
    global _paused_until
    counts["dropped"] += 1
    if time.monotonic() >= _paused_until:
        logger.warning("Live news was dropped, the live store does not answer: %s", error)
        _paused_until = time.monotonic() + _PAUSE_SECONDS
