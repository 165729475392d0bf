"""A real Apache Kafka as child processes, for the demo and the tests: one node or a KRaft cluster on loopback ports.

The jars come from Maven once; after that every start works without network. A class archive, built on the first use,
halves the start time of a node. Nothing here speaks Kafka's protocol: a node is ready when its own log says so.
"""

import base64
import fcntl
import hashlib
import os
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from ops_portal.lib.kafka_jars import FILES, KafkaHome, KafkaUnavailable, jars_fetch, java_found, java_stamp
from ops_portal.lib.processes import end_all, spawn, wait_until

__all__ = [
    "STARTED",
    "KafkaCluster",
    "KafkaHome",
    "KafkaUnavailable",
    "Secured",
    "free_ports",
    "kafka_home",
    "port_is_free",
]

STARTED = b"Kafka Server started"  # what a node prints when it is ready
_CLOSED = b"shut down completed (kafka.server.BrokerServer)"
_START_SECONDS = 60

Progress = Callable[[str], None]


def _quiet(_: str) -> None:
    """Progress that nobody reads."""


def kafka_home(var: Path, progress: Progress = _quiet) -> KafkaHome:
    """Kafka under `var`, fetched and prepared when it is not there yet; processes that ask at once wait for one another.

    Raises KafkaUnavailable without Java, without Maven on the first run, or when the jars cannot be fetched.
    """
    java = java_found()
    base = var / "kafka"
    base.mkdir(parents=True, exist_ok=True)
    with _locked(base / "lock"):
        stamp = hashlib.sha256((FILES / "pom.xml").read_bytes()).hexdigest()[:16]
        libs = base / f"libs-{stamp}"
        if not libs.is_dir():
            progress("fetching Kafka with Maven (first run only)")
            jars_fetch(libs, var / "maven", java)
        home = KafkaHome(java, libs, base / f"classes-{stamp}-{java_stamp(java)}.jsa")
        if not home.archive.exists():
            progress("preparing Kafka's class archive (first run only)")
            _build_archive(home)
    return home


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _build_archive(home: KafkaHome) -> None:
    """Run one throw-away node and keep the classes it loaded. A start without the archive works too, only slower."""
    draft = home.archive.with_suffix(f".{os.getpid()}")
    with tempfile.TemporaryDirectory(prefix="kafka-") as directory:
        cluster = KafkaCluster(
            home, Path(directory), (free_ports(2),), jvm_options=(f"-XX:ArchiveClassesAtExit={draft}",)
        )
        try:
            cluster.start()
            cluster.stop(1, grace_seconds=60)  # the archive is written while the JVM ends
        finally:
            cluster.stop_all()
    if draft.exists():
        draft.rename(home.archive)


def free_ports(count: int) -> tuple[int, ...]:
    """Loopback ports nobody listens on, below the range from which outgoing connections take theirs."""
    found: list[int] = []
    while len(found) < count:
        port = random.randint(15_000, 31_999)  # noqa: S311
        if port not in found and port_is_free(port):
            found.append(port)
    return tuple(found)


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Secured:
    """A second listener per node, for clients with a certificate, and ACLs for them (deploy/kafka/secured.properties).

    `ports` and `keystores` (key and chain, PEM) by node, the truststore holds the root that clients must come from.
    """

    ports: Sequence[int]
    keystores: Sequence[Path]
    truststore: Path


