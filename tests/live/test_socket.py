"""A socket of a real web process: views, deltas, limits."""

import pytest
from websockets.exceptions import InvalidStatus

from ops_portal.lib.live import publish
from tests.live import board
from tests.live.client import Reader


def test_a_reader_gets_a_snapshot_and_then_only_what_changed(web: str) -> None:
    board.put("one", {"k1": (1, "x"), "k2": (2, "y")})
    with Reader(web, "s1") as reader:
        welcome = reader.hello()
        assert welcome["limits"]["views"] == 64
        reader.sub("v", "one")
        snap = reader.wait("snap", v="v")
        assert snap["schema"] == {"key": "key", "columns": ["a", "b", "at"], "time": "at"}
        assert reader.rows("v") == {"k1": [1, "x"], "k2": [2, "y"]}

        board.put("one", {"k1": (1, "x"), "k2": (3, "y")})
        assert publish.publish_changed("test.board", match=lambda params, _: params["board"] == board.own("one")) == 1
        delta = reader.wait("d", v="v")
        assert delta["ps"] == snap["s"]
        assert delta["rows"] == [["k2", 1, 3]]
        assert delta["del"] == []
        assert reader.rows("v")["k2"] == [3, "y"]

        board.take("one", "k1")
        publish.publish_changed("test.board")
        assert reader.wait("d", v="v")["del"] == ["k1"]
        assert reader.rows("v") == {"k2": [3, "y"]}


def test_nothing_is_published_that_nobody_watches(web: str) -> None:
    board.put("unwatched", {"k1": (1, "x")})
    assert publish.publish_changed("test.board", match=lambda params, _: params["board"] == board.own("unwatched")) == 0


def test_another_page_may_not_open_a_socket(web: str) -> None:
    for origin in ("http://elsewhere.example", "http://127.0.0.1:1", "https://127.0.0.1.example.com", "null"):
        with pytest.raises(InvalidStatus) as refused:
            Reader(web, "s1", origin=origin)
        assert refused.value.response.status_code == 403


def test_without_a_session_the_socket_says_so_and_closes(web: str) -> None:
    with Reader(web, "nobody") as reader:
        assert reader.until_closed() == 4401
        assert reader.seen == [{"type": "bye", "code": 4401, "retry_ms": 0}]
