"""What tests of refusals need: a cluster, two clients with principals and topics, and lines as brokers write them."""

from collections.abc import Callable

import pytest

from accounts.models import Client, Ownership
from clusters.models import Cluster
from ops_portal.lib.database import database_clock
from tests.api.conftest import call_as
from tests.clusters.rejections.corpus import denied_line

__all__ = ["call_as"]

Firms = dict[str, Client]
Line = Callable[..., str]


@pytest.fixture
def north(db: None) -> Cluster:
    return Cluster.objects.create(name="north", bootstrap="broker-1.internal:9092")


@pytest.fixture
def firms(db: None) -> Firms:
    """Northgate Capital owns `northgate-*`, Southbank Trading `southbank-*`: principals and topics."""
    found = {}
    for name, prefix in (("Northgate Capital", "northgate"), ("Southbank Trading", "southbank")):
        client = found[prefix] = Client.objects.create(name=name)
        Ownership.objects.create(client=client, kind="principal", glob=f"User:{prefix}-*")
        Ownership.objects.create(client=client, kind="topic", glob=f"{prefix}-*")
    return found


@pytest.fixture
def line() -> Line:
    """A line of a broker's authorizer, written `ago` seconds before now; other words as of `denied_line`."""

    def make(ago: float = 0.0, **words: str) -> str:
        return denied_line(at=database_clock().now() - ago, **words)

    return make
