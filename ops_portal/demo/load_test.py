"""A small real load test on the demo's brokers: producers of our own, on loopback alone, for a bounded time.

It leaves the files that a load test leaves (docs/load-tests.md) in a directory. What cannot be measured here leaves no file.
"""

import json
import os
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from confluent_kafka import KafkaError, Message, Producer
from confluent_kafka.admin import AdminClient, NewTopic

TOPIC = "load.test"
PARTITIONS = 6
RECORD_BYTES = 200
BATCH = 200  # records between two looks at the clock
SAMPLE_EVERY = 20  # of so many records one stands in traces.csv with its latency
LONGEST_SECONDS, MOST_PER_SECOND = 120.0, 100_000
THRESHOLDS = ("p95<10", "p99<100", "rate>80000")
_TICKS = os.sysconf("SC_CLK_TCK")
_MAX_LAG = 'max({__name__=~"(?i)kafka_server_replicafetchermanager_(value|maxlag)",name=~"MaxLag|"})'


@dataclass
class Counts:
    """What the brokers acknowledged: latencies in ms by moment, and how many records."""

    samples: list[tuple[float, float, int]] = field(default_factory=list)  # moment, latency ms, records it stands for
    acknowledged: int = 0
    failed: int = 0


def run(
    directory: Path,
    *,
    bootstrap: str,
    seconds: float,
    per_second: int,
    pids: Mapping[int, int],
    prometheus_url: str,
    say: Callable[[str], None],
) -> None:
    """Produce for `seconds`, then write the files. `bootstrap` must be on loopback. Raises ValueError for other limits."""
    if not all(address.startswith("127.0.0.1:") for address in bootstrap.split(",")):
        raise ValueError("the load test runs on loopback alone")
    if not 1 <= seconds <= LONGEST_SECONDS or not 1 <= per_second <= MOST_PER_SECOND:
        raise ValueError(f"at most {LONGEST_SECONDS:.0f} s and {MOST_PER_SECOND} records a second")
    directory.mkdir(parents=True, exist_ok=True)
    _make_topic(bootstrap)
    cpu: dict[int, list[tuple[float, float]]] = {number: [] for number in pids}
    lag: list[tuple[float, float]] = []
    began = time.time()
    counts = _produce(bootstrap, seconds, per_second, _Watch(pids, prometheus_url, cpu, lag))
    took = time.time() - began
    _write(directory, counts, took, cpu, lag)
    if (text := _federated(prometheus_url)) is not None:
        (directory / "broker-metrics").write_bytes(text)
    else:
        say("No broker metrics: there is no Prometheus in this demo.")
    if not lag:
        say("No replication-lag.csv: no source of it in this demo.")
    say(f"{counts.acknowledged} records in {took:.1f} s, {counts.failed} failed; files in {directory}.")


class _Watch:
    """Once a second: CPU of each broker, and the replication lag that Prometheus knows."""

    def __init__(
        self,
        pids: Mapping[int, int],
        url: str,
        cpu: dict[int, list[tuple[float, float]]],
        lag: list[tuple[float, float]],
    ) -> None:
        self.pids, self.url, self.cpu, self.lag = pids, url, cpu, lag
        self.before = {number: _ticks(pid) for number, pid in pids.items()}
        self.at = time.monotonic()

    def look(self) -> None:
        now = time.monotonic()
        if now - self.at < 1:
            return
        for number, pid in self.pids.items():
            ticks, before = _ticks(pid), self.before[number]
            if ticks is not None and before is not None:
                self.cpu[number].append((time.time(), (ticks - before) / _TICKS / (now - self.at) * 100))
            self.before[number] = ticks
        if (value := _max_lag(self.url)) is not None:
            self.lag.append((time.time(), value))
        self.at = now


