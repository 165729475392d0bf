"""A real web process of the portal with a test view on it."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import redis
from pytest_django import Settings

from ops_portal.lib import embedded, processes
from ops_portal.lib.live import publish, store, views
from ops_portal.lib.processes import wait_until
from tests.live import board

StartWeb = Callable[[dict[str, str]], str]


@pytest.fixture
def _tables(transactional_db: None) -> Iterator[None]:
    board.drop_tables()
    board.make_tables()
    board.sign_in("s1")
    publish.forget()
    yield
    board.drop_tables()


@pytest.fixture
def _view() -> Iterator[None]:
    views.register(board.VIEW)
    yield
    views.unregister(board.VIEW.name)


@pytest.fixture
def start_web(tmp_path: Path) -> Iterator[StartWeb]:
    """Start a web process with this environment; the address of its socket."""
    children: list[subprocess.Popen[bytes]] = []

    def start(env: dict[str, str]) -> str:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        log = (tmp_path / f"web-{port}.log").open("wb")
        command = [
            sys.executable,
            "-m",
            "uvicorn",
            "tests.live.serve:application",
            "--port",
            str(port),
            "--log-level",
            "warning",
        ]
        command += ["--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--ws-max-size", "65536"]
        command += ["--timeout-graceful-shutdown", "2"]
        child = subprocess.Popen(command, env=env, stdout=log, stderr=subprocess.STDOUT)
        log.close()
        children.append(child)
        assert wait_until(lambda: child.poll() is not None or _answers(port), seconds=40), (
            "the web process does not answer"
        )
        assert child.poll() is None, (tmp_path / f"web-{port}.log").read_text()
        return f"ws://127.0.0.1:{port}/ws/live/"

    yield start
    for child in children:
        child.send_signal(signal.SIGTERM)
    for child in children:
        try:
            child.wait(8)
        except subprocess.TimeoutExpired:
            child.kill()
            child.wait(5)


@pytest.fixture
def web(process_env: dict[str, str], _tables: None, _view: None, valkey: redis.Redis, start_web: StartWeb) -> str:
    """Address of the socket of a running web process."""
    return start_web(process_env)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


class OwnValkey:
    """A Valkey of this test alone, that may be killed, frozen and started again on the same data."""

    def __init__(self, var: Path) -> None:
        self.var = var
        self.url = embedded.valkey_url("", var)
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        server = embedded.prepare_valkey(self.var)
        self.child = processes.spawn(server.argv, log=self.var / "valkey.log", env=os.environ | server.env)
        assert wait_until(server.answers, seconds=20)

    def send(self, number: signal.Signals) -> None:
        assert self.child is not None
        self.child.send_signal(number)

    def kill(self) -> None:
        self.send(signal.SIGKILL)
        assert self.child is not None
        self.child.wait(10)


@pytest.fixture
def own_valkey(tmp_path: Path, settings: Settings) -> Iterator[OwnValkey]:
    """Also what this process publishes to, for the length of the test."""
    server = OwnValkey(tmp_path / "own")
    server.start()
    settings.VALKEY = server.url
    store.forget_clients()
    publish.forget()
    yield server
    store.forget_clients()
    publish.forget()
    server.kill()
    shutil.rmtree(embedded.runtime_directory(server.var), ignore_errors=True)


@pytest.fixture
def web_on_own_valkey(
    process_env: dict[str, str], _tables: None, _view: None, own_valkey: OwnValkey, start_web: StartWeb
) -> str:
    """Address of the socket of a web process that uses the test's own Valkey."""
    return start_web(process_env | {"VALKEY_URL": own_valkey.url})
