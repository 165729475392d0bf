"""The real shipper against the real portal: killed, restarted, left alone, rotated under, and every line counted once."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.db.models import Sum

from accounts.services import token_create
from clusters.models import Cluster, Rejection, RejectionFeed
from ops_portal.lib import portal, processes
from ops_portal.lib.processes import wait_until
from tests.accounts.factories import make_user
from tests.clusters.rejections.corpus import denied_line

SECONDS = 60


class Portal:
    """A web process that can go away and come back at the same address."""

    def __init__(self, env: dict[str, str], directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.env, self.log = env, directory / "web.log"
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.child = processes.spawn(portal.web_argv("127.0.0.1", self.port), log=self.log, env=self.env)
        assert wait_until(self._answers, seconds=SECONDS), self.log.read_text()

    def stop(self) -> None:
        if self.child is not None:
            processes.end_all([(self.child, signal.SIGKILL)], grace_seconds=8)

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=2) as answer:
                return bool(answer.status == 200)
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False


class Shipper:
    def __init__(self, env: dict[str, str], log: Path, port: int, token: Path) -> None:
        self.argv = [
            sys.executable, "manage.py", "ship_authorizer_log", str(log), "--url", f"http://127.0.0.1:{port}",
            "--cluster", "north", "--token-file", str(token), "--source", "broker-1",
        ]  # fmt: skip
        # It runs where no database is: an address that answers nobody.
        self.env = env | {"DATABASE_URL": "postgresql://nobody@127.0.0.1:1/none"}
        self.output = log.with_name("shipper.out")
        self.child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self.child = processes.spawn(self.argv, log=self.output, env=self.env, cwd=Path.cwd())

    def kill(self) -> None:
        assert self.child is not None
        processes.end_all([(self.child, signal.SIGKILL)], grace_seconds=8)


@pytest.fixture
def stage(process_env: dict[str, str], tmp_path: Path) -> Iterator[tuple[Portal, Shipper, Path]]:
    Cluster.objects.create(name="north", bootstrap="x:1")
    token = tmp_path / "token"
    token.write_text(token_create(user=make_user("sre"), acting_user=None)[1])
    web = Portal(process_env | {"RATE_LIMIT_PER_MINUTE": "100000"}, tmp_path)
    log = tmp_path / "logs" / "kafka-authorizer.log"
    log.parent.mkdir()
    log.touch()
    shipper = Shipper(process_env, log, web.port, token)
    yield web, shipper, log
    for child in (shipper.child, web.child):
        if child is not None:
            processes.end_all([(child, signal.SIGKILL)], grace_seconds=8)


def counted() -> int:
    return Rejection.objects.aggregate(total=Sum("count"))["total"] or 0


def write(log: Path, count: int) -> None:
    with log.open("a", encoding="utf-8") as file:
        for number in range(count):
            file.write(denied_line(time.time(), host=f"10.0.0.{number % 7}") + "\n")


@pytest.mark.django_db(transaction=True)
def test_every_line_arrives_once_whatever_dies(stage: tuple[Portal, Shipper, Path]) -> None:
    web, shipper, log = stage
    web.start()
    shipper.start()
    write(log, 3000)
    assert wait_until(lambda: counted() > 0, seconds=SECONDS), shipper.output.read_text()
    shipper.kill()  # at some moment of some batch
    write(log, 500)
    log.rename(log.with_name(f"{log.name}.1"))  # rotated while nobody looks
    write(log, 40)
    shipper.start()
    assert wait_until(lambda: counted() == 3540, seconds=SECONDS), (counted(), shipper.output.read_text())
    web.stop()
    write(log, 100)
    shutil.copy2(log, log.with_name(f"{log.name}.2"))
    os.truncate(log, 0)
    write(log, 60)
    assert wait_until(lambda: "sending again" in shipper.output.read_text(), seconds=SECONDS)
    web.start()
    assert wait_until(lambda: counted() == 3700, seconds=SECONDS), (counted(), shipper.output.read_text())
    assert "takes lines again" in shipper.output.read_text()
    write(log, 1)
    assert wait_until(lambda: counted() == 3701, seconds=SECONDS)
    assert not RejectionFeed.objects.filter(unread__gt=0).exists()
    shipper.kill()
    assert counted() == 3701


@pytest.mark.django_db(transaction=True)
def test_a_wrong_token_is_told_and_a_new_one_is_taken_up(stage: tuple[Portal, Shipper, Path]) -> None:
    web, shipper, log = stage
    token = Path(shipper.argv[shipper.argv.index("--token-file") + 1])
    good = token.read_text()
    token.write_text("opt_wrong")
    web.start()
    write(log, 3)
    shipper.start()
    assert wait_until(lambda: "HTTP 401" in shipper.output.read_text(), seconds=SECONDS)
    assert counted() == 0
    token.write_text(good)
    assert wait_until(lambda: counted() == 3, seconds=SECONDS)


def test_it_needs_no_database(tmp_path: Path) -> None:
    """It runs beside a broker: what is missing is said in one sentence."""
    done = subprocess.run(
        [sys.executable, "manage.py", "ship_authorizer_log", "x.log", "--url", "http://127.0.0.1:9", "--cluster", "n"],
        env={name: text for name, text in os.environ.items() if name != "PORTAL_TOKEN"}
        | {"DJANGO_SETTINGS_MODULE": "ops_portal.settings.base", "PORTAL_VAR": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr.strip()) == (1, "CommandError: Give --token-file, or set PORTAL_TOKEN.")
