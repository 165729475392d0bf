"""First byte of a large cluster's page, as a browser gets it: `python -m bench.health_page`.

30 brokers, 3,000 topics, 60,000 partitions, one broker down, so that a thirtieth of all replicas is out of sync and has to be
listed; figures of Prometheus for every broker. PostgreSQL, Valkey and a web process of its own.
"""

import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.report import goal, note, p95, row, scaled, spread

BROKERS, TOPICS, PARTITIONS, REPLICAS = 30, 3000, 20, 3
REQUESTS = 30


def measure() -> dict[str, Any]:
    """The row of the table."""
    with _stage() as (port, cookie):
        found, size = _first_bytes(port, cookie)
    topics = scaled(TOPICS, least=30)
    return row(
        f"the page of a cluster of {BROKERS} brokers, {topics} topics, {topics * PARTITIONS} partitions",
        {"first_byte_ms_p95": goal(round(p95(found), 1), 300, "ms")},
        {"first_byte_ms": spread(found, 1), "page_bytes": size},
    )


def _first_bytes(port: int, cookie: str) -> tuple[list[float], int]:
    """Milliseconds from the request to the first byte of the answer, and the size of the answer."""
    found, size = [], 0
    for lap in range(REQUESTS + 3):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        started = time.perf_counter()
        connection.request(
            "GET", "/clusters/bench", headers={"Cookie": f"ops_session={cookie}", "Accept-Encoding": "gzip"}
        )
        answer = connection.getresponse()
        elapsed = (time.perf_counter() - started) * 1000
        size = len(answer.read())
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"the page answered {answer.status}")
        if lap >= 3:  # the first requests of a process import and compile
            found.append(elapsed)
        time.sleep(0.1)
    return found, size


@contextmanager
def _stage() -> Iterator[tuple[int, str]]:
    """The port of a web process, and the session of somebody signed in."""
    from ops_portal.lib import embedded, portal
    from ops_portal.lib.kafka_runner import free_ports
    from ops_portal.lib.processes import end_all, spawn, wait_until

    var = Path(tempfile.mkdtemp(prefix="ops-portal-bench-"))
    servers = embedded.RunningServers(var)
    servers.start(durable=False)
    children = []
    try:
        (port,) = free_ports(1)
        env = os.environ | {
            "PORTAL_VAR": str(var), "RATE_LIMIT_PER_MINUTE": "1000000", "DATABASE_URL": "", "VALKEY_URL": "",
        }  # fmt: skip
        note("filling a large cluster")
        argv = [sys.executable, "-m", "bench.health_page", "prepare"]
        done = subprocess.run(argv, env=env, stdout=subprocess.PIPE, check=True, timeout=300)
        session = json.loads(done.stdout.splitlines()[-1])["session"]
        children.append((spawn(portal.web_argv("127.0.0.1", port), log=var / "web.log", env=env), signal.SIGTERM))
        if not wait_until(lambda: _is_up(port), seconds=60):
            raise RuntimeError((var / "web.log").read_text(encoding="utf-8")[-2000:])
        yield port, session
    finally:
        end_all(children, grace_seconds=8)
        servers.stop()
        for directory in {var, embedded.state_directory(var), embedded.runtime_directory(var)}:
            shutil.rmtree(directory, ignore_errors=True)


def _is_up(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except (urllib.error.URLError, OSError):
        return False


def _prepare() -> None:
    """In a process of its own: tables, static files, the cluster as its polls leave it, somebody signed in."""
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client

    from accounts.models import User

    call_command("migrate", verbosity=0)
    call_command("collect", verbosity=0)
    _fill()
    browser = Client()
    browser.force_login(User.objects.create(username="bench", role="sre"))
    sys.stdout.write("\n" + json.dumps({"session": browser.cookies["ops_session"].value}) + "\n")


def _fill() -> None:
    from clusters.models import Cluster, ClusterHealth, Source
    from clusters.ports import Broker
    from clusters.services.health_brokers import poll_brokers
    from clusters.services.schedule import sources_ensure
    from ops_portal.lib.clock import as_datetime
    from ops_portal.lib.database import database_clock
    from tests.clusters.health.fakes import FakeBrokers, poll_of
    from tests.fake_kafka import StandingClock

    clock = StandingClock(database_clock().now())
    kafka = FakeBrokers(clock, brokers=[Broker(n, f"broker-{n}.example", 9092) for n in range(1, BROKERS + 1)])
    for number in range(scaled(TOPICS, least=30)):
        kafka.topic(f"topic-{number:05d}", PARTITIONS, REPLICAS)
    cluster = Cluster.objects.create(
        name="bench", bootstrap="broker-1.example:9092", prometheus_url="http://127.0.0.1:9"
    )
    sources_ensure(cluster=cluster)
    Source.objects.filter(cluster=cluster).update(period_seconds=3600)  # nothing gets stale while the page is asked for
    for broker in (None, 2):
        if broker is not None:
            kafka.lose(broker)
        clock.pass_time(max(0.001, database_clock().now() - clock.now()))
        poll_brokers(poll_of(cluster, "brokers", clock, kafka, period=3600.0))
    figures = {
        "idle": 0.8, "cpu_cores": 2.5, "memory_bytes": 3e9, "bytes_in_rate": 1e7, "bytes_out_rate": 2e7, "log_bytes": 1e11,
        "disk_mount": "/data", "disk_bytes": 1e12, "disk_free_bytes": 5e11, "disk_free_ratio": 0.5,
        "disk_growth_per_hour": 1e9, "disk_hours": 500.0, "isr_shrink_rate": 0.0, "isr_expand_rate": 0.0, "version": "4.3.1",
    }  # fmt: skip
    ClusterHealth.objects.filter(cluster=cluster).update(
        prometheus_at=as_datetime(clock.now()), broker_figures={str(n): figures for n in range(1, BROKERS + 1)}
    )


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ops_portal.settings.base")
    if sys.argv[1:] == ["prepare"]:
        _prepare()
    else:
        sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
