"""Malformed, oversized and too many frames: a specific answer, then the end, and never a crash."""

import json

import pytest

from tests.live import board
from tests.live.client import Reader

BAD = [
    ("{", "not_json"),
    ("[]", "bad_frame"),
    ("7", "bad_frame"),
    ('{"type":"shout"}', "unknown_type"),
    ('{"type":"sub","view":"test.board"}', "bad_frame"),
    ('{"type":"sub","id":"v","view":"test.board","params":[]}', "bad_frame"),
    ('{"type":"sub","id":"v","view":"test.board","seq":"1"}', "bad_frame"),
    ('{"type":"vis","hidden":1}', "bad_frame"),
    ('{"type":"ping","t":true}', "bad_frame"),
    ('{"type":"hello","proto":"1"}', "bad_frame"),
]


def test_each_malformed_frame_is_named_and_the_socket_goes_on(web: str) -> None:
    for start in range(0, len(BAD), 5):
        with Reader(web, "s1") as reader:
            reader.hello()
            for text, code in BAD[start : start + 5]:
                reader.socket.send(text)
                assert reader.wait("error")["code"] == code
            reader.send({"type": "ping", "t": 1})
            reader.wait("pong")


def test_too_many_malformed_frames_end_the_socket(web: str) -> None:
    with Reader(web, "s1") as reader:
        reader.hello()
        for _ in range(6):
            reader.socket.send("{")
        assert reader.until_closed() == 4429


def test_a_frame_above_16_kib_is_refused(web: str) -> None:
    with Reader(web, "s1") as reader:
        reader.hello()
        reader.socket.send(json.dumps({"type": "ping", "t": 1, "padding": "x" * 16_384}))
        assert reader.until_closed() == 4429
        assert reader.seen[-2]["code"] == "too_large"


def test_binary_frames_are_refused(web: str) -> None:
    with Reader(web, "s1") as reader:
        reader.hello()
        reader.socket.send(b"\x00\xff")
        assert reader.wait("error")["code"] == "not_text"


def test_more_frames_than_allowed_end_the_socket(web: str) -> None:
    with Reader(web, "s1") as reader:
        reader.hello()
        for number in range(40):
            reader.send({"type": "ping", "t": number})
        assert reader.until_closed() == 4429
        assert any(message.get("code") == "rate_limit_exceeded" for message in reader.seen)


def test_a_socket_shows_64_views_and_not_one_more(web: str) -> None:
    with Reader(web, "s1") as reader:
        reader.hello()
        subs = [{"type": "sub", "id": f"v{n}", "view": "test.board", "params": {"board": f"b{n}"}} for n in range(65)]
        reader.send(*subs[:64])
        reader.until(lambda: len(reader.views) == 64)
        reader.send(subs[64])
        assert reader.until_closed() == 4429


def test_a_user_has_so_many_sockets(web: str) -> None:
    readers: list[Reader] = []
    for _ in range(64):
        readers.append(Reader(web, "s1"))
        readers[-1].hello()
    try:
        with Reader(web, "s1") as one_more:
            assert one_more.until_closed() == 4429
    finally:
        for reader in readers:
            reader.close()
    with Reader(web, "s1") as again:
        again.hello()


def test_the_first_message_is_hello_in_a_protocol_that_is_spoken(web: str) -> None:
    with Reader(web, "s1") as reader:
        reader.send({"type": "ping", "t": 1})
        assert reader.wait("error")["code"] == "hello_first"
        reader.send({"type": "hello", "proto": 2})
        assert reader.until_closed() == 4400


@pytest.mark.parametrize(
    ("view", "params", "code"),
    [
        ("no.such", {}, "unknown_view"),
        ("test.board", {"board": 7}, "bad_params"),
        ("test.board", {"board": "one", "colour": "blue"}, "bad_params"),
        ("test.board", {"board": "closed"}, "forbidden"),
        ("test.board", {"board": "broken"}, "unavailable"),
    ],
)
def test_a_view_that_cannot_be_shown_says_why(web: str, view: str, params: dict[str, object], code: str) -> None:
    board.put("one", {"k": (1, "")})
    with Reader(web, "s1") as reader:
        reader.hello()
        reader.send({"type": "sub", "id": "bad", "view": view, "params": params})
        error = reader.wait("error", v="bad")
        assert error["code"] == code
        assert "inside" not in error["message"]
        reader.sub("good", "one")
        reader.wait("snap", v="good")
