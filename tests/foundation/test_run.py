"""`manage.py run` as a person uses it: real processes, real signals."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ops_portal.lib import rundir, supervisor
from ops_portal.lib.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
NAMES = ("postgres", "valkey", "web", "worker-poll", "worker", "beat")
pytestmark = [pytest.mark.fault, pytest.mark.xdist_group("fault"), pytest.mark.timeout(300)]


class Portal:
    """One `manage.py run` on a data directory and a port of its own."""

    def __init__(self, var: Path) -> None:
        self.var = var
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.output = var.parent / "output"
        self.process: subprocess.Popen[bytes] | None = None

    def env(self, **more: str) -> dict[str, str]:
        own = {
            "DJANGO_SETTINGS_MODULE": "ops_portal.settings.base",
            "PORTAL_VAR": str(self.var),
            "PORT": str(self.port),
        }
        kept = {name: text for name, text in os.environ.items() if name not in {"DEPLOYMENT_ID", "PORTAL_TEST_VAR"}}
        return kept | own | more

    def start(self) -> subprocess.Popen[bytes]:
        with self.output.open("wb") as output:
            self.process = subprocess.Popen(
                [sys.executable, ROOT / "manage.py", "run"], env=self.env(), stdout=output, stderr=subprocess.STDOUT
            )
        assert wait_until(lambda: "The portal is at" in self.said() or self.over(), seconds=120)
        assert not self.over(), self.said()
        return self.process

    def said(self) -> str:
        return self.output.read_text() if self.output.exists() else ""

    def over(self) -> bool:
        return self.process is not None and self.process.poll() is not None

    def pids(self) -> dict[str, int | None]:
        return {name: rundir.child_pid(self.var, name) for name in NAMES}

    def get(self, path: str) -> tuple[int, bytes]:
        link = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            link.request("GET", path)
            answer = link.getresponse()
            return answer.status, answer.read()
        except OSError:
            return 0, b""
        finally:
            link.close()


@pytest.fixture
def run() -> Iterator[Portal]:
    directory = Path(tempfile.mkdtemp(prefix="ops-portal-run-"))
    directory.chmod(0o755)
    found = Portal(directory / "var")
    yield found
    if found.process is not None and not found.over():
        found.process.kill()
        found.process.wait(10)
    wait_until(lambda: not any(map(alive, found.pids().values())), seconds=10)
    shutil.rmtree(directory)


def alive(pid: int | None) -> bool:
    return pid is not None and Path(f"/proc/{pid}").exists() and b"\0" in Path(f"/proc/{pid}/cmdline").read_bytes()


def test_it_starts_heals_stops_and_starts_again(run: Portal) -> None:
    process = run.start()
    first = run.pids()
    assert all(map(alive, first.values()))
    assert run.get("/readyz") == (200, b'{"database": "up", "transport": "up"}')
    assert wait_until(lambda: "First sign-in as administrator" in run.said(), seconds=30)
    link = run.said().rpartition("/sign-in/")[2].split()[0]
    assert not any(link in log.read_text(errors="replace") for log in (run.var / "log").iterdir())

    again = subprocess.run(
        [sys.executable, ROOT / "manage.py", "run"],
        env=run.env(),
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert again.returncode == supervisor.REFUSED
    assert again.stderr.startswith(f"A portal already runs on {run.var} (process {process.pid}); stop it first")
    other = run.env(PORTAL_VAR=str(run.var.parent / "other"))
    taken = subprocess.run(
        [sys.executable, ROOT / "manage.py", "run"], env=other, capture_output=True, text=True, timeout=60, check=False
    )
    assert taken.returncode == supervisor.REFUSED
    assert taken.stderr.startswith(f"Port {run.port} on 127.0.0.1 is in use")
    assert len(taken.stderr.splitlines()) == 1

    for name in ("postgres", "valkey", "web", "worker-poll"):
        pid = first[name]
        assert pid is not None
        os.kill(pid, signal.SIGKILL)
    assert wait_until(
        lambda: run.get("/readyz") == (200, b'{"database": "up", "transport": "up"}'), seconds=60, step_seconds=0.2
    )
    assert wait_until(lambda: alive(run.pids()["worker-poll"]), seconds=30)

    healed = run.pids()
    process.kill()  # the supervisor itself: nobody is left to stop the children
    process.wait(10)
    assert wait_until(lambda: not any(map(alive, healed.values())), seconds=10)

    process = run.start()
    last = run.pids()
    process.send_signal(signal.SIGINT)
    assert process.wait(15) == 0
    assert not any(map(alive, last.values()))
    assert run.said().rstrip().endswith("Stopping.")
