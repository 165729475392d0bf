"""The hub of a web process: it hears the news of every view that its sockets show, and keeps them whole.

Everything here runs on the event loop; what reads Postgres or publishes runs in a few threads.
"""

import asyncio
import logging
import random
import secrets
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeVar

import orjson
import redis
from channels.db import database_sync_to_async
from django.db import connection

from ops_portal.lib import units
from ops_portal.lib.clock import Clock
from ops_portal.lib.live import frames, publish, rows, sessions, snapshots, store, views
from ops_portal.lib.live.link import SILENT_SECONDS, Link
from ops_portal.lib.live.socket import Slot, Socket
from ops_portal.lib.live.store import State
from ops_portal.lib.live.topic import Entry, Topic
from ops_portal.lib.live.views import ViewKey, Watcher

logger = logging.getLogger(__name__)

T = TypeVar("T")

CHECK_SECONDS = 5.0
SESSION_SECONDS = 2.0
REVALIDATE_SECONDS = 30.0
HELLO_SECONDS = 10.0
LINGER_SECONDS = 30.0
_THREADS = 4
_REPLAYED_ON_LOAD = 60
_LOCAL = "local-"  # epochs of a process that reads Postgres alone because the server is away


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
        self._tasks: set[asyncio.Task[None]] = set()
        self._next = {"check": 0.0, "session": 0.0, "revalidate": 0.0}
        self._drain_until = 0.0

    async def start(self) -> None:
        await self._anchor_clock()
        self._spawn(self._link.run())
        self._spawn(self._tick_forever())

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
        self.detach(socket, v)
        topic = self.topics.get(key.text) or self._open_topic(key)
        slot = Slot(socket, v, params, topic)
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
        """For each (view, params) the key this watcher may see, or UnknownView, ValueError or Forbidden."""
        outcome: list[ViewKey | Exception] = await self.in_thread(_authorise_all, watcher, list(wanted))
        return outcome

    # --- Topics --------------------------------------------------------------------------------------

    def _open_topic(self, key: ViewKey) -> Topic:
        topic = self.topics[key.text] = Topic(key)
        self._by_channel[store.names_of(key.text).channel] = topic
        self._spawn(self._mend(topic))
        return topic

    def _close_topic(self, topic: Topic) -> None:
        channel = store.names_of(topic.key.text).channel
        del self.topics[topic.key.text], self._by_channel[channel]
        self._spawn(self._link.unsubscribe(channel))

    def _on_message(self, channel: str, data: bytes) -> None:
        if channel == store.control_channel():
            self._on_control(data)
            return
        topic = self._by_channel.get(channel)
        if topic is None or not topic.epoch:
            return  # what comes while a topic is loaded is found in the stream afterwards
        epoch, pid, ts, entry = _parse_payload(data)
        if epoch == topic.epoch and entry.s <= topic.seq:
            return
        if epoch == topic.epoch and entry.ps == topic.seq:
            topic.append(pid, ts, entry)
            self._update_stale(topic)
            topic.wake()
        else:
            self.counts["gaps"] += 1
            self._spawn(self._mend(topic))

    async def _on_up(self) -> None:
        """The server is heard (again): find out for every topic what was missed."""
        self.counts["connected"] += 1
        for topic in list(self.topics.values()):
            self._spawn(self._mend(topic))

    async def _mend(self, topic: Topic) -> None:
        """Load the topic, or bring it up to the server's state; one at a time per topic."""
        topic.missed = True
        if topic.loading:
            return
        topic.loading = True
        try:
            while topic.missed and self.topics.get(topic.key.text) is topic:
                topic.missed = False
                await self._mend_once(topic)
                topic.failed = False
        except Exception:
            self.counts["load_failed"] += 1
            topic.failed = True
            logger.exception("The live view %s could not be read.", topic.key.view.name)
        finally:
            topic.loading = False
        self._update_stale(topic)
        topic.wake()

    async def _mend_once(self, topic: Topic) -> None:
        try:
            if not topic.epoch:
                await self._link.subscribe(store.names_of(topic.key.text).channel)
            elif await self._catch_up(topic):
                return
        except (redis.RedisError, OSError):
            if topic.epoch and time.monotonic() - topic.checked_at < CHECK_SECONDS:
                return
        await self._load(topic)

    async def _load(self, topic: Topic) -> None:
        """Take the state from Postgres, publishing it if the server answers."""
        topic.checked_at = time.monotonic()
        state, topic.period = await self.in_thread(_load_state, topic.key)
        topic.checked_at = time.monotonic()
        if state.epoch.startswith(_LOCAL):
            self._take_local(topic, state)
            return
        if (topic.epoch, topic.seq) == (state.epoch, state.seq):
            return
        if topic.epoch == state.epoch and topic.seq > state.seq:
            return  # news overtook the reading
        self.counts["resets"] += bool(topic.epoch)
        topic.reset(state)
        try:
            topic.prepend(await self._recent(topic))
            await self._catch_up(topic)
        except (redis.RedisError, OSError):
            topic.missed = True

    def _take_local(self, topic: Topic, state: State) -> None:
        """Without the server: deltas against the last reading, under an epoch of this process."""
        if not topic.epoch.startswith(_LOCAL):
            topic.reset(state)
            topic.local_rows = state.rows
            return
        delta = rows.difference(topic.key.view, topic.local_rows, state.rows, state.ts)
        if not delta and state.ts == topic.table.ts:
            return
        body = frames.delta_body(topic.seq + 1, topic.seq, state.ts, delta.rows, delta.deleted)
        entry = Entry(topic.seq + 1, topic.seq, time.monotonic(), list(delta.rows), delta.deleted, body)
        topic.append("", state.ts, entry)
        topic.local_rows = state.rows

    async def _catch_up(self, topic: Topic) -> bool:
        """Replay what the stream has beyond the topic; False when its state must be taken as a whole."""
        if topic.epoch.startswith(_LOCAL):
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
            news = [_parse_payload(fields[b"p"]) for _, fields in found]
            if not news or news[0][3].s > own:
                return False  # the stream has been cut
            if news[0][1] == own_pid:
                self._replay(topic, news)
                return topic.seq >= seq
        # The server came back without what it had told us: it goes on under the same numbers with other content.
        self.counts["rewound"] += 1
        await self._link.commands.eval(store.RESET, 3, names.meta, names.snap, names.stream, topic.epoch)
        return False

    def _replay(self, topic: Topic, news: list[tuple[str, str, float | None, Entry]]) -> None:
        for _, pid, ts, entry in news:
            if entry.ps == topic.seq:
                topic.append(pid, ts, entry)
                self.counts["replayed"] += 1
        topic.wake()

    async def _position(self, names: store.Names) -> tuple[str, int, str]:
        answer = await self._link.commands.eval(
            store.TOUCH, 3, names.meta, names.snap, names.stream, str(store.STATE_SECONDS)
        )
        epoch, seq, pid = answer
        return (epoch.decode(), int(seq), pid.decode()) if epoch is not None else ("", 0, "")

    async def _recent(self, topic: Topic) -> list[Entry]:
        """The last deltas before the topic's state, so that readers of before go on without a snapshot."""
        found: Any = await self._link.commands.xrevrange(store.names_of(topic.key.text).stream, count=_REPLAYED_ON_LOAD)
        parsed = [_parse_payload(fields[b"p"]) for _, fields in reversed(found)]
        return [entry for epoch, _, _, entry in parsed if epoch == topic.epoch and entry.s > 1]

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
                self._update_stale(topic)
                self._mend_if_needed(topic, now)
        if self._due("session", SESSION_SECONDS, now):
            self._spawn(self._sweep(now))
        if self._due("check", CHECK_SECONDS, now) and self._link.up:
            await self._keep_interest()
            for topic in list(self.topics.values()):
                self._spawn(self._mend(topic))

    def _mend_if_needed(self, topic: Topic, now: float) -> None:
        """A topic without data, or without the server, is read from Postgres every five seconds."""
        away = not self._link.up and now - self._link.heard_at > CHECK_SECONDS
        if (topic.failed or away) and now - topic.checked_at > CHECK_SECONDS:
            self._spawn(self._mend(topic))

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

    def _update_stale(self, topic: Topic) -> None:
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
        if not self._link.up and silent > SILENT_SECONDS and not topic.epoch.startswith(_LOCAL):
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

    # --- Sessions ------------------------------------------------------------------------------------

    def _on_control(self, data: bytes) -> None:
        event = orjson.loads(data)
        if "check" in event:
            user_id, identity = event["check"]["user_id"], event["check"]["identity"]
            found = [
                socket
                for socket in self.sockets
                if (user_id is None or socket.watcher.user_id == user_id)
                and (identity is None or socket.watcher.identity == identity)
            ]
            for socket in found:
                socket.required += 1  # from here on no frame leaves until it has been checked
            self._spawn(self._recheck(found))
        elif "extend" in event:
            for socket in self.sockets:
                if socket.watcher.identity == event["extend"]["identity"]:
                    socket.watcher = replace(socket.watcher, expires_at=event["extend"]["expires_at"])
        elif "drain" in event:
            self._spawn(self._drain())

    async def _sweep(self, now: float) -> None:
        """Check expired and suspended sockets; all of them from time to time, or often while no event can come."""
        everybody = self._due("revalidate", REVALIDATE_SECONDS if self._link.up else SESSION_SECONDS, now)
        clock = self.clock.now()
        found = [
            socket
            for socket in self.sockets
            if everybody or socket.granted != socket.required or socket.watcher.expires_at <= clock
        ]
        await self._recheck(found)
        if everybody:
            await self._anchor_clock()

    async def _recheck(self, found: list[Socket]) -> None:
        found = [socket for socket in found if not socket.closing]
        if not found:
            return
        required = {socket: socket.required for socket in found}
        distinct = list({socket.watcher.identity: socket.watcher for socket in found}.values())
        try:
            fresh = await self.in_thread(sessions.hooks().revalidate, distinct)
        except Exception:
            self.counts["recheck_failed"] += 1
            logger.exception("Open sockets could not be checked; those under suspicion stay silent.")
            return
        for socket in found:
            watcher = fresh.get(socket.watcher.identity)
            if watcher is None or watcher.expires_at <= self.clock.now():
                socket.close(frames.SESSION_OVER)
                continue
            changed = watcher.version != socket.watcher.version
            socket.watcher = watcher
            if changed and not await self._rescope(socket):
                continue
            socket.granted = required[socket]
            socket.poke()

    async def _rescope(self, socket: Socket) -> bool:
        """Show the same views as the watcher may see them now; False when that could not be found out."""
        slots = list(socket.slots.values())
        try:
            outcome = await self.authorise(socket.watcher, [(slot.topic.key.view.name, slot.params) for slot in slots])
        except Exception:
            logger.exception("A socket could not be subscribed anew.")
            return False
        for slot, key in zip(slots, outcome, strict=True):
            if socket.slots.get(slot.v) is not slot:
                continue
            if isinstance(key, Exception):
                self.detach(socket, slot.v)
                socket.answer(refusal(slot.v, key))
            elif key.text != slot.topic.key.text:
                self.attach(socket, slot.v, slot.params, key).gap = "scope"
        return True

    async def _drain(self) -> None:
        """Send everybody away, spread over a few seconds."""
        found = list(self.sockets)
        spread = 8000 if len(found) <= 1000 else 15_000
        for index, socket in enumerate(found):
            socket.close(frames.DRAIN, retry_ms=random.randrange(spread))  # noqa: S311 - spreads load, guards nothing
            if index % 200 == 199:
                await asyncio.sleep(0.05)

    async def _anchor_clock(self) -> None:
        try:
            self.clock = await self.in_thread(_database_clock)
        except Exception:
            logger.warning("The database's time is not known; the last known one goes on.", exc_info=True)

    def _spawn(self, work: Any) -> None:
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