@dataclass
class KafkaCluster:
    """Nodes 1..n, each broker and controller. `ports` holds (broker port, controller port) per node.

    Data stays in `directory`, so a cluster stopped or killed goes on where it was, also on other ports. Nodes die with
    the thread that started them.
    """

    home: KafkaHome
    directory: Path
    ports: Sequence[Sequence[int]]
    settings: Mapping[str, str] = field(default_factory=dict)
    heap_mb: int = 256
    jvm_options: Sequence[str] = ()
    secured: Secured | None = None
    node_options: Callable[[int], Sequence[str]] | None = None  # JVM options of one node, after `jvm_options`
    _nodes: dict[int, subprocess.Popen[bytes]] = field(default_factory=dict, init=False)
    _log_begins: dict[int, int] = field(default_factory=dict, init=False)  # where the log of the present start begins

    @property
    def bootstrap(self) -> str:
        """Bootstrap servers, every node named."""
        return ",".join(f"127.0.0.1:{broker}" for broker, _ in self.ports)

    @property
    def secure_bootstrap(self) -> str:
        """Bootstrap servers of the listener for clients with a certificate; empty without one."""
        return ",".join(f"127.0.0.1:{port}" for port in (self.secured.ports if self.secured else ()))

    @property
    def controllers(self) -> str:
        return ",".join(f"127.0.0.1:{controller}" for _, controller in self.ports)

    @property
    def node_ids(self) -> range:
        return range(1, len(self.ports) + 1)

    def pid(self, node: int) -> int | None:
        """Process id of a running node, else None."""
        process = self._nodes.get(node)
        return process.pid if process is not None and process.poll() is None else None

    def start(self, progress: Progress = _quiet) -> None:
        """Format what is new, start every node and wait until all are ready. KafkaUnavailable when one is not."""
        self.prepare(progress)
        for node in self.node_ids:
            self._launch(node)
        for node in self.node_ids:
            self._await_ready(node)

    def prepare(self, progress: Progress = _quiet) -> None:
        """Everything but the processes: a formatted data directory per node, its settings, and ports that are free."""
        if not all(self._formatted(node) for node in self.node_ids):
            progress("formatting the data directories")
            self._format()
        for node in self.node_ids:
            self._write_properties(node)
            self._refuse_taken_ports(node)

    def argv(self, node: int) -> list[str]:
        """Command line of a prepared node, for a supervisor of its own; its environment is `home.environment()`."""
        own = self.node_options(node) if self.node_options else ()
        options = (
            f"-Xms{self.heap_mb}m", f"-Xmx{self.heap_mb}m", f"-Dkafka.logs.dir={self._path(node) / 'logs'}",
            *self.jvm_options, *own,
        )  # fmt: skip
        properties = str(self._path(node) / "server.properties")
        return self.home.command("kafka.Kafka", properties, log4j="log4j2.properties", options=options)

    def authorizer_log(self, node: int) -> Path:
        """Where the node's authorizer writes a line for each refusal."""
        return self._path(node) / "logs" / "authorizer.log"

    def restart(self, node: int) -> None:
        """Start a node that was stopped or killed, and wait until it is ready."""
        if self.pid(node) is not None:
            raise ValueError(f"node {node} is running")
        self._launch(node)
        self._await_ready(node)

    def kill(self, node: int) -> None:
        """SIGKILL: what a crash of the machine looks like to the others."""
        process = self._nodes[node]
        process.kill()
        process.wait(10)

    def stop(self, node: int, *, grace_seconds: float = 10) -> None:
        """SIGTERM, and SIGKILL after `grace_seconds`: a node without a quorum never stops by itself."""
        end_all([(self._nodes[node], signal.SIGTERM)], grace_seconds=grace_seconds)

    def pause(self, node: int) -> None:
        """SIGSTOP: the node keeps its connections and answers nothing, until `resume`."""
        os.kill(self._nodes[node].pid, signal.SIGSTOP)

    def resume(self, node: int) -> None:
        os.kill(self._nodes[node].pid, signal.SIGCONT)

    def stop_all(self, *, grace_seconds: float = 5) -> None:
        """End every node. The data stays.

        The nodes left over when the majority has gone would wait for their quorum. They are killed once their broker
        part has closed its logs; a broker that was not signed off would hold up the next start for its session timeout.
        """
        running = [node for node in self.node_ids if self.pid(node) is not None]
        for node in running:
            self.resume(node)
            self._nodes[node].terminate()
        majority = len(self.ports) // 2 + 1

        def settled() -> bool:
            gone = sum(self.pid(node) is None for node in self.node_ids)
            return gone >= majority and all(self.pid(node) is None or _CLOSED in self._told(node) for node in running)

        wait_until(settled, seconds=grace_seconds)
        end_all([(process, signal.SIGKILL) for process in self._nodes.values()], grace_seconds=2)
        self._nodes.clear()

    def tool(self, main_class: str, *arguments: str, timeout: float = 60) -> str:
        """Standard output of one of Kafka's own tools, e.g. `consumer.group.ConsumerGroupCommand` or
        `kafka.admin.ConfigCommand`; the package `org.apache.kafka.tools` need not be given.

        The bootstrap servers are given already.
        Raises CalledProcessError or TimeoutExpired.
        """
        name = main_class if main_class.startswith(("org.", "kafka.")) else f"org.apache.kafka.tools.{main_class}"
        command = self.home.command(
            name, "--bootstrap-server", self.bootstrap, *arguments, log4j="log4j2-tools.properties"
        )
        return subprocess.run(  # noqa: S603
            command, env=self.home.environment(), capture_output=True, text=True, timeout=timeout, check=True
        ).stdout

    def _path(self, node: int) -> Path:
        return self.directory / f"node{node}"

    def _log(self, node: int) -> Path:
        return self._path(node) / "stdout.log"

    def _told(self, node: int) -> bytes:
        """What the node has printed since its present start."""
        with self._log(node).open("rb") as handle:
            handle.seek(self._log_begins[node])
            return handle.read()

    def _formatted(self, node: int) -> bool:
        return (self._path(node) / "data" / "meta.properties").exists()

    def _format(self) -> None:
        """Give every node an empty data directory of one new cluster."""
        cluster_id = _cluster_id()
        jobs = []
        for node in self.node_ids:
            shutil.rmtree(self._path(node), ignore_errors=True)
            self._write_properties(node)
            command = self.home.command(
                "kafka.tools.StorageTool", "format", "-t", cluster_id, "-c", str(self._path(node) / "server.properties"),
                log4j="log4j2-tools.properties",
            )  # fmt: skip
            log = self._path(node) / "format.log"
            jobs.append((node, log, spawn(command, log=log, env=self.home.environment())))
        for node, log, process in jobs:
            if process.wait(_START_SECONDS):
                raise KafkaUnavailable(f"Kafka node {node} cannot be formatted: {_last_line(log)}")

    def _write_properties(self, node: int) -> None:
        broker, controller = self.ports[node - 1]
        listeners = f"PLAINTEXT://127.0.0.1:{broker},CONTROLLER://127.0.0.1:{controller}"
        replicas, in_sync = (3, 2) if len(self.ports) >= 3 else (1, 1)
        own = {
            "node.id": str(node),
            "listeners": listeners,
            "advertised.listeners": listeners,
            # Static voters: the ports are settings only and may differ from one start to the next.
            "controller.quorum.voters": ",".join(f"{i}@127.0.0.1:{self.ports[i - 1][1]}" for i in self.node_ids),
            "log.dirs": str(self._path(node) / "data"),
            "default.replication.factor": str(replicas),
            "min.insync.replicas": str(in_sync),
        }
        for topic in ("offsets.topic", "transaction.state.log", "share.coordinator.state.topic"):
            own[f"{topic}.replication.factor"] = str(replicas)
        own["transaction.state.log.min.isr"] = own["share.coordinator.state.topic.min.isr"] = str(in_sync)
        text = (FILES / "server.properties").read_text(encoding="utf-8")
        if self.secured:
            text += (FILES / "secured.properties").read_text(encoding="utf-8")
            own |= _secured(self.secured, node, listeners)
        lines = [f"{name}={value}\n" for name, value in (own | dict(self.settings)).items()]
        self._path(node).mkdir(parents=True, exist_ok=True)
        (self._path(node) / "server.properties").write_text(text + "".join(lines), encoding="utf-8")

    def _refuse_taken_ports(self, node: int) -> None:
        secure = (self.secured.ports[node - 1],) if self.secured else ()
        for port in (*self.ports[node - 1], *secure):
            if not port_is_free(port):
                raise KafkaUnavailable(f"Port {port} is in use, Kafka node {node} cannot listen there.")

    def _launch(self, node: int) -> None:
        self._refuse_taken_ports(node)
        log = self._log(node)
        self._log_begins[node] = log.stat().st_size if log.exists() else 0
        self._nodes[node] = spawn(self.argv(node), log=log, env=self.home.environment())

    def _await_ready(self, node: int) -> None:
        process = self._nodes[node]

        def ready_or_gone() -> bool:
            return process.poll() is not None or STARTED in self._told(node)

        in_time = wait_until(ready_or_gone, seconds=_START_SECONDS, step_seconds=0.05)
        if process.poll() is not None:
            raise KafkaUnavailable(f"Kafka node {node} ended at its start: {_last_line(self._log(node))}")
        if not in_time:
            raise KafkaUnavailable(f"Kafka node {node} was not ready within {_START_SECONDS} s, see {self._log(node)}.")


def _secured(secured: Secured, node: int, listeners: str) -> dict[str, str]:
    listeners = f"{listeners},SECURE://127.0.0.1:{secured.ports[node - 1]}"
    return {
        "listeners": listeners,
        "advertised.listeners": listeners,
        "listener.name.secure.ssl.keystore.location": str(secured.keystores[node - 1]),
        "listener.name.secure.ssl.truststore.location": str(secured.truststore),
    }


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    told = [line for line in lines if line.strip() and not line.startswith("\t")]
    return told[-1] if told else "it said nothing"


def _cluster_id() -> str:
    """A random id in Kafka's spelling: base64url of 16 bytes, never with a dash in front."""
    return base64.urlsafe_b64encode(uuid.uuid4().bytes).rstrip(b"=").decode("ascii").replace("-", "_", 1)
