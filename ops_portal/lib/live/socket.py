"""One open socket: what it shows, and the task that writes to it.

Nothing is queued per socket but short answers. A view has one slot with the position that was sent last; when the writer gets
to it, it takes whatever lies between that position and the present as one delta. So a slow reader costs no memory.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any

from ops_portal.lib.live import frames
from ops_portal.lib.live.topic import Topic
from ops_portal.lib.live.views import Watcher

logger = logging.getLogger(__name__)

VISIBLE_SECONDS = (
    0.95  # least time between two frames of a view, a little under its 1 Hz so that jitter does not halve it
)
FOCUSED_SECONDS = 0.24
HIDDEN_SECONDS = 10.0
SLOW_SECONDS = 10.0
_CLOSE_SECONDS = 5.0
_MOST_ANSWERS = 100

Send = Callable[[dict[str, Any]], Awaitable[None]]


class Slot:
    """One view on one socket: `epoch` and `seq` are where the reader is; an empty epoch asks for a snapshot."""

    __slots__ = (
        "confirm",
        "delta_head",
        "epoch",
        "gap",
        "params",
        "sent_at",
        "seq",
        "socket",
        "stale_why",
        "topic",
        "v",
    )

    def __init__(self, socket: "Socket", v: str, params: dict[str, Any], topic: Topic) -> None:
        self.socket = socket
        self.v = v
        self.params = params  # as the browser gave them: checked again when its rights change
        self.topic = topic
        self.delta_head = frames.head("d", v)
        self.epoch = ""
        self.seq = 0
        self.confirm = True  # the reader waits for an answer even if there is no news
        self.gap: str | None = None
        self.stale_why: str | None = None
        self.sent_at = 0.0

    def pending(self) -> bool:
        topic = self.topic
        if not topic.epoch:  # nothing loaded yet; that it is missing is worth telling
            return self.stale_why != topic.stale_why
        return self.confirm or self.seq != topic.seq or self.epoch != topic.epoch or self.stale_why != topic.stale_why

    def take(self, parts: list[str]) -> None:
        """Append the messages that bring the reader to the present."""
        topic = self.topic
        if topic.epoch:
            if self.epoch == topic.epoch and topic.covers(self.seq):
                if self.seq != topic.seq or self.confirm:
                    parts.append(self.delta_head + topic.delta_body(self.seq))
                self.seq, self.confirm = topic.seq, False
            else:
                self._take_snapshot(parts)
        if self.stale_why != topic.stale_why:
            parts.append(frames.encode("stale", v=self.v, since=topic.stale_since, why=topic.stale_why))
            self.stale_why = topic.stale_why

    def _take_snapshot(self, parts: list[str]) -> None:
        topic = self.topic
        body = topic.snapshot_body()
        if self.gap or not body:
            parts.append(frames.encode("gap", v=self.v, why=self.gap or "large"))
            self.gap = None
        if body:
            parts.append(frames.head("snap", self.v) + body)
        self.epoch, self.seq, self.confirm = topic.epoch, topic.seq, False
        self.stale_why = None


class Socket:
    """A socket and its writer. `granted` and `required` are entitlement versions: no frame leaves while they differ."""

    __slots__ = (
        "_closing",
        "_send",
        "_task",
        "_wake",
        "answers",
        "bad_frames",
        "budget",
        "budget_at",
        "focus",
        "granted",
        "greeted",
        "hidden",
        "opened_at",
        "required",
        "scoped_as",
        "sending_since",
        "slots",
        "watcher",
    )  # fmt: skip

    def __init__(self, send: Send, watcher: Watcher) -> None:
        self._send = send
        self.watcher = watcher
        self.slots: dict[str, Slot] = {}
        self.answers: list[str] = []
        self.hidden = False
        self.focus: str | None = None
        self.greeted = False
        self.granted = self.required = 0
        self.scoped_as = watcher.version  # whose rights all slots were last checked against
        self.sending_since = 0.0
        self.opened_at = self.budget_at = time.monotonic()
        self.budget = frames.MESSAGE_BURST
        self.bad_frames = 0
        self._closing: tuple[int, int] | None = None
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = asyncio.get_running_loop().create_task(self._write())

    @property
    def closing(self) -> bool:
        return self._closing is not None

    def spend(self, messages: int) -> bool:
        """False when the reader has sent more messages than the limits allow."""
        now = time.monotonic()
        self.budget = (
            min(frames.MESSAGE_BURST, self.budget + (now - self.budget_at) * frames.MESSAGES_PER_SECOND) - messages
        )
        self.budget_at = now
        return self.budget >= 0

    def answer(self, message: str) -> None:
        """Send a message of its own; one that nobody reads ends the socket rather than grow."""
        if len(self.answers) >= _MOST_ANSWERS:
            self.close(frames.SLOW)
        else:
            self.answers.append(message)
            self.poke()

    def close(self, code: int, retry_ms: int = 0) -> None:
        """Say goodbye and close. `retry_ms` is when the browser should come back, for codes that allow it."""
        if self._closing is None:
            self._closing = (code, retry_ms)
            self.poke()

    def poke(self) -> None:
        """Let the writer look for something to send."""
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    def end_if_slow(self, now: float) -> None:
        """End a socket whose reader has not taken a frame for ten seconds. `now` is monotonic."""
        if self.sending_since and now - self.sending_since > SLOW_SECONDS and self._task is not None:
            self._closing = (frames.SLOW, 0)
            self._task.cancel()
            self._task = asyncio.get_running_loop().create_task(self._abort())
            self.sending_since = 0.0

    async def stop(self) -> None:
        """End the writer; the connection is gone."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _write(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            while self._closing is None:
                frame, wait = self._collect()
                if frame:
                    self.sending_since = time.monotonic()
                    await self._send({"type": "websocket.send", "text": frame})
                    self.sending_since = 0.0
                    continue
                self._wake = loop.create_future()
                timer = loop.call_later(wait, self.poke) if wait is not None else None
                await self._wake
                if timer is not None:
                    timer.cancel()
            await self._say_goodbye(*self._closing)
        except OSError:
            pass  # the reader is gone; the consumer hears of it by itself

    def _collect(self) -> tuple[str, float | None]:
        """The next frame, or how long nothing is due (None: until somebody pokes)."""
        if self.granted != self.required:
            return "", None
        parts, self.answers = self.answers, []
        now, wait = time.monotonic(), None
        for slot in self.slots.values():
            if not slot.pending():
                continue
            left = slot.sent_at + self._interval(slot) - now
            if left <= 0 or slot.confirm or slot.gap:
                slot.sent_at = now
                slot.take(parts)
            elif wait is None or left < wait:
                wait = left
        return (frames.join(parts) if parts else ""), wait

    def _interval(self, slot: Slot) -> float:
        if self.hidden:
            return HIDDEN_SECONDS
        return FOCUSED_SECONDS if slot.v == self.focus else VISIBLE_SECONDS

    async def _say_goodbye(self, code: int, retry_ms: int) -> None:
        if self.granted == self.required:
            for answer in self.answers:  # the reason of the end may be among them
                await self._send({"type": "websocket.send", "text": answer})
        text = frames.encode("bye", code=code, retry_ms=retry_ms)
        await self._send({"type": "websocket.send", "text": text})
        await self._send({"type": "websocket.close", "code": code})

    async def _abort(self) -> None:
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                await self._send({"type": "websocket.close", "code": frames.SLOW})
        except TimeoutError:
            # Closing waits for a reader that does not read, so the connection itself is dropped. uvicorn offers no call for
            # it, but `send` is a method of the protocol that holds the transport.
            transport = getattr(getattr(self._send, "__self__", None), "transport", None)
            if transport is not None:
                transport.abort()
            else:
                logger.warning("A socket whose reader is stuck cannot be dropped with this server.")
        except OSError:
            pass