def _produce(bootstrap: str, seconds: float, per_second: int, watch: _Watch) -> Counts:
    counts, number = Counts(), 0
    producer = Producer(
        {"bootstrap.servers": bootstrap, "client.id": "demo-load-test", "acks": "all", "linger.ms": 2, "log_level": 2}
    )
    value = os.urandom(RECORD_BYTES)
    began = time.monotonic()

    def plain(error: KafkaError | None, _: Message) -> None:
        counts.acknowledged += error is None
        counts.failed += error is not None

    def timed(sent: float) -> Callable[[KafkaError | None, Message], None]:
        def told(error: KafkaError | None, message: Message) -> None:
            plain(error, message)
            if error is None:
                counts.samples.append((time.time(), (time.perf_counter() - sent) * 1000, SAMPLE_EVERY))

        return told

    while (passed := time.monotonic() - began) < seconds:
        if number > passed * per_second:
            producer.poll(0.002)
        else:
            for _ in range(BATCH):
                callback = timed(time.perf_counter()) if number % SAMPLE_EVERY == 0 else plain
                with suppress(BufferError):
                    producer.produce(TOPIC, value, on_delivery=callback)
                    number += 1
            producer.poll(0)
        watch.look()
    producer.flush(20)
    return counts


def _write(
    directory: Path,
    counts: Counts,
    took: float,
    cpu: Mapping[int, list[tuple[float, float]]],
    lag: list[tuple[float, float]],
) -> None:
    rows = [f"{at:.3f},{latency:.3f},{count}\n" for at, latency, count in counts.samples]
    (directory / "traces.csv").write_text("timestamp,latency_ms,messages\n" + "".join(rows))
    (directory / "summary.json").write_text(json.dumps(_summary(counts, took), indent=1))
    for number, points in cpu.items():
        if points:
            lines = "".join(f"{at:.3f},{percent:.1f}\n" for at, percent in points)
            (directory / f"broker-{number}-cpu.csv").write_text("timestamp,cpu_percent\n" + lines)
    if lag:
        lines = "".join(f"{at:.3f},{value:g}\n" for at, value in lag)
        (directory / "replication-lag.csv").write_text("timestamp,lag_records\n" + lines)


def _summary(counts: Counts, took: float) -> dict[str, Any]:
    """The form of k6's handleSummary data."""
    values = sorted(latency for _, latency, _ in counts.samples)

    def percentile(percent: float) -> float:
        return values[min(len(values) - 1, int(len(values) * percent / 100))]

    trend: dict[str, float] = {"count": len(values)} if not values else {
        "count": len(values), "avg": sum(values) / len(values), "min": values[0], "max": values[-1], "med": percentile(50),
        **{f"p({percent:g})": percentile(percent) for percent in (90, 95, 99, 99.9)},
    }  # fmt: skip
    return {
        "state": {"testRunDurationMs": took * 1000, "isStdOutTTY": False, "isStdErrTTY": False},
        "metrics": {
            "produce_latency": {"type": "trend", "contains": "time", "values": trend},
            "messages": {
                "type": "counter",
                "contains": "default",
                "values": {"count": counts.acknowledged, "rate": counts.acknowledged / took},
            },
        },
    }


def _make_topic(bootstrap: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})
    config = {"retention.ms": "600000", "retention.bytes": str(32 * 2**20), "segment.bytes": str(8 * 2**20)}
    for made in admin.create_topics([NewTopic(TOPIC, PARTITIONS, 3, config=config)], request_timeout=15).values():
        with suppress(Exception):  # it is there from the run before; anything else shows as failed records
            made.result(20)


def _ticks(pid: int) -> int | None:
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return int(fields[11]) + int(fields[12])


def _asked(url: str, seconds: float) -> bytes | None:
    if not url.startswith("http://127.0.0.1:"):
        return None
    try:
        with urllib.request.urlopen(url, timeout=seconds) as answer:  # noqa: S310 - loopback, as asked above
            body: bytes = answer.read(20_000_000)
            return body
    except (urllib.error.URLError, OSError):
        return None


def _federated(url: str) -> bytes | None:
    query = urllib.parse.urlencode({"match[]": '{__name__=~"kafka_.*"}'})
    return _asked(f"{url}/federate?{query}", 10) or None


def _max_lag(url: str) -> float | None:
    body = _asked(f"{url}/api/v1/query?{urllib.parse.urlencode({'query': _MAX_LAG})}", 1)
    try:
        return float(json.loads(body or b"{}")["data"]["result"][0]["value"][1])
    except (ValueError, KeyError, IndexError, TypeError):
        return None