def refusal(v: str, reason: Exception) -> str:
    """The error message for a view that cannot be shown."""
    match reason:
        case views.Forbidden():
            return frames.error("forbidden", "You may not see this view.", v)
        case views.UnknownView():
            return frames.error("unknown_view", "There is no view of that name.", v)
        case _:
            return frames.error("bad_params", str(reason), v)


def _parse_payload(data: bytes) -> tuple[str, str, float | None, Entry]:
    """Epoch, publish id, source time and delta of what PUBLISH sent."""
    header, _, body = data.partition(b"\n")
    epoch, _, pid = header.decode().partition(" ")
    text = body.decode()
    fields = orjson.loads("{" + text)
    entry = Entry(fields["s"], fields["ps"], time.monotonic(), fields["rows"], fields["del"], text)
    return epoch, pid, fields["ts"], entry


def _authorise_all(watcher: Watcher, wanted: list[tuple[str, dict[str, Any]]]) -> list[ViewKey | Exception]:
    outcome: list[ViewKey | Exception] = []
    for name, params in wanted:
        try:
            outcome.append(views.authorise(name, watcher, params))
        except (views.UnknownView, views.Forbidden, ValueError) as error:
            outcome.append(error)
    return outcome


def _load_state(key: ViewKey) -> tuple[State, float | None]:
    """The key's state as of now and its period. Without the server the epoch is local to this process."""
    period = key.period_seconds()
    try:
        snapshots.watch([key])
        return publish.refresh(key), period
    except (redis.RedisError, publish.Contended):
        found = key.snapshot()
        stored = rows.stored_rows(key.view, found)
        return State(_LOCAL + secrets.token_hex(6), 1, rows.source_time(found), "", stored), period


def _database_clock() -> Clock:
    with connection.cursor() as cursor:
        cursor.execute("SELECT extract(epoch FROM clock_timestamp())::float8")
        return Clock(cursor.fetchone()[0])
