"""The test of a Prometheus address that a person typed: one sentence about what is wrong, never a library's exception."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from clusters.services import prometheus_test


class _NotPrometheus(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<h1>Welcome</h1>")

    do_POST = do_GET  # noqa: N815 - named by the library

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def other_server() -> Iterator[str]:
    """Address of a web server that is no Prometheus."""
    with HTTPServer(("127.0.0.1", 0), _NotPrometheus) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.django_db
@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://prometheus.invalid:9090"])
def test_a_prometheus_out_of_reach_is_one_sentence(url: str) -> None:
    said = prometheus_test(url=url)
    assert said.endswith(".")
    assert "\n" not in said
    assert "HTTPConnectionPool" not in said
    assert "Error(" not in said


@pytest.mark.django_db
def test_a_server_that_is_no_prometheus_is_one_sentence(other_server: str) -> None:
    said = prometheus_test(url=other_server)
    assert said.endswith(".")
    assert "Expecting value" not in said
    assert "Traceback" not in said
