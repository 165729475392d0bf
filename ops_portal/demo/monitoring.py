"""The demo's monitoring: the JMX exporter in each broker, and Prometheus, Alertmanager and node_exporter beside them.

The programs come from the system (Debian: prometheus, prometheus-alertmanager, prometheus-node-exporter); those that are
missing are named once and the demo goes on without them. Everything listens on loopback and keeps its data below
`<var>/demo/`. Nothing here waits: a program that is slow to start delays nobody.
"""

import fcntl
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops_portal.demo.topology import CLUSTER
from ops_portal.lib.kafka_runner import free_ports, port_is_free
from ops_portal.lib.supervisor import SERVICE, Child

DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
RULES = DEPLOY / "jmx" / "kafka.yml"

_AGENT_POM = DEPLOY / "jmx" / "pom.xml"
_AGENT = "jmx_prometheus_javaagent-1.0.1.jar"
_COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
_FETCH_SECONDS = 180
_SCRAPE_SECONDS = 5
PORTAL_JOB = "ops-portal"
_KEPT = ("--storage.tsdb.retention.time=2d", "--storage.tsdb.retention.size=512MB")

# Wishes; a port that is taken is replaced by a free one. Brokers listen on 19092, 19192, 19292 and a few above each.
_PROMETHEUS, _ALERTMANAGER, _NODE = 19_090, 19_089, 19_091
_FIRST_BROKER, _BROKER_STEP = 19_099, 100

Say = Callable[[str], None]


class AgentUnavailable(Exception):
    """The exporter's agent cannot be had here; the message is one sentence."""


@dataclass(frozen=True, slots=True)
class Program:
    """A program from the system, under the name Debian gives it or the one it has elsewhere."""

    what: str
    package: str
    names: tuple[str, ...]

    @property
    def path(self) -> str | None:
        return next(filter(None, map(shutil.which, self.names)), None)


PROMETHEUS = Program("Prometheus", "prometheus", ("prometheus",))
ALERTMANAGER = Program("Alertmanager", "prometheus-alertmanager", ("prometheus-alertmanager", "alertmanager"))
NODE = Program("node_exporter", "prometheus-node-exporter", ("prometheus-node-exporter", "node_exporter"))


@dataclass(frozen=True, slots=True)
class Monitoring:
    """What of the monitoring runs in this demo, and where. A port is None where the program is not there."""

    agent: Path | None
    broker_ports: tuple[int, ...]
    prometheus: int | None
    alertmanager: int | None
    node: int | None

    @property
    def prometheus_url(self) -> str:
        """Where Prometheus is asked; empty without one."""
        return f"http://127.0.0.1:{self.prometheus}" if self.prometheus else ""

    @property
    def alertmanager_url(self) -> str:
        return f"http://127.0.0.1:{self.alertmanager}" if self.alertmanager else ""

    def broker_options(self, number: int) -> tuple[str, ...]:
        """Options for the JVM of broker `number` (from 1): the exporter with this project's rules."""
        if self.agent is None:
            return ()
        return (f"-javaagent:{self.agent}=127.0.0.1:{self.broker_ports[number - 1]}:{RULES}",)


def plan(var: Path, brokers: int, *, java: str, say: Say) -> Monitoring:
    """See what is there, choose ports, fetch the agent on the first run; what is missing is said, once, and left out."""
    missing = [program for program in (PROMETHEUS, ALERTMANAGER, NODE) if program.path is None]
    if missing:
        names = " and ".join([", ".join(one.what for one in missing[:-1]), missing[-1].what][len(missing) == 1 :])
        packages = " ".join(one.package for one in missing)
        say(f"not on this machine: {names}; the demo goes on without (on Debian: apt-get install {packages}).")
    agent = None
    try:
        agent = agent_jar(var, java=java, say=say)
    except AgentUnavailable as reason:
        say(f"brokers export no metrics: {reason}")
    taken: set[int] = set()
    return Monitoring(
        agent=agent,
        broker_ports=tuple(_port(_FIRST_BROKER + number * _BROKER_STEP, taken) for number in range(brokers)),
        prometheus=_port(_PROMETHEUS, taken) if PROMETHEUS.path else None,
        alertmanager=_port(_ALERTMANAGER, taken) if ALERTMANAGER.path else None,
        node=_port(_NODE, taken) if NODE.path else None,
    )


def agent_jar(var: Path, *, java: str, say: Say) -> Path:
    """The exporter's agent under `var`, brought by Maven when it is not there yet. Raises AgentUnavailable."""
    home = var / "kafka"
    jar = home / _AGENT
    if jar.exists():
        return jar
    maven = shutil.which("mvn")
    if maven is None:
        raise AgentUnavailable("its agent is fetched with Maven on the first run: install the package maven.")
    home.mkdir(parents=True, exist_ok=True)
    with (home / "lock").open("w") as lock, tempfile.TemporaryDirectory(dir=home, prefix="agent-") as draft:
        fcntl.flock(lock, fcntl.LOCK_EX)  # Kafka's own jars come through the same repository
        if jar.exists():
            return jar
        say("fetching the JMX exporter with Maven (first run only)")
        _fetch(maven, Path(draft), var / "maven", java)
        (Path(draft) / _AGENT).rename(jar)
    return jar


