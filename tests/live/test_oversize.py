"""What is too large, sent to a real server: it is refused by name, the memory stays, and the next request is served."""

import http.client
from collections.abc import Iterator
from contextlib import suppress

import orjson
import psutil  # type: ignore[import-untyped]  # has no types
import pytest
from django.conf import settings
from websockets.exceptions import ConnectionClosed

from tests.live.client import Reader, host_of

LIMIT = settings.BODY_LIMIT_BYTES
CHUNK = b"x" * 65_536
MOST_GROWTH = 20 * 1024 * 1024  # notes of this limit: less than 20 MB


@pytest.fixture
def link(web: str) -> Iterator[http.client.HTTPConnection]:
    host, port = host_of(web).split(":")
    link = http.client.HTTPConnection(host, int(port), timeout=30)
    yield link
    link.close()
    after = http.client.HTTPConnection(host, int(port), timeout=30)
    after.request("GET", "/healthz")
    assert after.getresponse().status == 200
    after.close()


def resident(web: str) -> int:
    """Bytes that the server of this address holds in memory."""
    port = int(host_of(web).split(":")[1])
    listening = psutil.net_connections("tcp4")
    pid = next(one.pid for one in listening if one.laddr.port == port and one.status == psutil.CONN_LISTEN)
    return int(psutil.Process(pid).memory_info().rss)


def begin(link: http.client.HTTPConnection, path: str, *headers: tuple[str, str]) -> None:
    link.putrequest("POST", path)
    for name, value in (("Content-Type", "application/json"), *headers):
        link.putheader(name, value)
    link.endheaders()


def refusal(link: http.client.HTTPConnection) -> None:
    answer = link.getresponse()
    told = orjson.loads(answer.read())
    assert (answer.status, told["error"]) == (413, "body_too_large")
    assert told["message"] == "The request body is larger than 5 MB."
    assert told["request_id"] == answer.headers["X-Request-Id"]


@pytest.mark.parametrize("path", ["/sign-in", "/api/v1/clusters"])
def test_a_declared_body_over_5_mb_is_refused_before_a_byte_of_it_is_sent(
    link: http.client.HTTPConnection, path: str
) -> None:
    begin(link, path, ("Content-Length", str(LIMIT + 1)))
    refusal(link)


def test_a_body_that_does_not_say_its_size_is_refused_where_it_passes_5_mb(
    web: str, link: http.client.HTTPConnection
) -> None:
    before = resident(web)
    begin(link, "/sign-in", ("Transfer-Encoding", "chunked"))
    for _ in range(LIMIT // len(CHUNK)):
        link.send(b"%x\r\n%b\r\n" % (len(CHUNK), CHUNK))
    link.send(b"1\r\nx\r\n")
    refusal(link)
    assert resident(web) - before < MOST_GROWTH


def test_a_body_of_5_mb_is_read(link: http.client.HTTPConnection) -> None:
    link.request("POST", "/api/v1/clusters", body=b"x" * LIMIT, headers={"Content-Type": "application/json"})
    assert link.getresponse().status in (401, 405)


@pytest.mark.parametrize(("size", "code"), [(16_385, 4429), (65_537, 1009), (8 * 1024 * 1024, 1009)])
def test_a_frame_that_is_too_large_ends_its_socket_and_no_other(web: str, size: int, code: int) -> None:
    before = resident(web)
    with Reader(web, "s1") as other:
        other.hello()
        reader = Reader(web, "s1")
        reader.hello()
        with pytest.raises(ConnectionClosed) as closed:
            sent_and_read(reader, "x" * size)
        # A server that closes while megabytes are still on their way may be heard no more.
        assert closed.value.rcvd.code == code if closed.value.rcvd else size > 65_537
        with suppress(ConnectionClosed):
            reader.close()
        other.send({"type": "ping", "t": 1})
        other.wait("pong")
    assert resident(web) - before < MOST_GROWTH


def sent_and_read(reader: Reader, text: str) -> None:
    reader.socket.send(text)
    reader.until(lambda: False)
