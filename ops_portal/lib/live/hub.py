"""The hub of a web process: it hears the news of every view that its sockets show, and keeps them whole.

Everything here runs on the event loop; what reads Postgres or publishes runs in a few threads.
"""

import asyncio
import logging
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

import redis
from channels.db import database_sync_to_async
from django.db import connection

from ops_portal.lib import units
from ops_portal.lib.clock import Clock
from ops_portal.lib.live import frames, store, views
from ops_portal.lib.live.guard import Guard
from ops_portal.lib.live.link import SILENT_SECONDS, Link
from ops_portal.lib.live.mender import CHECK_SECONDS, Mender
from ops_portal.lib.live.socket import Slot, Socket
from ops_portal.lib.live.topic import News, Topic
from ops_portal.lib.live.views import ViewKey, Watcher

logger = logging.getLogger(__name__)

T = TypeVar("T")

SESSION_SECONDS = 2.0
REVALIDATE_SECONDS = 30.0
HELLO_SECONDS = 10.0
LINGER_SECONDS = 15.0
REREAD_SECONDS = 60.0
DOUBT_SECONDS = 600.0
_THREADS = 4


class Hub:
    """One per event loop; `await current()` gives it."""

    def __init__(self) -> None:
        self.topics: dict[str, Topic] = {}
        self.sockets: dict[Socket, None] = {}
        self.counts: Counter[str] = Counter()
        self.id = secrets.token_hex(6)
        self.clock = Clock(time.time())  # until the database has been asked
        self._by_channel: dict[str, Topic] = {}
        self._per_user: Counter[int] = Counter()
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="live")
        self._link = Link(self._on_message, self._on_up)
        self._guard = Guard(self)
        self._mender = Mender(self, self._link)
        self._tasks: set[asyncio.Task[None]] = set()
        self._store_run = ""
        self._doubt_until = time.monotonic() + DOUBT_SECONDS  # until the server has told its age
        self._next = {"check": 0.0, "session": 0.0, "revalidate": 0.0}

    async def start(self) -> None:
        await self._anchor_clock()
        self.spawn(self._link.run())
        self.spawn(self._tick_forever())

    async def stop(self) -> None:
        """End all tasks; for tests and orderly ends."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._pool.shutdown(wait=False)

    def in_thread(self, function: Callable[..., T], *args: Any) -> Any:
        """Run a function that may query; its connection goes back to the pool afterwards."""
        return database_sync_to_async(function, thread_sensitive=False, executor=self._pool)(*args)

    # --- Sockets -------------------------------------------------------------------------------------

    def admit(self, socket: Socket) -> bool:
        """Take the socket in; False when its user has too many."""
        user_id = socket.watcher.user_id
        if self._per_user[user_id] >= frames.MOST_SOCKETS_PER_USER:
            return False
        self._per_user[user_id] += 1
        self.sockets[socket] = None
        return True

    async def dismiss(self, socket: Socket) -> None:
        """Forget a socket whose connection has ended."""
        if socket in self.sockets:
            del self.sockets[socket]
            user_id = socket.watcher.user_id
            self._per_user[user_id] -= 1
            if not self._per_user[user_id]:
                del self._per_user[user_id]
        for v in list(socket.slots):
            self.detach(socket, v)
        await socket.stop()

    def attach(
        self, socket: Socket, v: str, params: dict[str, Any], key: ViewKey, epoch: str = "", seq: int = 0
    ) -> Slot:
        """Show the key on the socket as `v`, continued from (epoch, seq) when that is possible."""
        before = socket.slots.get(v)
        self.detach(socket, v)
        topic = self.topics.get(key.text) or self._open_topic(key)
        slot = Slot(socket, v, params, topic)
        if time.monotonic() >= self._doubt_until or (before is not None and before.topic is topic):
            slot.epoch, slot.seq = epoch, seq
        socket.slots[v] = slot
        topic.slots[slot] = None
        topic.empty_since = None
        socket.poke()
        return slot

    def detach(self, socket: Socket, v: str) -> None:
        """Show `v` no more."""
        slot = socket.slots.pop(v, None)
        if slot is not None:
            del slot.topic.slots[slot]
            if not slot.topic.slots:
                slot.topic.empty_since = time.monotonic()

    async def authorise(
        self, watcher: Watcher, wanted: Iterable[tuple[str, dict[str, Any]]]
    ) -> list[ViewKey | Exception]:
        """For each (view, params) the key this watcher may see, one of `views.REFUSALS`, or what else went wrong."""
        outcome: list[ViewKey | Exception] = await self.in_thread(_authorise_all, watcher, list(wanted))
        return outcome

    # --- Topics --------------------------------------------------------------------------------------

    def _open_topic(self, key: ViewKey) -> Topic:
        topic = self.topics[key.text] = Topic(key)
        self._by_channel[store.names_of(key.text).channel] = topic
        self.spawn(self._mender.mend(topic))
        return topic

    def _close_topic(self, topic: Topic) -> None:
        channel = store.names_of(topic.key.text).channel
        del self.topics[topic.key.text], self._by_channel[channel]
        self.spawn(self._link.unsubscribe(channel))

    def _on_message(self, channel: str, data: bytes) -> None:
        if channel == store.control_channel():
            self._guard.on_event(data)
            return
        topic = self._by_channel.get(channel)
        if topic is None or not topic.epoch:
            return  # what comes while a topic is loaded is found in the stream afterwards
        if topic.offer(News.parse(data)):
            self.update_stale(topic)
            topic.wake()
        else:
            self.counts["gaps"] += 1
            self.spawn(self._mender.mend(topic))

    async def _on_up(self) -> None:
        """The server is heard (again): find out for every topic what was missed."""
        self.counts["connected"] += 1
        await self._date_the_store()
        for topic in list(self.topics.values()):
            topic.reread = self.counts["connected"] > 1  # what was committed meanwhile may never have been published
            self.spawn(self._mender.mend(topic))

    async def _date_the_store(self) -> None:
        """A server that lost power may have lost its last second and count on under the same numbers.

        Open sockets are safe, their topics compare publish ids; but a position that a browser brings along proves nothing
        until the server has run for longer than browsers keep trying.
        """
        try:
            server = await self._link.commands.info("server")
            run_id, uptime = str(server["run_id"]), float(server["uptime_in_seconds"])
        except (redis.RedisError, OSError, KeyError):
            run_id, uptime = "", 0.0
        if run_id != self._store_run or not run_id:
            self._store_run = run_id
            self._doubt_until = time.monotonic() + DOUBT_SECONDS - uptime

    # --- Once a second -------------------------------------------------------------------------------

    async def _tick_forever(self) -> None:
        while True:
            await asyncio.sleep(1.0)
            try:
                await self._tick(time.monotonic())
            except (redis.RedisError, OSError):
                self.counts["store_errors"] += 1
            except Exception:
                logger.exception("A tick of the live hub failed.")

    async def _tick(self, now: float) -> None:
        for socket in list(self.sockets):
            socket.end_if_slow(now)
            if not socket.greeted and now - socket.opened_at > HELLO_SECONDS:
                socket.close(frames.BAD_PROTOCOL)
        for topic in list(self.topics.values()):
            if topic.empty_since is not None and now - topic.empty_since > LINGER_SECONDS:
                self._close_topic(topic)
            else:
                self.update_stale(topic)
                self._mend_if_needed(topic, now)
        if self._due("session", SESSION_SECONDS, now):
            often = not self._link.up  # then no event comes
            everybody = self._due("revalidate", SESSION_SECONDS if often else REVALIDATE_SECONDS, now)
            self.spawn(self._guard.sweep(everybody=everybody))
            if everybody and not often:
                self.spawn(self._anchor_clock())
        if self._due("check", CHECK_SECONDS, now) and self._link.up:
            await self._keep_interest()
            for topic in list(self.topics.values()):
                self.spawn(self._mender.mend(topic))

    def _mend_if_needed(self, topic: Topic, now: float) -> None:
        """A topic without data, or without the server, is read from Postgres every five seconds.

        Every other one now and then, in case a process died between its commit and the publish.
        """
        away = not self._link.up and now - self._link.heard_at > CHECK_SECONDS
        age = now - topic.checked_at
        topic.reread = topic.reread or age > REREAD_SECONDS
        if age > CHECK_SECONDS and (topic.failed or away or topic.reread):
            self.spawn(self._mender.mend(topic))

    async def _keep_interest(self) -> None:
        keys = [topic.key for topic in self.topics.values()]
        if keys:
            await self._link.commands.eval(
                store.WATCH,
                len(keys),
                *(store.interest_name(key.view.name) for key in keys),
                str(store.INTEREST_SECONDS),
                *(key.text for key in keys),
            )

    def update_stale(self, topic: Topic) -> None:
        why, since = self._staleness(topic)
        if why != topic.stale_why:
            topic.stale_why, topic.stale_since = why, since
            topic.wake()

    def _staleness(self, topic: Topic) -> tuple[str | None, float | None]:
        if topic.failed:
            return "database", topic.table.ts
        if not topic.epoch:
            return None, None
        silent = time.monotonic() - self._link.heard_at
        if not self._link.up and silent > SILENT_SECONDS and not topic.local:
            return "transport", self.clock.now() - silent
        if topic.period is not None:
            age = None if topic.table.ts is None else self.clock.now() - topic.table.ts
            if units.is_stale(age, topic.period):
                return "source", topic.table.ts
        return None, None

    def _due(self, what: str, period: float, now: float) -> bool:
        if now < self._next[what]:
            return False
        self._next[what] = now + period
        return True

    async def _anchor_clock(self) -> None:
        try:
            self.clock = await self.in_thread(_database_clock)
        except Exception:
            logger.warning("The database's time is not known; the last known one goes on.", exc_info=True)

    def spawn(self, work: Any) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)


_hubs: dict[int, Hub] = {}
_starting: dict[int, asyncio.Task[None]] = {}


async def current() -> Hub:
    """The running loop's hub, started on first use."""
    loop_id = id(asyncio.get_running_loop())
    hub = _hubs.get(loop_id)
    if hub is None:
        hub = _hubs[loop_id] = Hub()
        _starting[loop_id] = asyncio.get_running_loop().create_task(hub.start())
    await asyncio.shield(_starting[loop_id])
    return hub


def _authorise_all(watcher: Watcher, wanted: list[tuple[str, dict[str, Any]]]) -> list[ViewKey | Exception]:
    outcome: list[ViewKey | Exception] = []
    for name, params in wanted:
        try:
            outcome.append(views.authorise(name, watcher, params))
        except views.REFUSALS as error:
            outcome.append(error)
        except Exception as error:
            logger.exception("Who may see the live view %s could not be found out.", name)
            outcome.append(error)
    return outcome


def _database_clock() -> Clock:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        return Clock(cursor.fetchone()[0])
