"""The socket endpoint: checks frames and forwards them to the hub. No queries, no rules, no channel layer."""

import logging
from typing import TYPE_CHECKING, Any, cast

from channels.consumer import AsyncConsumer
from channels.exceptions import StopConsumer

from ops_portal.lib.live import frames, hub, sessions
from ops_portal.lib.live.frames import BadFrame, Hello, Message, Ping, Sub, Unsub, Vis
from ops_portal.lib.live.guard import refusal
from ops_portal.lib.live.origin import origin_allowed
from ops_portal.lib.live.socket import Send, Socket

if TYPE_CHECKING:
    from ops_portal.lib.live.views import Watcher

logger = logging.getLogger(__name__)

_TRY_LATER_MS = 5000
_ENDING = {"rate_limit_exceeded", "too_large", "too_many_views", "bad_proto"}


class LiveConsumer(AsyncConsumer):
    """One open socket on `/ws/live/`."""

    channel_layer_alias = "none"  # not configured on purpose: fan-out goes through the hub
    _hub: hub.Hub
    _socket: Socket | None = None

    async def dispatch(self, message: dict[str, Any]) -> None:
        """Channels' own dispatch would close database connections in a shared thread for every frame."""
        match message["type"]:
            case "websocket.connect":
                await self._connect()
            case "websocket.receive":
                if self._socket is not None and not self._socket.closing:
                    await self._receive(self._socket, message)
            case "websocket.disconnect":
                if self._socket is not None:
                    await self._hub.dismiss(self._socket)
                raise StopConsumer

    async def _connect(self) -> None:
        send = cast("Send", self.base_send)
        if not origin_allowed(self.scope["headers"]):
            await send({"type": "websocket.close"})
            return
        await send({"type": "websocket.accept"})
        self._hub = await hub.current()
        try:
            watcher: Watcher | None = await self._hub.in_thread(sessions.hooks().authenticate, self.scope)
        except Exception:
            logger.exception("A socket could not be authenticated.")
            await _refuse(send, frames.DRAIN, _TRY_LATER_MS)
            return
        if watcher is None or watcher.expires_at <= self._hub.clock.now():
            await _refuse(send, frames.SESSION_OVER)
            return
        socket = Socket(send, watcher)
        if self._hub.admit(socket):
            self._socket = socket
        else:
            await socket.stop()
            await _refuse(send, frames.TOO_MUCH)

    async def _receive(self, socket: Socket, message: dict[str, Any]) -> None:
        text = message.get("text")
        try:
            if not socket.spend(1):
                raise BadFrame("rate_limit_exceeded", "More than 10 frames a second.")
            if text is None:
                raise BadFrame("not_text", "Frames must be text.")
            if len(text) > frames.MOST_FRAME_BYTES or len(text.encode()) > frames.MOST_FRAME_BYTES:
                raise BadFrame("too_large", "A frame may hold 16 KiB.")
            await self._handle(socket, frames.parse(text))
        except BadFrame as error:
            socket.answer(frames.error(error.code, str(error), error.v))
            socket.bad_frames += 1
            if error.code in _ENDING or socket.bad_frames > frames.MOST_BAD_FRAMES:
                socket.close(frames.BAD_PROTOCOL if error.code == "bad_proto" else frames.TOO_MUCH)

    async def _handle(self, socket: Socket, messages: list[Message]) -> None:
        subs: list[Sub] = []
        for message in messages:
            if not socket.greeted and not isinstance(message, Hello):
                raise BadFrame("hello_first", "The first message must be hello.")
            match message:
                case Hello():
                    self._greet(socket, message)
                case Sub():
                    subs.append(message)
                case Unsub():
                    self._hub.detach(socket, message.id)
                case Vis():
                    socket.hidden, socket.focus = message.hidden, message.focus
                    socket.poke()
                case Ping():
                    socket.answer(frames.encode("pong", t=message.t, now=self._hub.clock.now()))
        if subs:
            await self._subscribe(socket, subs)

    def _greet(self, socket: Socket, hello: Hello) -> None:
        if hello.proto != frames.PROTO:
            raise BadFrame("bad_proto", f"This server speaks protocol {frames.PROTO}.")
        socket.greeted = True
        now = self._hub.clock.now()
        socket.answer(frames.encode("welcome", epoch=self._hub.id, now=now, hz=frames.HZ, limits=frames.LIMITS))

    async def _subscribe(self, socket: Socket, subs: list[Sub]) -> None:
        if len(socket.slots.keys() | {sub.id for sub in subs}) > frames.MOST_VIEWS:
            raise BadFrame("too_many_views", f"A socket shows at most {frames.MOST_VIEWS} views.")
        while True:
            watcher = socket.watcher
            outcome = await self._hub.authorise(watcher, [(sub.view, sub.params) for sub in subs])
            if socket.watcher.version == watcher.version:
                break  # else its rights changed while they were being read
        for sub, key in zip(subs, outcome, strict=True):
            if isinstance(key, Exception):
                self._hub.detach(socket, sub.id)
                socket.answer(refusal(sub.id, key))
            else:
                self._hub.attach(socket, sub.id, sub.params, key, sub.epoch or "", sub.seq or 0)


async def _refuse(send: Send, code: int, retry_ms: int = 0) -> None:
    """Close an accepted socket before its first frame is read: a refused handshake would show as 1006, and be retried for ever."""
    await send({"type": "websocket.send", "text": frames.encode("bye", code=code, retry_ms=retry_ms)})
    await send({"type": "websocket.close", "code": code})
