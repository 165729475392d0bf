"""The demo's Prometheus, Alertmanager and node_exporter: with the programs, without them, and on ports that are taken."""

import json
import shutil
import signal
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops_portal.demo import monitoring
from ops_portal.demo.monitoring import Monitoring, Program
from ops_portal.lib.kafka_runner import free_ports
from ops_portal.lib.processes import end_all, spawn, wait_until
from tests.programs import lacking, program

PROGRAMS = (monitoring.PROMETHEUS, monitoring.ALERTMANAGER, monitoring.NODE)
PORTAL = "http://127.0.0.1:8000"


@pytest.fixture
def said() -> list[str]:
    return []


@pytest.fixture
def var(tmp_path: Path) -> Path:
    """A data directory that has the agent already."""
    (tmp_path / "kafka").mkdir()
    (tmp_path / "kafka" / "jmx_prometheus_javaagent-1.0.1.jar").touch()
    return tmp_path


def settle(var: Path, said: list[str]) -> Monitoring:
    return monitoring.plan(var, 3, java="java", say=said.append)


def without(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    found = shutil.which

    def which(name: str) -> str | None:
        return None if name in names else found(name) or f"/usr/bin/{name}"

    monkeypatch.setattr(shutil, "which", which)


def test_what_is_missing_is_said_once_and_the_rest_goes_on(
    var: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, *(name for program in PROGRAMS for name in program.names))
    found = settle(var, said)
    [text] = said
    assert text == (
        "not on this machine: Prometheus, Alertmanager and node_exporter; the demo goes on without (on Debian: "
        "apt-get install prometheus prometheus-alertmanager prometheus-node-exporter)."
    )
    assert monitoring.children(found, var, portal_address=PORTAL) == []
    assert (found.prometheus_url, monitoring.said(found)) == ("", "")
    assert len(found.broker_options(3)) == 1


def test_one_missing_program_is_named_alone(var: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch, *monitoring.NODE.names)
    found = settle(var, said)
    assert [text.split(";")[0] for text in said] == ["not on this machine: node_exporter"]
    names = [child.name for child in monitoring.children(found, var, portal_address=PORTAL)]
    assert names == ["alertmanager", "prometheus"]
    jobs = monitoring.prometheus_settings(found, PORTAL)["scrape_configs"]
    assert [job["job_name"] for job in jobs] == ["ops-portal", "kafka"]


def test_without_the_agent_brokers_start_as_they_did(
    tmp_path: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch, "mvn")
    found = settle(tmp_path, said)
    assert found.agent is None
    assert found.broker_options(1) == ()
    assert said == [
        "brokers export no metrics: its agent is fetched with Maven on the first run: install the package maven."
    ]
    assert "kafka" not in json.dumps(monitoring.prometheus_settings(found, PORTAL)["scrape_configs"])


def test_taken_ports_are_replaced_and_none_is_given_twice(
    var: Path, said: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    without(monkeypatch)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        monkeypatch.setattr(monitoring, "_PROMETHEUS", port)
        found = settle(var, said)
    ports = [*found.broker_ports, found.prometheus, found.alertmanager, found.node]
    assert port not in ports
    assert len(set(ports)) == 6


def test_everything_listens_on_loopback(var: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    without(monkeypatch)
    found = settle(var, said)
    words = [str(word) for child in monitoring.children(found, var, portal_address=PORTAL) for word in child.argv]
    listening = [word for word in words if "listen-address=" in word]
    assert len(listening) == 4
    assert {word.partition("=")[2].rpartition(":")[0] for word in listening} == {"127.0.0.1", ""}
    assert "--cluster.listen-address=" in words
    assert all(
        f"=127.0.0.1:{found.broker_ports[number]}:" in found.broker_options(number + 1)[0] for number in range(3)
    )


@pytest.fixture
def running(var: Path, said: list[str]) -> Iterator[Monitoring]:
    """The real programs, with brokers and a portal that are not there."""
    missing = [program.package for program in PROGRAMS if program.path is None]
    if missing:
        lacking(f"install {', '.join(missing)}")
    ports = free_ports(6)
    found = Monitoring(var / "kafka" / "agent.jar", ports[:3], ports[3], ports[4], ports[5])
    children = monitoring.children(found, var, portal_address=f"http://127.0.0.1:{free_ports(1)[0]}")
    processes = [spawn(child.argv, log=var / f"{child.name}.log") for child in children]
    yield found
    end_all([(process, signal.SIGTERM) for process in processes], grace_seconds=5)


def fetched(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:  # noqa: S310 - an address of this test
        return bytes(answer.read())


def asked(url: str) -> Any:
    try:
        return json.loads(fetched(url))["data"]
    except OSError:
        return None


def test_prometheus_takes_its_settings_scrapes_and_tells_alertmanager(running: Monitoring, var: Path) -> None:
    url = running.prometheus_url

    def scraped() -> dict[str, str]:
        found = asked(f"{url}/api/v1/targets?state=active")
        return {one["labels"]["instance"]: one["health"] for one in found["activeTargets"]} if found else {}

    assert wait_until(lambda: scraped().get("127.0.0.1") == "up", seconds=60, step_seconds=0.3), scraped()
    assert {"broker-1", "broker-2", "broker-3"} <= scraped().keys()
    groups = {group["name"] for group in asked(f"{url}/api/v1/rules")["groups"]}
    assert {"kafka-brokers", "portal-lag", "mirror"} <= groups
    assert wait_until(lambda: bool(asked(f"{url}/api/v1/alertmanagers")["activeAlertmanagers"]), seconds=30)
    assert fetched(f"{running.alertmanager_url}/-/ready")
    assert "portal: http://127.0.0.1" in asked(f"{url}/api/v1/status/config")["yaml"]


def test_promtool_takes_the_settings(var: Path, said: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    promtool = program("promtool", "prometheus")
    without(monkeypatch)
    monitoring.children(settle(var, said), var, portal_address=PORTAL)
    path = var / "demo" / "monitoring" / "prometheus.yml"
    answer = subprocess.run(
        [promtool, "check", "config", path], capture_output=True, text=True, timeout=60, check=False
    )
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_a_program_is_found_under_either_name(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: f"/opt/{name}" if name == "node_exporter" else None)
    assert monitoring.NODE.path == "/opt/node_exporter"
    assert Program("x", "x", ("nothing",)).path is None
