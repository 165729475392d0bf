"""Bodies over the limit are refused before they are read, whatever their headers claim."""

import asyncio
import errno
import shutil
from collections import namedtuple
from collections.abc import MutableMapping
from pathlib import Path
from typing import Any

import orjson
import pytest

from ops_portal import uploads
from ops_portal.body_limit import BodyLimit, Limit
from ops_portal.lib.supervisor import LEAST_FREE_BYTES

LIMIT = 1000


async def _reading_application(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"read"})


def _answer(
    chunks: list[bytes],
    headers: list[tuple[bytes, bytes]],
    kind: str = "http",
    *,
    application: Any = _reading_application,
    larger: Any = None,
) -> tuple[int, bytes, int]:
    """Status, body and how many chunks were taken."""
    waiting = list(chunks)
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        body = waiting.pop(0)
        return {"type": "http.request", "body": body, "more_body": bool(waiting)}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    asyncio.run(BodyLimit(application, LIMIT, larger)({"type": kind, "headers": headers}, receive, send))
    return sent[0]["status"], sent[1]["body"], len(chunks) - len(waiting)


@pytest.mark.parametrize("size", [0, 1, LIMIT])
def test_lets_bodies_up_to_the_limit_through(size: int) -> None:
    status, body, _ = _answer([b"x" * size], [(b"content-length", str(size).encode())])
    assert (status, body) == (200, b"read")


def test_refuses_a_declared_size_without_reading() -> None:
    status, body, taken = _answer([b"x"], [(b"content-length", b"1001")])

    answer = orjson.loads(body)
    assert (status, taken) == (413, 0)
    assert answer["error"] == "body_too_large"
    assert set(answer) == {"error", "message", "request_id"}


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"10")], [(b"transfer-encoding", b"chunked")]])
def test_counts_what_is_sent_and_stops_reading(headers: list[tuple[bytes, bytes]]) -> None:
    status, body, taken = _answer([b"x" * 600] * 10, headers)

    assert (status, taken) == (413, 2)
    assert orjson.loads(body)["error"] == "body_too_large"


def test_takes_a_nonsense_length_for_none() -> None:
    assert _answer([b"x"], [(b"content-length", b"-5")])[0] == 200


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"3000")]])
@pytest.mark.parametrize(("raised", "status"), [(5000, 200), (2500, 413), (None, 413)])
def test_another_limit_is_asked_for_only_when_a_body_passes_the_usual_one(
    headers: list[tuple[bytes, bytes]], raised: int | None, status: int
) -> None:
    asked: list[str] = []

    async def larger(scope: Any) -> Limit | None:
        asked.append(scope["path"])
        return Limit(raised) if raised is not None else None

    def answer(count: int) -> int:
        waiting, sent = [b"x" * 600] * count, list[Any]()

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": waiting.pop(0), "more_body": bool(waiting)}

        async def send(message: MutableMapping[str, Any]) -> None:
            sent.append(message)

        scope = {"type": "http", "path": "/load-tests/import", "headers": headers if count > 1 else []}
        asyncio.run(BodyLimit(_reading_application, LIMIT, larger)(scope, receive, send))
        return int(sent[0]["status"])

    assert answer(1) == 200
    assert asked == []
    assert answer(5) == status
    assert asked == ["/load-tests/import"]


@pytest.mark.parametrize(
    ("room", "most"),
    [(10**12, Limit(2_001_048_576)), (700_000_000, Limit(350_000_000, disk=True)), (-1, Limit(0, disk=True))],
)
def test_an_upload_may_be_as_large_as_the_disk_has_room_for_twice(
    room: int, most: Limit, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, settings: Any
) -> None:
    settings.PORTAL_VAR = tmp_path
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 0, LEAST_FREE_BYTES + room))
    monkeypatch.setattr(uploads, "_may_upload", lambda scope: True)
    assert asyncio.run(uploads.larger_limit({"method": "POST", "path": "/api/v1/load-tests"})) == most


def test_a_body_beyond_the_disks_room_is_told_so_before_it_is_read() -> None:
    async def larger(scope: Any) -> Limit:
        return Limit(3 * 1024 * 1024, disk=True)

    status, body, taken = _answer([b"x"], [(b"content-length", b"9000000")], larger=larger)
    assert (status, taken) == (413, 0)
    assert (
        orjson.loads(body)["message"]
        == "The request body is larger than the 3 MB for which the portal's disk has room."
    )


def test_a_disk_that_fills_up_meanwhile_is_told_too() -> None:
    async def spooling(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        raise OSError(errno.ENOSPC, "No space left on device")

    status, body, _ = _answer([b"x" * 600] * 2, [], application=spooling)
    said = "The request body is larger than the 600 bytes for which the portal's disk has room."
    assert (status, orjson.loads(body)["message"]) == (413, said)