def _fetch(maven: str, draft: Path, repository: Path, java: str) -> None:
    command = [
        maven, "-q", "-B", "-ntp", "-f", str(_AGENT_POM), f"-Dmaven.repo.local={repository}", _COPY_JARS,
        f"-DoutputDirectory={draft}", "-DincludeScope=runtime", "-DexcludeTransitive=true",
    ]  # fmt: skip
    environment = os.environ | {"JAVA_HOME": str(Path(java).resolve().parents[1])}
    try:
        answer = subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise AgentUnavailable(f"Maven did not bring its agent within {_FETCH_SECONDS} s.") from error
    if answer.returncode or not (draft / _AGENT).exists():
        lines = [line for line in (answer.stdout + answer.stderr).splitlines() if "ERROR" in line]
        raise AgentUnavailable(f"Maven could not bring its agent: {lines[0] if lines else 'no reason given'}")


def children(monitoring: Monitoring, var: Path, *, portal_address: str) -> list[Child]:
    """Prometheus, Alertmanager and node_exporter as far as they are there, with their settings written."""
    directory = var / "demo" / "monitoring"
    directory.mkdir(parents=True, exist_ok=True)
    found = []
    if monitoring.node:
        found.append(_child("node-exporter", NODE, [f"--web.listen-address=127.0.0.1:{monitoring.node}"]))
    if monitoring.alertmanager:
        found.append(_alertmanager(monitoring, directory))
    if monitoring.prometheus:
        found.append(_prometheus(monitoring, directory, portal_address))
    return found


def said(monitoring: Monitoring) -> str:
    """A line for the end of the start, with its line break in front; empty without Prometheus and Alertmanager."""
    places = [("Prometheus", monitoring.prometheus_url), ("Alertmanager", monitoring.alertmanager_url)]
    told = ", ".join(f"{what} {url}" for what, url in places if url)
    return f"\n          {told}." if told else ""


def _prometheus(monitoring: Monitoring, directory: Path, portal_address: str) -> Child:
    settings = directory / "prometheus.yml"  # JSON is YAML too
    text = json.dumps(prometheus_settings(monitoring, portal_address), indent=1)
    settings.write_text(f"{text}\n", encoding="utf-8")
    argv = [
        f"--config.file={settings}",
        f"--storage.tsdb.path={directory / 'prometheus'}",
        *_KEPT,
        f"--web.listen-address=127.0.0.1:{monitoring.prometheus}",
        f"--web.external-url={monitoring.prometheus_url}/",
        "--web.enable-lifecycle",
        "--log.level=warn",
    ]
    return _child("prometheus", PROMETHEUS, argv)


def _alertmanager(monitoring: Monitoring, directory: Path) -> Child:
    argv = [
        f"--config.file={DEPLOY / 'alertmanager' / 'alertmanager.yml'}",
        f"--storage.path={directory / 'alertmanager'}",
        f"--web.listen-address=127.0.0.1:{monitoring.alertmanager}",
        f"--web.external-url={monitoring.alertmanager_url}/",
        "--cluster.listen-address=",  # a single one: else it listens on 0.0.0.0:9094 for others
        "--log.level=warn",
    ]
    return _child("alertmanager", ALERTMANAGER, argv)


def prometheus_settings(monitoring: Monitoring, portal_address: str) -> dict[str, Any]:
    """Prometheus' configuration: three jobs, this project's rules, and the address that runbook links begin with."""
    jobs = [_job(PORTAL_JOB, {portal_address.removeprefix("http://"): {}})]
    if monitoring.agent:
        brokers = {
            f"127.0.0.1:{port}": {"cluster": CLUSTER, "instance": f"broker-{number}"}
            for number, port in enumerate(monitoring.broker_ports, 1)
        }
        jobs.append(_job("kafka", brokers))
    if monitoring.node:
        jobs.append(_job("node", {f"127.0.0.1:{monitoring.node}": {"cluster": CLUSTER, "instance": "127.0.0.1"}}))
    found: dict[str, Any] = {
        "global": {
            "scrape_interval": f"{_SCRAPE_SECONDS}s",
            "evaluation_interval": f"{_SCRAPE_SECONDS}s",
            "external_labels": {"portal": portal_address},
        },
        "rule_files": [str(DEPLOY / "prometheus" / "*.rules.yml")],
        "scrape_configs": jobs,
    }
    if monitoring.alertmanager:
        found["alerting"] = {
            "alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{monitoring.alertmanager}"]}]}]
        }
    return found


def _job(name: str, targets: Mapping[str, Mapping[str, str]]) -> dict[str, Any]:
    static = [
        {"targets": [target], **({"labels": dict(labels)} if labels else {})} for target, labels in targets.items()
    ]
    return {"job_name": name, "static_configs": static}


def _child(name: str, program: Program, argv: Sequence[str]) -> Child:
    return Child(name, [str(program.path), *argv], tier=SERVICE)


def _port(wish: int, taken: set[int]) -> int:
    port = wish if port_is_free(wish) else free_ports(1)[0]
    while port in taken:
        port = free_ports(1)[0]
    taken.add(port)
    return port
