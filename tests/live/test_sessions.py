"""What sign-out, expiry and changed rights do to open sockets.

How soon is measured by the bench. Here the process hears events alone: it makes no sweep that could end a socket later.
"""

import time
from collections.abc import Iterator

import pytest

from ops_portal.lib.live import publish, sessions
from tests.live import board
from tests.live.client import Reader


@pytest.fixture
def reader(told_web: str) -> Iterator[Reader]:
    board.put("one", {"k": (1, "red")}, colour="red")
    board.put("one", {"k": (2, "blue")}, colour="blue")
    with Reader(told_web, "s1") as opened:
        opened.hello()
        opened.sub("v", "one")
        opened.wait("snap")
        yield opened


def test_a_revoked_session_closes_at_once(reader: Reader) -> None:
    board.sign_out("s1")
    sessions.revoke(identity="s1")
    assert reader.until_closed() == 4401
    assert reader.seen[-1] == {"type": "bye", "code": 4401, "retry_ms": 0}


def test_other_sessions_of_the_user_stay_when_one_is_revoked(reader: Reader, told_web: str) -> None:
    board.sign_in("s2", user_id=1)
    with Reader(told_web, "s2") as other:
        other.hello()
        board.sign_out("s2")
        sessions.revoke(user_id=1)
        assert other.until_closed() == 4401
    reader.send({"type": "ping", "t": 1})
    assert reader.wait("pong")["t"] == 1


def test_an_expired_session_closes_by_itself(told_web: str) -> None:
    board.sign_in("short", seconds=1.0)
    with Reader(told_web, "short") as reader:
        reader.hello()
        assert reader.until_closed() == 4401


def test_an_extended_session_outlives_one_that_was_not(told_web: str) -> None:
    board.sign_in("extended", seconds=3.0)
    board.sign_in("short", seconds=3.1)
    with Reader(told_web, "extended") as reader, Reader(told_web, "short") as other:
        reader.hello()
        other.hello()
        board.sign_in("extended", seconds=60)
        sessions.extend(identity="extended", expires_at=time.time() + 60)
        assert other.until_closed() == 4401
        reader.send({"type": "ping", "t": 1})
        reader.wait("pong")


def test_changed_rights_show_the_same_view_as_it_may_be_seen_now(reader: Reader) -> None:
    board.sign_in("s1", colour="blue", version="2")
    sessions.revoke(user_id=1)
    assert reader.wait("gap", v="v")["why"] == "scope"
    reader.wait("snap", v="v")
    assert reader.rows("v") == {"k": [2, "blue"]}
    board.put("one", {"k": (9, "red")}, colour="red")
    board.put("one", {"k": (8, "blue")}, colour="blue")
    publish.publish_changed("test.board")
    reader.until(lambda: reader.rows("v") == {"k": [8, "blue"]})
    assert not any("red" in str(message) for message in reader.seen)


def test_a_lost_event_is_made_up_for_by_the_sweep(web: str) -> None:
    board.sign_in("s9", user_id=9)
    with Reader(web, "s9") as reader:
        reader.hello()
        board.sign_out("s9")  # and nobody is told
        assert reader.until_closed(40) == 4401


def test_a_reader_never_receives_a_byte_of_another_scope(web: str) -> None:
    board.sign_in("red", user_id=2, colour="red")
    board.sign_in("blue", user_id=3, colour="blue")
    board.put("one", {"k": (1, "red-0")}, colour="red")
    board.put("one", {"k": (1, "blue-0")}, colour="blue")
    with Reader(web, "red") as red, Reader(web, "blue") as blue:
        for reader in (red, blue):
            reader.hello()
            reader.sub("v", "one")
            reader.wait("snap")
        for number in range(1, 4):
            board.put("one", {"k": (number, f"red-{number}")}, colour="red")
            board.put("one", {"k": (number, f"blue-{number}")}, colour="blue")
            publish.publish_changed("test.board")
        red.until(lambda: red.rows("v")["k"][1] == "red-3")
        blue.until(lambda: blue.rows("v")["k"][1] == "blue-3")
        assert "blue" not in str(red.seen)
        assert "red" not in str(blue.seen)


def test_a_drained_process_sends_its_readers_elsewhere(reader: Reader) -> None:
    sessions.drain()
    assert reader.until_closed() == 4000
    assert 0 <= reader.seen[-1]["retry_ms"] < 8000
