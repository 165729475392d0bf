"""A reader that speaks the protocol and keeps the rules of the browser module, blocking; for tests."""

import time
from contextlib import ExitStack, suppress
from typing import Any, Self

import orjson
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Origin

from ops_portal.lib.live.rows import Table
from tests.live.board import own

COLUMNS = ("a", "b", "at")


def host_of(address: str) -> str:
    return address.removeprefix("ws://").split("/", maxsplit=1)[0]


class Page:
    """What one tab shows. `views` holds the rows of each view, `gaps` how often a delta did not fit."""

    def __init__(self) -> None:
        self.views: dict[str, Table] = {}
        self.position: dict[str, tuple[str, int]] = {}
        self.stale: dict[str, str | None] = {}
        self.gaps = 0
        self.snapshots = 0
        self.seen: list[dict[str, Any]] = []

    def take(self, text: str | bytes) -> None:
        data = orjson.loads(text)
        for message in data if isinstance(data, list) else [data]:
            self.seen.append(message)
            self._apply(message)

    def rows(self, v: str) -> dict[str, list[Any]]:
        """Row key -> [a, b] of what the view shows."""
        return {key: row[:2] for key, row in self.views[v].rows.items()} if v in self.views else {}

    def _apply(self, message: dict[str, Any]) -> None:
        v = str(message.get("v"))
        match message["type"]:
            case "snap":
                self.snapshots += 1
                self.stale[v] = None  # a snapshot stands for fresh rows until the server says otherwise
                table = self.views[v] = Table(COLUMNS, 2, message["ts"])
                table.rows = {key: values for key, *values in message["rows"]}
                self.position[v] = (message["e"], message["s"])
            case "d":
                epoch, seq = self.position.get(v, ("", 0))
                if message["ps"] != seq:
                    self.gaps += 1
                    return
                self.views[v].apply(message["ts"], message["rows"], message["del"])
                self.position[v] = (epoch, message["s"])
            case "stale":
                self.stale[v] = message["why"]


class Reader(Page):
    """A page with its socket."""

    def __init__(
        self, address: str, session: str = "", *, origin: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__()
        host = host_of(address)
        self._open = ExitStack()
        connection = connect(
            address,
            origin=Origin(origin or f"http://{host}"),
            additional_headers=headers or {"Cookie": f"session={session}"},
            open_timeout=10,
            close_timeout=2,
        )
        self.socket: ClientConnection = self._open.enter_context(connection)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        self._open.close()

    def hello(self) -> dict[str, Any]:
        self.send({"type": "hello", "proto": 1, "tz": "Europe/Berlin"})
        return self.wait("welcome")

    def send(self, *messages: dict[str, Any]) -> None:
        self.socket.send(orjson.dumps(messages[0] if len(messages) == 1 else list(messages)).decode())

    def sub(self, v: str, board: str, **more: Any) -> None:
        self.send({"type": "sub", "id": v, "view": "test.board", "params": {"board": own(board)}, **more})

    def wait(self, kind: str, seconds: float = 15, **fields: Any) -> dict[str, Any]:
        """The next message of this type with these fields; others are taken in on the way."""
        found: dict[str, Any] = self.until(lambda: self._last(kind, fields), seconds)
        return found

    def until(self, done: Any, seconds: float = 15) -> Any:
        """Take in messages until `done()` is true."""
        end = time.monotonic() + seconds
        while True:
            result = done()
            if result:
                return result
            try:
                self.take(self.socket.recv(timeout=max(0.0, end - time.monotonic())))
            except TimeoutError:
                raise AssertionError(f"nothing came; last messages: {self.seen[-5:]}") from None

    def wait_seconds(self, seconds: float) -> None:
        """Go on reading for a while."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            with suppress(TimeoutError):
                self.take(self.socket.recv(timeout=left))

    def until_closed(self, seconds: float = 15) -> int:
        """The code that the server closes with."""
        with pytest.raises(ConnectionClosed) as closed:
            self.until(lambda: False, seconds)
        assert closed.value.rcvd is not None
        return closed.value.rcvd.code

    def _last(self, kind: str, fields: dict[str, Any]) -> dict[str, Any] | None:
        for index, message in enumerate(self.seen):
            if message["type"] == kind and fields.items() <= message.items():
                del self.seen[: index + 1]
                return message
        return None
