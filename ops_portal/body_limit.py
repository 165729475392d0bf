"""Refuses request bodies that are too large before Django spools them to disk.

Django reads a whole body before any middleware runs, so the bytes are counted here, whatever Content-Length says.
"""

import errno
import uuid
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass, replace
from typing import Any

import orjson

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Limit:
    """Most bytes of a body. `disk` = the disk's free room sets it, not a rule."""

    bytes: int
    disk: bool = False


Larger = Callable[[Scope], Awaitable[Limit | None]]


class BodyTooLarge(Exception):
    """The request body has passed the limit."""


class BodyLimit:
    """ASGI wrapper: 413 `body_too_large` for a body of more than `limit` bytes, declared or sent.

    `larger` is asked once a body passes the limit: another limit for this request, or None. A disk that is full before
    the body's end is answered likewise.
    """

    def __init__(self, application: Application, limit: int, larger: Larger | None = None) -> None:
        self.application = application
        self.limit = Limit(limit)
        self.larger = larger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.application(scope, receive, send)
            return
        declared, limit, asked = _declared_length(scope), self.limit, False
        if declared > limit.bytes:
            limit, asked = await self._raised(scope), True
        if declared > limit.bytes:
            await self._refuse(send, limit)
            return
        received = 0
        answered = False

        async def counted_receive() -> Message:
            nonlocal received, limit, asked
            message = await receive()
            received += len(message.get("body", b""))
            if received > limit.bytes and not asked:
                limit, asked = await self._raised(scope), True
            if received > limit.bytes:
                raise BodyTooLarge
            return message

        async def watched_send(message: Message) -> None:
            nonlocal answered
            answered = True
            await send(message)

        try:
            await self.application(scope, counted_receive, watched_send)
        except BodyTooLarge:
            if not answered:
                await self._refuse(send, limit)
        except OSError as error:
            if error.errno != errno.ENOSPC or answered:
                raise
            await self._refuse(send, Limit(received, disk=True))

    async def _raised(self, scope: Scope) -> Limit:
        found = await self.larger(scope) if self.larger is not None else None
        return self.limit if found is None else replace(found, bytes=max(found.bytes, self.limit.bytes))

    async def _refuse(self, send: Send, most: Limit) -> None:
        request_id = uuid.uuid4().hex
        limit = f"{most.bytes // (1024 * 1024):,} MB" if most.bytes >= 1024 * 1024 else f"{most.bytes} bytes"
        if most.disk:
            limit = f"the {limit} for which the portal's disk has room"
        body = orjson.dumps(
            {
                "error": "body_too_large",
                "message": f"The request body is larger than {limit}.",
                "request_id": request_id,
            }
        )
        headers = [
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"x-request-id", request_id.encode()),
            (b"x-content-type-options", b"nosniff"),
            (b"cache-control", b"no-store"),
            (b"connection", b"close"),
        ]
        await send({"type": "http.response.start", "status": 413, "headers": headers})
        await send({"type": "http.response.body", "body": body})


def _declared_length(scope: Scope) -> int:
    """Content-Length, 0 when there is none or it is no number."""
    for name, value in scope.get("headers", ()):
        if name.lower() == b"content-length":
            return int(value) if value.isdigit() else 0
    return 0
