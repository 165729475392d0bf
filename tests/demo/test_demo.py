"""`manage.py demo` as a newcomer runs it: up to a true board, acted upon, stopped, and started again on the same data."""

import json
import os
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ops_portal.demo.topology import GROUPS
from ops_portal.lib.kafka_runner import KafkaCluster, free_ports
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import KAFKA_VAR, ROOT

READY_SECONDS = 200  # on a machine that runs other tests beside; alone it takes a tenth of that

pytestmark = [pytest.mark.timeout(600), pytest.mark.xdist_group("fault")]


class Demo:
    """A `manage.py demo` on a data directory of its own."""

    def __init__(self, var: Path) -> None:
        self.port = free_ports(1)[0]
        self.log = var / "demo.out"
        drop = ("DATABASE_URL", "VALKEY_URL", "SECRET_KEY", "DEPLOYMENT_ID", "PORTAL_TEST_VAR", "DEMO")
        self.env = {name: value for name, value in os.environ.items() if name not in drop} | {
            "DJANGO_SETTINGS_MODULE": "ops_portal.settings.base",
            "PORTAL_VAR": str(var),
            "PORT": str(self.port),
            "DEMO_RATE": "500",
        }

    def start(self) -> subprocess.Popen[bytes]:
        with self.log.open("wb") as out:
            process = subprocess.Popen(
                [sys.executable, "manage.py", "demo"], cwd=ROOT, env=self.env, stdout=out, stderr=out
            )
        ready = wait_until(
            lambda: "Ready: " in self.said() or process.poll() is not None, seconds=READY_SECONDS, step_seconds=0.2
        )
        assert ready, self.said()
        assert process.poll() is None, self.said()
        return process

    def said(self) -> str:
        return self.log.read_text()

    def manage(self, *words: str) -> str:
        """Output of a command given in another terminal, which knows the data directory and nothing else."""
        command = [sys.executable, "manage.py", *words]
        env = {name: value for name, value in self.env.items() if name != "PORT"} | {"DEMO": "1"}
        return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60, check=True).stdout

    def items(self, token: str, path: str) -> list[dict[str, Any]]:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        request = urllib.request.Request(url, headers={"Authorization": f"Bearer {token}"})
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310 - the address is the line above
            found: list[dict[str, Any]] = json.load(answer)["items"]
            return found

    def groups(self, token: str) -> dict[str, Any]:
        return {item["group"]: item for item in self.items(token, "clusters/demo/groups?limit=100")}

    def refused(self, token: str) -> set[tuple[str, str | None]]:
        """Kind and client of every rejection that the portal shows."""
        return {(item["kind"], item["client"]) for item in self.items(token, "rejections?limit=100")}

    def processes(self) -> list[int]:
        """Everything that runs with this data directory in its environment."""
        mark = f"PORTAL_VAR={self.env['PORTAL_VAR']}\0".encode()
        found = []
        for path in Path("/proc").glob("[0-9]*/environ"):
            try:
                if mark in path.read_bytes():
                    found.append(int(path.parent.name))
            except OSError:
                continue
        return found


@pytest.fixture
def demo(kafka: KafkaCluster, tmp_path: Path) -> Iterator[Demo]:
    """With the jars of this checkout, so that nothing is fetched twice."""
    for name in ("kafka", "registry", "maven"):
        (KAFKA_VAR / name).mkdir(exist_ok=True)
        (tmp_path / name).symlink_to(KAFKA_VAR / name)
    demo = Demo(tmp_path)
    yield demo
    for pid in demo.processes():
        os.kill(pid, signal.SIGKILL)


def test_demo_runs_to_a_true_board_is_acted_upon_and_leaves_nothing_behind(demo: Demo) -> None:
    process = demo.start()
    token = demo.manage("create_token", "sre").splitlines()[-1]
    shown = demo.groups(token)
    assert shown.keys() == {spec.name for spec in GROUPS}
    assert all(item["lag_records"] is not None for item in shown.values() if item["type"] != "unmeasured")
    assert shown["risk-engine"]["members"] == 3
    assert shown["northgate-positions"]["client"] == "Northgate Capital"

    crashed = demo.manage("demo", "crash-consumer", "risk-engine")
    assert "SIGKILL" in crashed
    assert f"Look at http://127.0.0.1:{demo.port}/lag/demo/groups/risk-engine: " in crashed
    assert wait_until(lambda: demo.groups(token)["risk-engine"]["members"] == 2, seconds=60, step_seconds=0.5)
    assert "is killed" in demo.manage("demo", "kill-broker", "2")
    assert wait_until(lambda: "broker 2: down" in demo.manage("demo", "status"), seconds=20)
    assert "Started again: broker 2." in demo.manage("demo", "restore")
    assert wait_until(lambda: demo.groups(token)["risk-engine"]["members"] == 3, seconds=90, step_seconds=0.5)

    expected = {("acl", "Brightwater Securities"), ("authentication", None)}
    assert wait_until(lambda: expected <= demo.refused(token), seconds=120, step_seconds=1)
    told = demo.manage("demo", "rotate-certificates", "3")
    assert "Broker 3: " in told
    assert "Broker 1: " not in told

    for number in (signal.SIGTERM, signal.SIGINT):
        process.send_signal(number)
        process.wait(90)  # on an idle machine far less: tests of the supervisor hold its patience under 10 s
        assert demo.processes() == []
        if number == signal.SIGTERM:
            process = demo.start()  # again, on the data of the first


def test_commands_without_a_running_demo_say_so(tmp_path: Path) -> None:
    env = os.environ | {"DJANGO_SETTINGS_MODULE": "ops_portal.settings.base", "PORTAL_VAR": str(tmp_path)}
    for words in (
        ["status"],
        ["crash-consumer", "risk-engine"],
        ["kill-broker", "1"],
        ["rotate-certificates"],
        ["restore"],
    ):
        answer = subprocess.run(
            [sys.executable, "manage.py", "demo", *words],
            cwd=ROOT,
            env=env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert answer.returncode == 1
        assert "No demo answers" in answer.stderr
        assert "Traceback" not in answer.stderr
