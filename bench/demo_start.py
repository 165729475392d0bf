"""`make demo` from warm package caches until the board is true, on data of its own: `python -m bench.demo_start`."""

import contextlib
import json
import os
import re
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import goal, note, row
from ops_portal.demo.monitoring import AgentUnavailable, agent_jar
from ops_portal.demo.registry import RegistryUnavailable, fetch
from ops_portal.lib import embedded, portal
from ops_portal.lib.kafka_runner import free_ports, kafka_home
from ops_portal.lib.processes import end_all, spawn, wait_until

_READY_SECONDS = 300
_LINE = re.compile(r"^ *([0-9.]+) s  (.+)$", re.MULTILINE)


def measure() -> dict[str, Any]:
    """Start the demo, wait for its word, end it."""
    own_var = Path(os.environ.get("PORTAL_VAR") or portal.ROOT / "var").expanduser().resolve()
    var = Path(tempfile.mkdtemp(prefix="ops-portal-demo-"))
    log = var / "bench.log"
    try:
        _warm(own_var, var)
        env = {
            name: text
            for name, text in os.environ.items()
            if name not in {"DATABASE_URL", "VALKEY_URL", "MAKEFLAGS", "MAKELEVEL"}
        }
        (port,) = free_ports(1)
        env |= {"PORTAL_VAR": str(var), "PORT": str(port), "PYTHONUNBUFFERED": "1"}
        note("make demo")
        started = time.monotonic()
        child = spawn(["make", "demo"], log=log, env=env, cwd=portal.ROOT, orphan_signal=signal.SIGTERM)
        try:
            wait_until(
                lambda: child.poll() is not None or " Ready: " in log.read_text(),
                seconds=_READY_SECONDS,
                step_seconds=0.1,
            )
            elapsed = time.monotonic() - started
        finally:
            end = time.monotonic()
            end_all([(child, signal.SIGTERM)], grace_seconds=12)
            stopped = time.monotonic() - end
        text = log.read_text()
    finally:
        for directory in {var, embedded.state_directory(var), embedded.runtime_directory(var)}:
            shutil.rmtree(directory, ignore_errors=True)
    ready = " Ready: " in text
    steps = [{"seconds": float(seconds), "step": step} for seconds, step in _LINE.findall(text)]
    return row(
        "make demo to a true board, warm caches",
        {"seconds": goal(round(elapsed, 1) if ready else None, 60, "s")},
        {"steps": steps, "stop_seconds": round(stopped, 1)} | ({} if ready else {"error": text[-500:]}),
    )


def _warm(own_var: Path, var: Path) -> None:
    """What is fetched, as an earlier run has left it: the jars of Kafka and of the JMX exporter, and the registry.

    The class archive is made for where the jars lie.
    """
    home = kafka_home(own_var, note)
    base = var / "kafka"
    base.mkdir(parents=True)
    shutil.copytree(home.libs, base / home.libs.name, copy_function=_link)
    home = kafka_home(var, note)
    with contextlib.suppress(AgentUnavailable):
        agent = agent_jar(own_var, java=home.java, say=note)
        _link(str(agent), str(base / agent.name))
    with contextlib.suppress(RegistryUnavailable):
        registry = fetch(own_var).home
        shutil.copytree(registry, var / registry.relative_to(own_var), copy_function=_link)


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


if __name__ == "__main__":
    sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
