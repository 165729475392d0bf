"""A cluster of brokers and a Prometheus that tests move by hand."""

import json
import threading
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs

from clusters.admin_ports import Acl, ClusterView, Configs
from clusters.models import Cluster
from clusters.ports import (
    Broker,
    FoundOffset,
    FoundOffsets,
    GatewayFailed,
    Metadata,
    OffsetSpec,
    Partition,
    PartitionMeta,
    RequestCount,
    TopicMeta,
)
from clusters.sources import Poll
from ops_portal.lib.resilience import Deadline
from tests.fake_kafka import StandingClock

Layout = dict[int, tuple[int | None, tuple[int, ...], tuple[int, ...]]]  # partition -> (leader, replicas, in sync)


@dataclass
class FakeBrokers:
    """Three brokers and topics of replicated partitions, behind `clusters.admin_ports.AdminPort` as far as health needs it."""

    clock: StandingClock
    brokers: list[Broker] = field(default_factory=lambda: [Broker(n, f"broker-{n}", 9092) for n in (1, 2, 3)])
    topics: dict[str, Layout] = field(default_factory=dict)
    min_in_sync: int = 2
    refused: set[str] = field(default_factory=set)
    down: bool = False  # the metadata does not come
    canaries: list[float | None] = field(default_factory=list)
    requests: RequestCount = field(default_factory=RequestCount)
    seen: Metadata | None = None
    no_configs: bool = False

    def topic(self, name: str, partitions: int = 6, replicas: int = 3) -> Layout:
        ids = [broker.id for broker in self.brokers]
        self.topics[name] = {
            number: (
                ids[number % len(ids)],
                *(2 * (tuple(ids[(number + step) % len(ids)] for step in range(replicas)),)),
            )
            for number in range(partitions)
        }
        return self.topics[name]

    def lose(self, broker: int, *, named: bool = False) -> None:
        """The broker is gone: out of every in-sync set, its leaders elsewhere. `named` = the metadata names it still."""
        gone = next(one for one in self.brokers if one.id == broker)
        self.refused.add(f"{gone.host}:{gone.port}")
        if not named:
            self.brokers = [one for one in self.brokers if one.id != broker]
            for layout in self.topics.values():
                for number, (leader, replicas, in_sync) in layout.items():
                    left = tuple(one for one in in_sync if one != broker)
                    layout[number] = (leader if leader != broker else next(iter(left), None), replicas, left)

    def restore(self, broker: int) -> None:
        self.refused.discard(f"broker-{broker}:9092")
        if broker not in {one.id for one in self.brokers}:
            self.brokers = sorted([*self.brokers, Broker(broker, f"broker-{broker}", 9092)], key=lambda one: one.id)
        for layout in self.topics.values():
            for number, (_, replicas, _) in layout.items():
                layout[number] = (replicas[0], replicas, replicas)

    # --- the port ---
    def metadata(self, deadline: Deadline) -> Metadata:
        if self.down:
            raise GatewayFailed("timeout", "No broker answered in time.")
        topics = {
            name: TopicMeta(name, tuple(PartitionMeta(number, *place) for number, place in sorted(layout.items())))
            for name, layout in self.topics.items()
        }
        self.seen = Metadata("fake", tuple(self.brokers), topics)
        return self.seen

    def describe_cluster(self, deadline: Deadline) -> ClusterView:
        return ClusterView("fake", tuple(Broker(one.id, one.host, one.port, f"rack-{one.id}") for one in self.brokers))

    def broker_configs(self, ids: Collection[int], deadline: Deadline) -> Configs:
        return Configs({str(broker): {"log.dirs": f"/data/{broker}"} for broker in ids})

    def topic_configs(self, topics: Collection[str], deadline: Deadline) -> Configs:
        if self.no_configs:
            return Configs({})
        found = {"min.insync.replicas": str(self.min_in_sync), "retention.ms": "604800000", "cleanup.policy": "delete"}
        return Configs(dict.fromkeys(topics, found))

    def refusals(self, addresses: Collection[str], deadline: Deadline) -> Mapping[str, str]:
        return {one: f"{one} refuses the connection" if one in self.refused else "" for one in addresses}

    def canary(self, topic: str, deadline: Deadline) -> float:
        found = self.canaries.pop(0) if self.canaries else 0.004
        if found is None:
            raise GatewayFailed("not_acknowledged", "The record was not acknowledged within 2.0 s.")
        return found

    def offsets(self, partitions: Collection[Partition], spec: OffsetSpec, deadline: Deadline) -> FoundOffsets:
        offset = 100 if spec is OffsetSpec.END else 10
        return FoundOffsets(dict.fromkeys(partitions, FoundOffset(offset)), dict.fromkeys(partitions, self.clock.now()))

    def acls(self, deadline: Deadline) -> tuple[Acl, ...]:
        return ()

    def close(self) -> None:
        """Nothing is open."""


def poll_of(cluster: Cluster, kind: str, clock: StandingClock, port: Any = None, period: float = 5.0) -> Poll:
    return Poll(cluster, kind, 1, period, clock, Deadline.after(20), connect=lambda *_: port)


Series = dict[str, Any]  # {"metric": {...}, "value": [...]}
Answers = Callable[[str], list[Series] | tuple[int, bytes] | bytes | float]


def vector(*rows: tuple[dict[str, str], float | str]) -> list[Series]:
    return [{"metric": labels, "value": [0, str(value)]} for labels, value in rows]


@dataclass
class FakePrometheus:
    """`answer(query)` gives rows, or (status, body), or a body of any kind, or seconds to keep the caller waiting."""

    answer: Answers
    warnings: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    methods: list[str] = field(default_factory=list)
    url: str = ""

    def body(self, rows: list[Series]) -> bytes:
        found: dict[str, Any] = {"status": "success", "data": {"resultType": "vector", "result": rows}}
        if self.warnings:
            found["warnings"] = self.warnings
        return json.dumps(found).encode()


@contextmanager
def prometheus(answer: Answers) -> Iterator[FakePrometheus]:
    fake = FakePrometheus(answer)

    class Site(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, format: str, *args: Any) -> None:
            pass

        def do_POST(self) -> None:
            size = int(self.headers.get("Content-Length") or 0)
            query = parse_qs(self.rfile.read(size).decode())["query"][0]
            fake.asked.append(query)
            fake.methods.append(self.command)
            found = fake.answer(query)
            status = 200
            if isinstance(found, float):
                time.sleep(found)
                found = []
            if isinstance(found, tuple):
                status, found = found
            body = found if isinstance(found, bytes) else fake.body(found)
            try:
                self.send_response(status)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except OSError:
                pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Site)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_port}"
    try:
        yield fake
    finally:
        server.shutdown()
        server.server_close()
