"""Live views while the Valkey behind them is killed, frozen or gone."""

import asyncio
import signal
import time
from itertools import pairwise

import orjson
import pytest
from django.db import connections
from websockets.asyncio.client import connect
from websockets.typing import Origin

from ops_portal.lib.live import publish
from tests.live import board
from tests.live.client import Page, Reader, host_of
from tests.live.conftest import OwnValkey

pytestmark = [pytest.mark.fault, pytest.mark.xdist_group("faults")]

SOCKETS = 200
UPDATES = 40


async def follow(address: str, user: int, page: Page, last: str, ready: asyncio.Event) -> None:
    """One tab that watches until the row `last` is there."""
    async with connect(
        address,
        origin=Origin(f"http://{host_of(address)}"),
        additional_headers={"Cookie": f"session=u{user}"},
        open_timeout=60,
        ping_interval=None,
    ) as socket:
        await socket.send('{"type":"hello","proto":1}')
        await socket.send(
            orjson.dumps(
                {"type": "sub", "id": "v", "view": "test.board", "params": {"board": board.own("audit")}}
            ).decode()
        )
        while last not in page.rows("v"):
            page.take(await socket.recv())
            if page.snapshots:
                ready.set()


def publish_updates(valkey: OwnValkey) -> None:
    """One new row after the other; in the middle Valkey dies and comes back a second later."""
    back_at = 0.0
    for number in range(UPDATES):
        if number == UPDATES // 3:
            valkey.kill()
            back_at = time.monotonic() + 1.0
        if back_at and time.monotonic() > back_at:
            valkey.start()
            back_at = 0.0
        board.put("audit", {f"k{number}": (number, "")})
        publish.publish_changed("test.board")
        time.sleep(0.1)
    deadline = time.monotonic() + 20  # the news of the pause after a failure goes out with the next commit
    while not publish.publish_changed("test.board") and time.monotonic() < deadline:
        time.sleep(0.5)
        board.put("audit", {f"k{UPDATES - 1}": (UPDATES - 1, "")})
    connections.close_all()


@pytest.mark.timeout(180)
def test_no_socket_loses_an_update_when_valkey_is_killed_and_comes_back(
    web_on_own_valkey: str, own_valkey: OwnValkey
) -> None:
    for user in range(SOCKETS):
        board.sign_in(f"u{user}", user_id=user)
    board.put("audit", {"first": (0, "")})
    pages = [Page() for _ in range(SOCKETS)]

    async def run() -> None:
        ready = [asyncio.Event() for _ in pages]
        last = f"k{UPDATES - 1}"
        tabs = [
            asyncio.ensure_future(follow(web_on_own_valkey, user, page, last, ready[user]))
            for user, page in enumerate(pages)
        ]
        await asyncio.wait_for(asyncio.gather(*(event.wait() for event in ready)), 60)
        await asyncio.to_thread(publish_updates, own_valkey)
        await asyncio.wait_for(asyncio.gather(*tabs), 60)

    asyncio.run(run())
    expected = {"first": [0, ""]} | {f"k{number}": [number, ""] for number in range(UPDATES)}
    assert all(page.rows("v") == expected for page in pages)
    assert sum(page.gaps for page in pages) == 0
    for page in pages:
        # An unbroken chain: every delta follows what was there, be it a delta or a snapshot. Only if Valkey took longer than
        # the five seconds after which the web process reads Postgres instead does a tab start anew.
        moves = [message for message in page.seen if message["type"] in {"snap", "d"}]
        assert all(after.get("ps", before["s"]) == before["s"] for before, after in pairwise(moves))
        assert page.snapshots == 1 or any(message.get("e", "").startswith("local-") for message in moves)


def test_a_frozen_valkey_is_told_and_healed(web_on_own_valkey: str, own_valkey: OwnValkey) -> None:
    board.put("one", {"k": (1, "")})
    with Reader(web_on_own_valkey, "s1") as reader:
        reader.hello()
        reader.sub("v", "one")
        reader.wait("snap")
        own_valkey.send(signal.SIGSTOP)
        try:
            told = reader.wait("stale", v="v")
            assert told["why"] == "transport"
            board.put("one", {"k": (2, "")})
            reader.until(lambda: reader.rows("v") == {"k": [2, ""]}, 20)  # read from Postgres meanwhile
            reader.until(lambda: reader.stale["v"] is None)
        finally:
            own_valkey.send(signal.SIGCONT)
        board.put("one", {"k": (3, "")})
        publish.forget()
        publish.publish_changed("test.board")
        reader.until(lambda: reader.rows("v") == {"k": [3, ""]}, 20)


def test_without_valkey_a_new_reader_is_served_from_postgres(web_on_own_valkey: str, own_valkey: OwnValkey) -> None:
    own_valkey.kill()
    board.put("one", {"k": (1, "")})
    with Reader(web_on_own_valkey, "s1") as reader:
        reader.hello()
        reader.sub("v", "one")
        assert reader.wait("snap")["e"].startswith("local-")
        board.put("one", {"k": (1, ""), "n": (2, "")})
        reader.until(lambda: "n" in reader.rows("v"), 20)
        own_valkey.start()
        reader.until(lambda: not reader.position["v"][0].startswith("local-"), 20)
        board.put("one", {"k": (5, "")})
        publish.forget()
        publish.publish_changed("test.board")
        reader.until(lambda: reader.rows("v")["k"] == [5, ""], 20)


def test_a_valkey_that_lost_its_data_starts_a_new_epoch(web_on_own_valkey: str, own_valkey: OwnValkey) -> None:
    board.put("one", {"k": (1, "")})
    with Reader(web_on_own_valkey, "s1") as reader:
        reader.hello()
        reader.sub("v", "one")
        before = reader.wait("snap")
        own_valkey.kill()
        for path in (own_valkey.var / "valkey").rglob("*"):
            if path.is_file():
                path.unlink()
        board.put("one", {"k": (2, "")})
        own_valkey.start()
        after = reader.wait("snap", 20)
        assert after["e"] != before["e"]
        assert reader.rows("v") == {"k": [2, ""]}
        assert reader.gaps == 0
