"""Watches over the sessions of a web process's open sockets."""

import asyncio
import logging
import random
from dataclasses import replace
from typing import TYPE_CHECKING

import orjson

from ops_portal.lib.live import frames, sessions, views
from ops_portal.lib.live.socket import Socket

if TYPE_CHECKING:
    from ops_portal.lib.live.hub import Hub

logger = logging.getLogger(__name__)

_SUSPENDED = -1


class Guard:
    """Closes sockets whose session is over, and subscribes anew those whose user may see other things than before."""

    def __init__(self, hub: "Hub") -> None:
        self._hub = hub

    def on_event(self, data: bytes) -> None:
        """Act on an event of `sessions`."""
        event = orjson.loads(data)
        if "check" in event:
            user_id, identity = event["check"]["user_id"], event["check"]["identity"]
            found = [
                socket
                for socket in self._hub.sockets
                if (user_id is None or socket.watcher.user_id == user_id)
                and (identity is None or socket.watcher.identity == identity)
            ]
            for socket in found:
                socket.required += 1  # from here on no frame leaves until it has been checked
            self._hub.spawn(self._recheck(found))
        elif "extend" in event:
            for socket in self._hub.sockets:
                if socket.watcher.identity == event["extend"]["identity"]:
                    socket.watcher = replace(socket.watcher, expires_at=event["extend"]["expires_at"])
        elif "drain" in event:
            self._hub.spawn(self._drain())

    async def sweep(self, *, everybody: bool) -> None:
        """Check expired and suspended sockets, or all of them."""
        clock = self._hub.clock.now()
        found = [
            socket
            for socket in self._hub.sockets
            if everybody or socket.granted != socket.required or socket.watcher.expires_at <= clock
        ]
        await self._recheck(found)

    async def _recheck(self, found: list[Socket]) -> None:
        found = [socket for socket in found if not socket.closing]
        if not found:
            return
        required = {socket: socket.required for socket in found}
        distinct = list({socket.watcher.identity: socket.watcher for socket in found}.values())
        try:
            fresh = await self._hub.in_thread(sessions.hooks().revalidate, distinct)
        except Exception:
            self._hub.counts["recheck_failed"] += 1
            logger.exception("Open sockets could not be checked; those under suspicion stay silent.")
            return
        for socket in found:
            watcher = fresh.get(socket.watcher.identity)
            if watcher is None or watcher.expires_at <= self._hub.clock.now():
                socket.close(frames.SESSION_OVER)
                continue
            socket.watcher = watcher
            if watcher.version != socket.scoped_as:
                socket.granted = _SUSPENDED
                if not await self._rescope(socket):
                    continue  # the next sweep tries again
                socket.scoped_as = watcher.version
            socket.granted = required[socket]
            socket.poke()

    async def _rescope(self, socket: Socket) -> bool:
        """Show the same views as the watcher may see them now; False when that could not be found out."""
        slots = list(socket.slots.values())
        wanted = [(slot.topic.key.view.name, slot.params) for slot in slots]
        outcome = await self._hub.authorise(socket.watcher, wanted)
        if any(isinstance(key, Exception) and not isinstance(key, views.REFUSALS) for key in outcome):
            return False
        for slot, key in zip(slots, outcome, strict=True):
            if socket.slots.get(slot.v) is not slot:
                continue
            if isinstance(key, Exception):
                self._hub.detach(socket, slot.v)
                socket.answer(refusal(slot.v, key))
            elif key.text != slot.topic.key.text:
                self._hub.attach(socket, slot.v, slot.params, key).gap = "scope"
        return True

    async def _drain(self) -> None:
        """Send everybody away, spread over a few seconds."""
        found = list(self._hub.sockets)
        spread = 8000 if len(found) <= 1000 else 15_000
        for index, socket in enumerate(found):
            socket.close(frames.DRAIN, retry_ms=random.randrange(spread))  # noqa: S311 - spreads load, guards nothing
            if index % 200 == 199:
                await asyncio.sleep(0.05)


def refusal(v: str, reason: Exception) -> str:
    """The error message for a view that cannot be shown."""
    match reason:
        case views.Forbidden():
            return frames.error("forbidden", "You may not see this view.", v)
        case views.UnknownView():
            return frames.error("unknown_view", "There is no view of that name.", v)
        case ValueError():
            return frames.error("bad_params", str(reason), v)
        case _:
            return frames.error("unavailable", "This view cannot be shown just now.", v)
