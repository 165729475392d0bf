"""One broker at the stated size and a portal on it, both of the bench's own and gone at its end."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.report import note
from ops_portal.lib import embedded, portal, processes
from ops_portal.lib.kafka_runner import KafkaCluster, free_ports, kafka_home

TOPICS, PARTITIONS, GROUPS, COMMITS, RECORDS = 2500, 4, 2000, 20, 3
LIVE_GROUPS = 20  # of the groups: with a member each
PERIOD = 5
CLUSTER = "bench"
_OPEN_FILES = 20_000
_HEAP_MB = 1536
# What a broker of some size runs on; the runner's own choice is for the quick start of small ones.
_JVM = ("-XX:-UseSerialGC", "-XX:+UseG1GC", "-XX:TieredStopAtLevel=4")


class Site:
    """Use as a context: `with Site() as site`. Call from the main thread, children die with it."""

    def __init__(self) -> None:
        self.var = Path(tempfile.mkdtemp(prefix="ops-portal-bench-"))
        self.servers = embedded.RunningServers(self.var)
        self.children: dict[str, subprocess.Popen[bytes]] = {}
        broker, controller, self.jmx_port, self.port = free_ports(4)
        own_var = Path(os.environ.get("PORTAL_VAR") or portal.ROOT / "var").expanduser().resolve()
        self.kafka = KafkaCluster(
            kafka_home(own_var, note),
            self.var / "broker",
            ((broker, controller),),
            settings={"offsets.topic.num.partitions": "50", "num.network.threads": "3", "num.io.threads": "8"},
            heap_mb=_HEAP_MB,
            jvm_options=(*_JVM, *_remote_beans(self.jmx_port)),
        )
        self.env: dict[str, str] = {}

    def __enter__(self) -> "Site":
        try:
            self._start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _start(self) -> None:
        soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        if soft < _OPEN_FILES:  # the broker holds a file per partition
            resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, _OPEN_FILES), hard))
        for name in ("DATABASE_URL", "VALKEY_URL", "DEMO"):
            os.environ.pop(name, None)
        os.environ |= {
            "PORTAL_VAR": str(self.var),
            "DEPLOYMENT_ID": f"bench-{os.getpid()}",
            "DJANGO_SETTINGS_MODULE": "ops_portal.settings.base",
            "RATE_LIMIT_PER_MINUTE": "1000000",
            "SIGN_IN_LIMIT_PER_MINUTE": "10000",
            "PYTHONUNBUFFERED": "1",
        }
        note("starting PostgreSQL, Valkey and a broker")
        self.servers.start()
        self.kafka.start()
        self.manage("migrate", "--no-input", "--verbosity=0")
        import django

        django.setup()

    def manage(self, *arguments: str) -> None:
        """Run a management command to its end."""
        subprocess.run([*map(str, portal.MANAGE), *arguments], check=True, timeout=180, stdout=subprocess.DEVNULL)

    def start(self, *names: str) -> None:
        """Start processes of the portal as `make run` does: worker-poll, worker, beat, web (after `collect`)."""
        wanted = {child.name: child for child in portal.portal_children("127.0.0.1", self.port)}
        for name in names:
            child = wanted[name]
            self.spawn(name, [str(word) for word in child.argv], child.env)
            if child.ready and not processes.wait_until(child.ready, seconds=60):
                raise RuntimeError(f"{name} is not ready: {self.log(name).read_text()[-2000:]}")

    def spawn(self, name: str, argv: list[str], env: Mapping[str, str] | None = None) -> subprocess.Popen[bytes]:
        """Start a child whose output goes to its log."""
        child = processes.spawn(argv, log=self.log(name), env=os.environ | dict(env or {}), cwd=portal.ROOT)
        self.children[name] = child
        return child

    def stop(self, *names: str) -> None:
        processes.end_all([(self.children.pop(name), signal.SIGTERM) for name in names], grace_seconds=5)

    def log(self, name: str) -> Path:
        return self.var / "log" / f"{name}.log"

    def close(self) -> None:
        """End everything and remove the data."""
        self.stop(*self.children)
        self.kafka.stop_all(grace_seconds=3)
        self.servers.stop()
        for directory in {self.var, embedded.state_directory(self.var), embedded.runtime_directory(self.var)}:
            shutil.rmtree(directory, ignore_errors=True)

    def broker_requests(self) -> Counter[str]:
        """Requests by API since the broker's start, as the broker itself counts them."""
        text = self.kafka.home.command(
            "org.apache.kafka.tools.JmxTool",
            *("--jmx-url", f"service:jmx:rmi:///jndi/rmi://127.0.0.1:{self.jmx_port}/jmxrmi"),
            *("--object-name", "kafka.network:type=RequestMetrics,name=RequestsPerSec,*"),
            *("--attributes", "Count", "--one-time", "--report-format", "properties"),
            log4j="log4j2-tools.properties",
        )
        done = subprocess.run(
            text, env=self.kafka.home.environment(), capture_output=True, text=True, timeout=60, check=True
        )
        found: Counter[str] = Counter()
        for line in done.stdout.splitlines():
            name, _, count = line.rpartition("=")
            if "request=" in name:
                api = name.split("request=", 1)[1].split(",")[0].split(":")[0]
                found[api] += int(float(count))
        return found


def _remote_beans(port: int) -> tuple[str, ...]:
    names = {"port": port, "rmi.port": port, "host": "127.0.0.1", "authenticate": "false", "ssl": "false"}
    return (
        *(f"-Dcom.sun.management.jmxremote.{name}={value}" for name, value in names.items()),
        "-Djava.rmi.server.hostname=127.0.0.1",
    )


def python(module: str, *arguments: Any) -> list[str]:
    """Command line of one of this package's modules."""
    return [sys.executable, "-m", f"bench.{module}", *map(str, arguments)]
