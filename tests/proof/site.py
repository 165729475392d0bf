"""A portal of the test's own: PostgreSQL, Valkey, the supervisor with a poll worker and beat, all real processes."""

import contextlib
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from django.conf import settings
from django.core.management import call_command
from django.db import Error, connection

from clusters.models import PollRun, Source
from ops_portal.lib import embedded, portal, processes
from ops_portal.lib.processes import wait_until
from ops_portal.lib.rundir import child_pid, hold, release
from tests.proof.run_workers import NAMES
from tests.proof.view import View

if TYPE_CHECKING:
    from subprocess import Popen

PREPARE: Mapping[str, Callable[[Path], embedded.Server]] = {
    "postgres": embedded.prepare_postgres,
    "valkey": embedded.prepare_valkey,
}
STOP = {"postgres": signal.SIGINT, "valkey": signal.SIGTERM}
PATIENCE = 90.0  # seconds to wait for an event; only a test that fails waits so long


@dataclass
class Site:
    """The processes; what is killed comes back with `start`, the workers by their supervisor."""

    var: Path
    servers: dict[str, "Popen[bytes]"] = field(default_factory=dict)
    supervisor: "Popen[bytes] | None" = None

    def start(self, name: str) -> None:
        """Start `postgres` or `valkey` and wait until it answers."""
        server = PREPARE[name](self.var)
        child = processes.spawn(
            server.argv,
            log=self.var / "log" / f"{name}.log",
            user=server.user,
            env=os.environ | server.env,
            orphan_signal=server.stop_signal,
        )
        self.servers[name] = child
        assert wait_until(server.answers, seconds=PATIENCE), f"{name} does not answer"

    def stop(self, name: str, number: signal.Signals) -> None:
        self.servers[name].send_signal(number)
        self.servers[name].wait(30)

    def environment(self) -> dict[str, str]:
        host = quote(str(embedded.runtime_directory(self.var)), safe="")
        return os.environ | {
            "DJANGO_SETTINGS_MODULE": "ops_portal.settings.base",
            "DATABASE_URL": f"postgresql://postgres@/{embedded.DATABASE_NAME}?host={host}",
            "VALKEY_URL": embedded.valkey_url("", self.var),
            "DEPLOYMENT_ID": "proof",
            "PORTAL_VAR": str(self.var),
            "SECRET_KEY": settings.SECRET_KEY,
        }

    def spawn(self, name: str, *command: str | Path) -> "Popen[bytes]":
        log = self.var / "log" / f"{name}.log"
        return processes.spawn(command, log=log, env=self.environment(), cwd=portal.ROOT)

    def start_workers(self) -> None:
        self.supervisor = self.spawn("supervisor", sys.executable, "-m", "tests.proof.run_workers", self.var)
        assert self.eventually(lambda: all(self.pid(name) for name in NAMES)), self.log("supervisor")

    def pid(self, name: str) -> int | None:
        return child_pid(self.var, name)

    def hold(self, name: str) -> None:
        """Kill the child and keep it down until `release`."""
        hold(self.var, name)
        assert self.eventually(lambda: self.pid(name) is None)

    def release(self, name: str) -> None:
        release(self.var, name)

    def log(self, name: str) -> str:
        path = self.var / "log" / f"{name}.log"
        return path.read_text(encoding="utf-8", errors="replace")[-4000:] if path.exists() else ""

    def eventually(self, condition: Callable[[], bool], *, seconds: float = PATIENCE) -> bool:
        """Whether `condition` comes true; a database that is away counts as "not yet"."""

        def holds() -> bool:
            try:
                return condition()
            except Error:
                connection.close()
                return False

        return wait_until(holds, seconds=seconds, step_seconds=0.1)

    def watch(self, bootstrap: str, prefix: str, *, period: int = 1) -> View:
        """Poll this cluster every `period` seconds from now on, and no other."""
        Source.objects.update(enabled=False)
        return View.of(bootstrap, period=period, prefix=prefix, name=f"{prefix}-cluster")

    def stop_all(self) -> None:
        if self.supervisor is not None:
            processes.end_all([(self.supervisor, signal.SIGTERM)], grace_seconds=12)
        ends = [(self.servers[name], STOP[name]) for name in self.servers]
        processes.end_all(ends, grace_seconds=5)
        for path in (self.var, embedded.state_directory(self.var), embedded.runtime_directory(self.var)):
            shutil.rmtree(path, ignore_errors=True)


@contextlib.contextmanager
def running_site() -> Iterator[Site]:
    """A site with migrated tables; this process's own connection leads there meanwhile."""
    site = Site(Path(tempfile.mkdtemp(prefix="ops-portal-proof-")))
    before = {name: connection.settings_dict[name] for name in ("NAME", "HOST", "USER", "PASSWORD", "PORT")}
    try:
        for name in PREPARE:
            site.start(name)
        embedded.ensure_database(site.var)
        _lead_to(before | embedded.database_settings("", site.var))
        call_command("migrate", verbosity=0)
        site.start_workers()
        yield site
    finally:
        _lead_to(before)
        site.stop_all()


def _lead_to(place: dict[str, str]) -> None:
    connection.close()
    connection.close_pool()  # type: ignore[attr-defined]  # PostgreSQL's has one
    connection.settings_dict.update(place)


def runs(view: View) -> list[PollRun]:
    """Every run of the cluster's lag source, oldest first."""
    return list(PollRun.objects.filter(source__cluster=view.cluster, source__kind="lag").order_by("slot"))
