"""A web process's one pub/sub connection, which never heals in silence.

redis-py would reconnect and subscribe again by itself without a word about what was missed. Here every break is seen (by an
error, or by three own heartbeats that do not come back), ends the connection, and is followed by `on_up`.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable, Coroutine
from typing import Any

import redis
import redis.asyncio
from django.conf import settings
from redis.asyncio.retry import Retry as AsyncRetry
from redis.backoff import NoBackoff

from ops_portal.lib.live import store

logger = logging.getLogger(__name__)

BEAT_SECONDS = 1.0
SILENT_SECONDS = 3.0
_RETRY_SECONDS = (0.1, 0.25, 0.5, 1.0)
_FAULTS = (redis.RedisError, OSError, asyncio.TimeoutError)


class Link:
    """`up` says whether the process hears the server, `heard_at` (monotonic) when it did last."""

    def __init__(
        self, on_message: Callable[[str, bytes], None], on_up: Callable[[], Coroutine[Any, Any, None]]
    ) -> None:
        options = store.connection_options() | {"retry": AsyncRetry(NoBackoff(), 0)}
        self.commands: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
            settings.VALKEY, **options, max_connections=64
        )
        # No read timeout on the listening connection: silence is judged by the heartbeat.
        self._listener: redis.asyncio.Redis = redis.asyncio.Redis.from_url(
            settings.VALKEY, **options | {"socket_timeout": None, "health_check_interval": 0}
        )
        self._on_message = on_message
        self._on_up = on_up
        self._own_channel = f"{store.prefix()}hub:{secrets.token_hex(6)}"
        self._channels: set[str] = set()
        self._confirmed: dict[str, asyncio.Future[None]] = {}
        self._pubsub: Any = None
        self._told: asyncio.Task[None] | None = None
        self.up = False
        self.heard_at = time.monotonic()

    async def run(self) -> None:
        """Listen until cancelled."""
        beat = asyncio.get_running_loop().create_task(self._beat())
        failures = 0
        try:
            while True:
                try:
                    await self._listen()
                except _FAULTS as error:
                    if self.up:
                        failures = 0
                        logger.warning("The live store is gone: %s", error)
                    self.up = False
                except Exception:  # one bad message must not leave the process deaf
                    logger.exception("The news of the live store could not be followed; listening anew.")
                    self.up = False
                await asyncio.sleep(_RETRY_SECONDS[min(failures, len(_RETRY_SECONDS) - 1)])
                failures += 1
        finally:
            beat.cancel()
            await asyncio.gather(beat, self.commands.aclose(), self._listener.aclose(), return_exceptions=True)

    async def subscribe(self, channel: str) -> None:
        """Hear this channel from now on. Raises a fault of the connection; after a break it is subscribed again by itself."""
        self._channels.add(channel)
        if not self.up:
            return
        confirmed = self._confirmed.setdefault(channel, asyncio.get_running_loop().create_future())
        try:
            async with asyncio.timeout(store.TIMEOUT_SECONDS):
                await self._pubsub.subscribe(channel)
                await confirmed
        except _FAULTS as error:
            raise redis.ConnectionError("the live store did not confirm a subscription") from error
        finally:
            self._confirmed.pop(channel, None)

    async def unsubscribe(self, channel: str) -> None:
        """Hear this channel no more."""
        self._channels.discard(channel)
        if not self.up:
            return
        try:
            await self._pubsub.unsubscribe(channel)
            if channel in self._channels:  # wanted again meanwhile
                await self._pubsub.subscribe(channel)
        except _FAULTS:
            return  # the listener sees the break as well

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_SECONDS)
            try:
                await self.commands.publish(self._own_channel, b"")
            except _FAULTS:
                continue  # the missing beat tells the listener

    async def _listen(self) -> None:
        pubsub: Any = self._listener.pubsub()
        self._pubsub = pubsub
        try:
            self.heard_at = time.monotonic() if self.up else self.heard_at
            async with asyncio.timeout(SILENT_SECONDS):
                await pubsub.subscribe(self._own_channel, store.control_channel(), *self._channels)
            started = time.monotonic()
            while True:
                message = await pubsub.get_message(timeout=BEAT_SECONDS)
                now = time.monotonic()
                if message is not None:
                    self.heard_at = now
                    self._heard(message)
                elif now - max(started, self.heard_at) > SILENT_SECONDS:
                    raise redis.ConnectionError("no heartbeat came back for three seconds")
        finally:
            await asyncio.gather(pubsub.aclose(), return_exceptions=True)

    def _heard(self, message: dict[str, Any]) -> None:
        channel = message["channel"].decode()
        if message["type"] == "message":
            if channel != self._own_channel:
                self._on_message(channel, message["data"])
        elif message["type"] == "subscribe":
            confirmed = self._confirmed.get(channel)
            if confirmed is not None and not confirmed.done():
                confirmed.set_result(None)
            if channel == self._own_channel:
                self.up = True
                self._told = asyncio.ensure_future(self._on_up())
