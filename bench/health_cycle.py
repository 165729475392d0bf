"""One health cycle of a large cluster, both sources, from recorded answers: `python -m bench.health_cycle`.

30 brokers, 3,000 topics, 60,000 partitions. The admin answers are handed over in the process (what the Kafka client itself
takes is not measured here), those of Prometheus come over HTTP. In each cycle a tenth of the topics has changed.
"""

import json
import os
import resource
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import goal, note, row, scaled, spread

BROKERS, TOPICS, PARTITIONS, REPLICAS = 30, 3000, 20, 3
CYCLES = 6
_MB = 1_000_000


def measure() -> dict[str, Any]:
    """The row of the table. Needs Django with an empty database."""
    from clusters.models import Cluster
    from clusters.ports import Broker
    from clusters.services import health_brokers
    from clusters.services.health_prometheus import poll_prometheus
    from clusters.services.schedule import sources_ensure
    from ops_portal.lib.database import database_clock
    from tests.clusters.health.fakes import FakeBrokers, poll_of, prometheus
    from tests.fake_kafka import StandingClock

    clock = StandingClock(database_clock().now())
    topics = scaled(TOPICS, least=30)
    kafka = FakeBrokers(clock, brokers=[Broker(n, f"broker-{n}.example", 9092) for n in range(1, BROKERS + 1)])
    for number in range(topics):
        kafka.topic(f"topic-{number:05d}", PARTITIONS, REPLICAS)
    bodies = _bodies(topics)
    with prometheus(lambda query: bodies["topics" if "by (topic)" in query else _kind(query)]) as fake:
        cluster = Cluster.objects.create(name="bench", bootstrap="broker-1.example:9092", prometheus_url=fake.url)
        sources_ensure(cluster=cluster)
        took: dict[str, list[float]] = {"brokers": [], "prometheus": []}
        for cycle in range(CYCLES):
            clock.pass_time(61)  # so that offsets and topics' figures are read in every cycle
            _change(kafka, cycle, topics)
            for kind, poll in (("brokers", health_brokers.poll_brokers), ("prometheus", poll_prometheus)):
                started = time.monotonic()
                poll(poll_of(cluster, kind, clock, kafka, period=15.0))
                took[kind].append(time.monotonic() - started)
            note(f"cycle {cycle}: " + ", ".join(f"{kind} {times[-1]:.2f} s" for kind, times in took.items()))
    both = [sum(times) for times in zip(*took.values(), strict=True)]
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / _MB
    return row(
        f"a health cycle of {BROKERS} brokers, {topics} topics, {topics * PARTITIONS} partitions",
        {"cycle_seconds": goal(round(max(both), 2), 5.0, "s"), "memory_mb": goal(round(memory), 500, "MB")},
        {
            "first_cycle_seconds": round(both[0], 2),
            "seconds": spread(both[1:], 2),
            "brokers_seconds": spread(took["brokers"][1:], 2),
            "prometheus_seconds": spread(took["prometheus"][1:], 2),
        },
    )


def _change(kafka: Any, cycle: int, topics: int) -> None:
    """Another broker leads a partition of every tenth topic."""
    for number in range(cycle % 10, topics, 10):
        layout = kafka.topics[f"topic-{number:05d}"]
        leader, replicas, in_sync = layout[0]
        layout[0] = (replicas[(replicas.index(leader) + 1) % len(replicas)], replicas, in_sync)


def _kind(query: str) -> str:
    if query.startswith("count by (__name__"):
        return "names"
    return "brokers" if "instance" in query or query.startswith("kafka_") else "one"


def _bodies(topics: int) -> dict[str, bytes]:
    labels = [
        {"instance": f"broker-{n}.example:7071", "id": str(n), "mountpoint": "/data", "version": "4.3.1"}
        for n in range(1, BROKERS + 1)
    ]
    rows: dict[str, list[tuple[dict[str, str], float]]] = {
        "brokers": [(found, 3.0) for found in labels],
        "topics": [({"topic": f"topic-{number:05d}"}, 1234.5) for number in range(topics)],
        "names": [({"__name__": "kafka_server_brokertopicmetrics_bytesin_total"}, float(BROKERS))],
        "one": [({}, 1.0)],
    }
    return {name: _body(found) for name, found in rows.items()}


def _body(rows: list[tuple[dict[str, str], float]]) -> bytes:
    result = [{"metric": labels, "value": [0, str(value)]} for labels, value in rows]
    return json.dumps({"status": "success", "data": {"resultType": "vector", "result": result}}).encode()


def main() -> None:
    from ops_portal.lib import embedded

    var = Path(tempfile.mkdtemp(prefix="ops-portal-bench-"))
    os.environ.update(PORTAL_VAR=str(var), DJANGO_SETTINGS_MODULE="ops_portal.settings.base")
    os.environ.pop("DATABASE_URL", None)
    os.environ.pop("VALKEY_URL", None)
    servers = embedded.RunningServers(var)
    servers.start(durable=False)
    try:
        import django
        from django.core.management import call_command

        django.setup()
        call_command("migrate", verbosity=0)
        print(json.dumps(measure()))
    finally:
        from django.db import connections

        connections.close_all()
        servers.stop()
        for directory in {var, embedded.state_directory(var), embedded.runtime_directory(var)}:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
