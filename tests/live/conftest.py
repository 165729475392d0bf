"""A real web process of the portal with a test view on it."""

import os
import shutil
import signal
import socket
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from django.conf import settings
from django.db import connection, connections
from pytest_django import DjangoDbBlocker, Settings

from ops_portal.lib import embedded, portal, processes
from ops_portal.lib.live import publish, store, views
from ops_portal.lib.processes import wait_until
from tests.live import board

if TYPE_CHECKING:
    import subprocess


@pytest.fixture(scope="session")
def _database(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[None]:
    """The worker's database, written to directly: the tables are none of Django's, so there is nothing to flush."""
    with django_db_blocker.unblock():
        board.make_tables()
        views.register(board.VIEW)
        yield
        views.unregister(board.VIEW.name)
        board.drop_tables()
        connections.close_all()


@pytest.fixture(scope="session")
def _shared_web(_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_web(web_env(settings.VALKEY), tmp_path_factory.mktemp("web")) as address:
        yield address


@pytest.fixture
def _clean(_database: None) -> Iterator[None]:
    publish.forget()
    board.begin()
    board.sign_in("s1")
    yield
    board.empty()


@pytest.fixture(scope="session")
def _shared_told_web(_database: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with running_web(web_env(settings.VALKEY), tmp_path_factory.mktemp("web"), "tests.live.serve_told") as address:
        yield address


@pytest.fixture
def told_web(_shared_told_web: str, _clean: None) -> str:
    """As `web`, in a process that never sweeps its sockets: what happens there was told by an event, hence at once."""
    return _shared_told_web


@pytest.fixture
def web(_shared_web: str, _clean: None) -> str:
    """Address of the socket of a running web process."""
    return _shared_web


def web_env(valkey_url: str) -> dict[str, str]:
    """Environment of a web process on this worker's database."""
    name, host = connection.settings_dict["NAME"], quote(connection.settings_dict["HOST"], safe="")
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "ops_portal.settings.base",
        "DATABASE_URL": f"postgresql://postgres@/{name}?host={host}",
        "VALKEY_URL": valkey_url,
        "DEPLOYMENT_ID": settings.DEPLOYMENT_ID,
        "PORTAL_VAR": str(settings.PORTAL_VAR),
        "SECRET_KEY": settings.SECRET_KEY,
    }


@contextmanager
def running_web(env: dict[str, str], directory: Path, module: str = "tests.live.serve") -> Iterator[str]:
    """A web process with this environment; the address of its socket."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    log = directory / f"web-{port}.log"
    command = [word.replace("ops_portal.asgi:", f"{module}:") for word in portal.web_argv("127.0.0.1", port)]
    child = processes.spawn(command, log=log, env=env)
    try:
        assert wait_until(lambda: child.poll() is not None or _answers(port), seconds=40), "the web process is silent"
        assert child.poll() is None, log.read_text()
        yield f"ws://127.0.0.1:{port}/ws/live/"
    finally:
        processes.end_all([(child, signal.SIGTERM)], grace_seconds=8)


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
def own_valkey(_clean: None, tmp_path: Path, settings: Settings) -> Iterator[OwnValkey]:
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
def web_on_own_valkey(_clean: None, own_valkey: OwnValkey, tmp_path: Path) -> Iterator[str]:
    """Address of the socket of a web process that uses the test's own Valkey."""
    with running_web(web_env(own_valkey.url), tmp_path) as address:
        yield address
