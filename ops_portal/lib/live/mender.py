"""Keeps the topics of a hub whole: loads them, replays what was missed, and reads Postgres where that is not enough."""

import logging
import secrets
import time
from typing import TYPE_CHECKING, Any

import redis

from ops_portal.lib.live import publish, rows, snapshots, store
from ops_portal.lib.live.link import Link
from ops_portal.lib.live.store import State
from ops_portal.lib.live.topic import LOCAL, Entry, News, Topic
from ops_portal.lib.live.views import ViewKey

if TYPE_CHECKING:
    from ops_portal.lib.live.hub import Hub

logger = logging.getLogger(__name__)

CHECK_SECONDS = 5.0
_REPLAYED_ON_LOAD = 60


class Mender:
    """Runs on the event loop of its hub."""

    def __init__(self, hub: "Hub", link: Link) -> None:
        self._hub = hub
        self._link = link

    async def mend(self, topic: Topic) -> None:
        """Load the topic, or bring it up to the server's state; one at a time per topic."""
        topic.missed = True
        if topic.loading:
            return
        topic.loading = True
        try:
            while topic.missed and self._hub.topics.get(topic.key.text) is topic:
                topic.missed = False
                await self._mend_once(topic)
                topic.failed = False
        except Exception:
            self._hub.counts["load_failed"] += 1
            topic.failed = True
            logger.exception("The live view %s could not be read.", topic.key.view.name)
        finally:
            topic.loading = False
        self._hub.update_stale(topic)
        topic.wake()

    async def _mend_once(self, topic: Topic) -> None:
        try:
            if not topic.epoch:
                await self._link.subscribe(store.names_of(topic.key.text).channel)
            elif await self._catch_up(topic) and not topic.reread:
                return
        except (redis.RedisError, OSError):
            if topic.epoch and time.monotonic() - topic.checked_at < CHECK_SECONDS:
                return
        await self._load(topic)

    async def _load(self, topic: Topic) -> None:
        """Take the state from Postgres, publishing it if the server answers."""
        topic.checked_at, topic.reread = time.monotonic(), False
        state, topic.period = await self._hub.in_thread(_load_state, topic.key)
        topic.checked_at = time.monotonic()
        if state.epoch.startswith(LOCAL):
            topic.take_local(state)
            return
        if (topic.epoch, topic.seq) == (state.epoch, state.seq):
            return
        if topic.epoch == state.epoch and topic.seq > state.seq:
            return  # news overtook the reading
        self._hub.counts["resets"] += bool(topic.epoch)
        topic.reset(state)
        try:
            topic.prepend(await self._recent(topic))
            await self._catch_up(topic)
        except (redis.RedisError, OSError):
            topic.missed = True

    async def _catch_up(self, topic: Topic) -> bool:
        """Replay what the stream has beyond the topic; False when its state must be taken as a whole."""
        if topic.local:
            return False
        names = store.names_of(topic.key.text)
        own, own_pid = topic.seq, topic.pid  # before the call: what is heard meanwhile is newer than its answer
        epoch, seq, pid = await self._position(names)
        if epoch != topic.epoch:
            return False
        if seq == own and pid == own_pid:
            return True
        if seq > own:
            found: Any = await self._link.commands.xrange(names.stream, min=f"{own}-0")
            replayed = topic.replay([News.parse(fields[b"p"]) for _, fields in found], own, own_pid)
            if replayed is not None:
                self._hub.counts["replayed"] += 1
                topic.wake()
                return replayed and topic.seq >= seq
        # The server came back without what it had told us: it goes on under the same numbers with other content.
        self._hub.counts["rewound"] += 1
        await self._link.commands.eval(store.RESET, 3, names.meta, names.snap, names.stream, topic.epoch)
        return False

    async def _position(self, names: store.Names) -> tuple[str, int, str]:
        answer = await self._link.commands.eval(
            store.TOUCH, 3, names.meta, names.snap, names.stream, str(store.STATE_SECONDS)
        )
        epoch, seq, pid = answer
        return (epoch.decode(), int(seq), pid.decode()) if epoch is not None else ("", 0, "")

    async def _recent(self, topic: Topic) -> list[Entry]:
        """The last deltas before the topic's state, so that readers of before go on without a snapshot."""
        found: Any = await self._link.commands.xrevrange(store.names_of(topic.key.text).stream, count=_REPLAYED_ON_LOAD)
        parsed = [News.parse(fields[b"p"]) for _, fields in reversed(found)]
        return [news.entry for news in parsed if news.epoch == topic.epoch and news.entry.s > 1]


def _load_state(key: ViewKey) -> tuple[State, float | None]:
    """The key's state as of now and its period. Without the server the epoch is local to this process."""
    period = key.period_seconds()
    try:
        snapshots.watch([key])
        return publish.refresh(key), period
    except (redis.RedisError, publish.Contended):
        found = key.snapshot()
        stored = rows.stored_rows(key.view, found)
        return State(LOCAL + secrets.token_hex(6), 1, rows.source_time(found), "", stored), period
