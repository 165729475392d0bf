"""Readers that come back, are slow, or look away."""

import socket as sockets
import time
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from django.conf import settings

from ops_portal.lib.live import publish, snapshots
from ops_portal.lib.live.views import UnknownView, Watcher
from tests.live import board
from tests.live.client import Reader, host_of
from tests.live.conftest import running_web, web_env

WATCHER = Watcher(1, "s1", "1", time.time() + 3600, "red")


def test_a_reader_that_comes_back_gets_only_what_it_missed(web: str) -> None:
    board.put("one", {"k": (1, ""), "n": (1, "")})
    with Reader(web, "s1") as reader:
        reader.hello()
        reader.sub("v", "one")
        reader.wait("snap")
        epoch, seq = reader.position["v"]
    for number in (2, 3):
        board.put("one", {"k": (number, "")})
        publish.publish_changed("test.board")
    with Reader(web, "s1") as again:
        again.hello()
        again.views, again.position = reader.views, reader.position
        again.sub("v", "one", epoch=epoch, seq=seq)
        delta = again.wait("d", v="v")
        assert (delta["ps"], again.snapshots) == (seq, 0)
        assert again.rows("v") == {"k": [3, ""], "n": [1, ""]}


def test_a_reader_with_nothing_to_catch_up_on_is_told_so(web: str) -> None:
    board.put("one", {"k": (1, "")})
    with Reader(web, "s1") as reader:
        reader.hello()
        reader.sub("v", "one")
        snap = reader.wait("snap")
        reader.sub("v", "one", epoch=snap["e"], seq=snap["s"])
        delta = reader.wait("d", v="v")
        assert (delta["s"], delta["ps"], delta["rows"], delta["del"]) == (snap["s"], snap["s"], [], [])


@pytest.mark.parametrize("position", [("elsewhere", 1), (None, 99), (None, -1)])
def test_a_position_that_is_not_known_gets_a_snapshot(web: str, position: tuple[str | None, int]) -> None:
    board.put("one", {"k": (1, "")})
    with Reader(web, "s1") as reader:
        reader.hello()
        reader.sub("v", "one")
        snap = reader.wait("snap")
        reader.sub("w", "one", epoch=position[0] or snap["e"], seq=position[1])
        assert reader.wait("snap", v="w")["s"] == snap["s"]


@pytest.mark.usefixtures("_clean")
def test_a_restarted_web_process_replays_from_the_stream(tmp_path: Path) -> None:
    board.put("one", {"k": (1, "")})
    env = web_env(settings.VALKEY)
    with running_web(env, tmp_path) as address, Reader(address, "s1") as reader:
        reader.hello()
        reader.sub("v", "one")
        reader.wait("snap")
        board.put("one", {"k": (2, "")})
        publish.publish_changed("test.board")
    with running_web(env, tmp_path) as address, Reader(address, "s1") as again:
        again.views, again.position = reader.views, reader.position
        epoch, seq = reader.position["v"]
        again.hello()
        again.sub("v", "one", epoch=epoch, seq=seq)
        assert again.wait("d", v="v")["ps"] == seq
        assert again.rows("v") == {"k": [2, ""]}
        assert again.snapshots == 0


def test_a_large_snapshot_comes_by_http_and_the_socket_goes_on_from_there(web: str) -> None:
    board.put("one", {f"k{number}": (number, "") for number in range(4)})
    params = {"board": board.own("one"), "size": 100_000}
    with Reader(web, "s1") as reader:
        reader.hello()
        sub = {"type": "sub", "id": "v", "view": "test.board", "params": params}
        reader.send(sub)
        assert reader.wait("gap", v="v")["why"] == "large"
        found = snapshots.read_view("test.board", WATCHER, params)
        assert found.etag == f'"{found.epoch}:{found.seq}"'
        assert [row[:2] for row in found.rows] == [[f"k{number}", number] for number in range(4)]
        reader.send(sub | {"epoch": found.epoch, "seq": found.seq})
        assert reader.wait("d", v="v")["ps"] == found.seq


def test_http_snapshots_check_what_the_socket_checks(web: str) -> None:
    with pytest.raises(UnknownView):
        snapshots.read_view("no.such", WATCHER, {})
    with pytest.raises(ValueError, match="board must be text"):
        snapshots.read_view("test.board", WATCHER, {})


def test_a_reader_that_looks_away_gets_one_merged_delta(web: str) -> None:
    board.put("one", {"k": (0, "")})
    with Reader(web, "s1") as reader:
        reader.hello()
        reader.sub("v", "one")
        snap = reader.wait("snap")
        reader.send({"type": "vis", "hidden": True}, {"type": "ping", "t": 1})
        reader.wait("pong")
        for number in range(1, 4):
            board.put("one", {"k": (number, "")})
            publish.publish_changed("test.board")
        delta = reader.wait("d", v="v")
        assert (delta["ps"], delta["s"]) == (snap["s"], snap["s"] + 3)
        assert reader.rows("v") == {"k": [3, ""]}


@pytest.mark.timeout(60)
def test_a_reader_that_does_not_read_is_dropped_and_harms_nobody(web: str) -> None:
    board.put("one", {"k": (0, "")})
    host, port = urlsplit(f"http://{host_of(web)}").netloc.split(":")
    with sockets.socket() as stuck, Reader(web, "s1") as reader:
        stuck.setsockopt(sockets.SOL_SOCKET, sockets.SO_RCVBUF, 4096)
        stuck.settimeout(40)
        stuck.connect((host, int(port)))
        stuck.sendall(
            f"GET /ws/live/ HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:{port}\r\nCookie: session=s1\r\n"
            "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n"
            "Sec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        stuck.sendall(frame('{"type":"hello","proto":1}'))
        heavy = f'{{"board":"{board.own("one")}","size":1000000}}'
        stuck.sendall(frame(f'{{"type":"sub","id":"v","view":"test.board","params":{heavy}}}'))
        reader.hello()
        reader.sub("v", "one")
        reader.wait("snap")
        for number in range(1, 8):
            board.put("one", {"k": (number, str(number))})
            publish.publish_changed("test.board")
            reader.wait("d", v="v")
        # It is dropped after ten seconds without reading and five of waiting for it to take the goodbye.
        reader.wait_seconds(17)
        assert drained(stuck)


def drained(stuck: sockets.socket) -> bool:
    """True when the connection is over once everything on the way has been read."""
    try:
        while stuck.recv(1 << 20):
            pass
    except ConnectionError:
        pass
    return True


def frame(text: str) -> bytes:
    """A masked text frame (the mask is zeros) below 126 bytes, or below 64 KiB."""
    data = text.encode()
    length = bytes((0x80 | len(data),)) if len(data) < 126 else bytes((0x80 | 126,)) + len(data).to_bytes(2)
    return b"\x81" + length + b"\0\0\0\0" + data
