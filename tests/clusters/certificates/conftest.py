"""A cluster whose brokers name the listeners that a test serves, and one run of the source on it."""

import itertools
from collections.abc import Callable, Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from clusters.admin_ports import Configs
from clusters.models import Cluster, TlsListener
from clusters.ports import Broker, EntityError, GatewayFailed, Metadata, RequestCount
from clusters.services.certificates.polling import poll_certificates
from clusters.sources import Outcome, Poll
from ops_portal.lib.clock import Clock
from ops_portal.lib.database import database_clock
from ops_portal.lib.resilience import Deadline
from tests.clusters.certificates.make import Made, authority, leaf, root

LONG = timedelta(days=300)
_serial = itertools.count(1)


@dataclass
class Listeners:
    """A Kafka that knows nothing but its brokers' settings."""

    ports: dict[int, int] = field(default_factory=dict)  # broker -> TLS port
    failure: GatewayFailed | None = None
    refused: set[int] = field(default_factory=set)
    requests: RequestCount = field(default_factory=RequestCount)
    seen: Metadata | None = None

    def metadata(self, deadline: Deadline) -> Metadata:
        if self.failure is not None:
            raise self.failure
        brokers = tuple(Broker(number, "127.0.0.1", 9092 + number) for number in self.ports)
        self.seen = Metadata("kafka-id", brokers, {})
        return self.seen

    def broker_configs(self, ids: Collection[int], deadline: Deadline) -> Configs:
        found = {
            str(number): {
                "advertised.listeners": f"PLAIN://127.0.0.1:1,SECURE://127.0.0.1:{self.ports[number]}",
                "listener.security.protocol.map": "PLAIN:PLAINTEXT,SECURE:SSL",
                "listener.name.secure.ssl.client.auth": "required",
            }
            for number in ids
            if number not in self.refused
        }
        errors = tuple(
            EntityError(f"broker:{one}", "not_allowed", "It needs DESCRIBE_CONFIGS.") for one in self.refused
        )
        return Configs(found, errors)

    def close(self) -> None: ...


@dataclass
class World:
    cluster: Cluster
    kafka: Listeners
    top: Made
    low: Made

    def poll(self) -> Outcome:
        """One run of the source, as if the last were long ago."""
        TlsListener.objects.update(probed_at=None, requested_at=None)
        return self.run(database_clock(), 900.0)

    def run(self, clock: Clock, period: float) -> Outcome:
        """One run of the source at that time."""
        connect: Callable[..., Any] = lambda cluster, clock: self.kafka  # noqa: E731
        slot = int(clock.now() // period)
        return poll_certificates(Poll(self.cluster, "certificates", slot, period, clock, Deadline.after(30), connect))

    def leaf(self, subject: str = "kafka-1", **options: Any) -> Made:
        """A broker's leaf for 127.0.0.1 that is valid now."""
        now = datetime.now(UTC).replace(microsecond=0)
        options = {"dns": (), "ips": ["127.0.0.1"], "begins": now - timedelta(days=60), "ends": now + LONG} | options
        return leaf(self.low, subject, **options)


@pytest.fixture
def world(settings: Any) -> World:
    """Needs a database. The cluster trusts the root."""
    settings.CERTIFICATE_PATHS, settings.CERTIFICATE_PASSWORDS = [], []
    now = datetime.now(UTC).replace(microsecond=0)
    top = root(begins=now - timedelta(days=900), ends=now + timedelta(days=2700))
    low = authority(top, begins=now - timedelta(days=400), ends=now + timedelta(days=1400))
    cluster = Cluster.objects.create(
        name="north", bootstrap="127.0.0.1:1", properties={"ssl.ca.pem": top.pem.decode(), "security.protocol": "SSL"}
    )
    return World(cluster, Listeners(), top, low)
