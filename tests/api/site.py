"""A portal in use: one cluster polled just now, two clients, and something of everything that either of them owns.

Whatever the first client may not see carries one of CANARIES in its name or id, so that one search through an answer finds
a leak.
"""

from datetime import timedelta

from django.db import connection
from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Client, Ownership, User
from accounts.services import token_create
from clusters.models import (
    Certificate,
    Cluster,
    Finding,
    LoadTest,
    PollRun,
    Rejection,
    SchemaRegistry,
    SchemaSubject,
    Source,
)
from clusters.ports import GroupType
from clusters.services.health_brokers import poll_brokers
from lag.collector import poll
from lag.models import ConsumerGroup, Slo
from ops_portal.lib.resilience import Deadline
from tests.accounts.factories import make_user
from tests.clusters.health.fakes import FakeBrokers, poll_of
from tests.clusters.load_tests.made import load_test_made
from tests.fake_kafka import FakeKafka, StandingClock

AWKWARD = 'ng-"quoted" back\\slash {x="1"} a/b ?#&% ü 🚀 \n end'
FOREIGN_ID = 880_000_000
CANARIES = ("southbank", "compliance", str(FOREIGN_ID)[:6], "broker-1.internal")
OWN_CANARIES = ("northgate", "ng-", "compliance", "broker-1.internal")
ROLES = ("sre", "oncall", "account-manager", "client", "lead", "admin")


class Site:
    """Figures of interest: group `ng-audit` is 1 record behind on each of 2 partitions of `shared`, `ng-risk` none."""

    def __init__(self) -> None:
        self.clock = StandingClock(timezone.now().timestamp() - 60)
        self.kafka = FakeKafka(self.clock)
        self.cluster = Cluster.objects.create(
            name="north",
            bootstrap="broker-1.internal:9092",
            brokers=[{"id": 1, "host": "broker-1.internal", "port": 9092, "rack": None}],
        )
        self.source = Source.objects.create(cluster=self.cluster, kind="lag", period_seconds=5)
        self.own = self._client("Northgate Capital", "ng-")
        self.other = self._client("Southbank Trading", "southbank-", pk=FOREIGN_ID + 1)
        self._own_groups()
        self._poll()
        self._foreign_groups()
        for step in range(10):
            if step == 5:
                for name in ("ng-solo", "southbank-solo"):  # a rebalance and a lost member: events
                    self.kafka.join(name, 0, [])
            self._poll()
        self._watch_health()
        self._refuse(self.own, "ng-")
        self._refuse(self.other, "southbank-", pk=FOREIGN_ID + 3)
        self._register(self.own, "ng-")
        self._register(self.other, "southbank-", pk=FOREIGN_ID + 4)
        self._promise(self.own, "ng-")
        self._promise(self.other, "southbank-", pk=FOREIGN_ID + 2)
        self._certificate(self.own, "ng-producer")
        self._certificate(self.other, "southbank-producer", pk=FOREIGN_ID + 2)
        load_test_made("southbank-load", self.cluster)
        self.users = {role: self._user(role) for role in ROLES}
        self.other_viewer = make_user("client", "southbank-viewer", [self.other])
        token_create(user=self.other_viewer, name="southbank ci", acting_user=self.other_viewer)

    def source_age(self, seconds: float) -> None:
        """The lag source was last read well so long ago."""
        Source.objects.update(last_success_at=Now() - timedelta(seconds=seconds))

    def poll_run(self, *, seconds: float) -> PollRun:
        started = timezone.now()
        return PollRun.objects.create(
            source=self.source, slot=1, status="ok", started_at=started, ended_at=started + timedelta(seconds=seconds)
        )

    def load_test(self) -> LoadTest:
        """A run that missed its threshold."""
        return LoadTest.objects.get(name="southbank-load")

    def group(self, name: str) -> ConsumerGroup:
        return ConsumerGroup.objects.get(name=name)

    def _client(self, name: str, prefix: str, pk: int | None = None) -> Client:
        client = Client.objects.create(pk=pk, name=name, notes=f"notes on {name.split()[0].lower()}")
        for kind in ("group", "topic"):
            Ownership.objects.create(client=client, kind=kind, glob=f"{prefix}*")
        return client

    def _topic(self, name: str) -> None:
        self.kafka.topic(name, 2)
        for partition in (0, 1):
            self.kafka.produce(name, 20, partition)

    def _group(self, name: str, topic: str, behind: int) -> None:
        self.kafka.group(name, topic)
        for partition in (0, 1):
            self.kafka.commit(name, topic, 20 - behind, partition)

    def _own_groups(self) -> None:
        self._topic("shared")
        self._topic("ng-orders")
        self._group("ng-risk", "shared", 0)
        self._group("ng-audit", "shared", 1)
        self._group("ng-solo", "ng-orders", 5)
        self._group(AWKWARD, "ng-orders", 0)
        self.kafka.group("ng-reconciling", "ng-orders", type=GroupType.CONSUMER)
        self.kafka.share_groups.add("ng-share")

    def _foreign_groups(self) -> None:
        """What the first client may not see, with ids that are easy to find in an answer."""
        self._next_ids(FOREIGN_ID + 100)
        self._topic("southbank-orders")
        self._group("southbank-risk", "shared", 7)
        self._group("southbank-solo", "southbank-orders", 3)
        self._group("internal-compliance", "shared", 2)
        self._poll()
        self._next_ids(100_000_000)

    def _next_ids(self, first: int) -> None:
        with connection.cursor() as cursor:
            for table in ("lag_consumergroup", "clusters_topic"):
                cursor.execute("SELECT setval(pg_get_serial_sequence(%s, 'id'), %s)", [table, first])

    def _poll(self) -> None:
        self.clock.pass_time(5)
        poll(cluster=self.cluster, period=5, port=self.kafka, clock=self.clock, deadline=Deadline.after(5))

    def _certificate(self, client: Client, subject: str, pk: int | None = None) -> None:
        """Entered by hand, of that client."""
        now = timezone.now()
        Certificate.objects.create(
            pk=pk, cluster=self.cluster, kind="client", kind_set=True, subject=subject, common_name=subject, client=client,
            not_before=now - timedelta(days=30), not_after=now + timedelta(days=300), owner=subject,
        )  # fmt: skip

    def _promise(self, client: Client, prefix: str, pk: int | None = None) -> None:
        Slo.objects.create(
            pk=pk, cluster=self.cluster, name=f"{prefix}promise", glob=f"{prefix}*", client=client, max_seconds=30
        )
        Finding.objects.create(
            pk=pk,
            dedupe_key=f"slo:{prefix}",
            kind="slo_breach",
            severity="critical",
            cluster=self.cluster,
            client=client,
            entity=f"group {prefix}solo",
            title=f"{prefix}promise is broken",
            reason=f"{prefix}solo is behind",
            inputs={"group": f"{prefix}solo"},
        )

    def _watch_health(self) -> None:
        brokers = FakeBrokers(self.clock)
        brokers.topic("ng-orders", 2)
        brokers.topic("southbank-orders", 2)
        poll_brokers(poll_of(self.cluster, "brokers", self.clock, brokers))

    def _refuse(self, client: Client, prefix: str, pk: int | None = None) -> None:
        Rejection.objects.create(
            pk=pk,
            key=f"refused-{prefix}",
            cluster=self.cluster,
            origin="log",
            kind="acl",
            client=client,
            principal=f"User:{prefix}feed",
            resource_type="topic",
            resource=f"{prefix}orders",
            pattern="LITERAL",
            host="10.1.2.3",
            operation="WRITE",
            rule="DefaultDeny",
            count=7,
            first_at=Now() - timedelta(minutes=3),
            last_at=Now(),
        )

    def refusal(self, prefix: str) -> Rejection:
        return Rejection.objects.get(key=f"refused-{prefix}")

    def subject(self, prefix: str) -> SchemaSubject:
        return SchemaSubject.objects.get(name=f"{prefix}orders-value")

    def _register(self, client: Client, prefix: str, pk: int | None = None) -> None:
        """A registry that does not answer, and a subject that was read from it."""
        registry, _ = SchemaRegistry.objects.get_or_create(cluster=self.cluster, defaults={"url": "http://127.0.0.1:9"})
        SchemaSubject.objects.create(
            pk=pk,
            registry=registry,
            name=f"{prefix}orders-value",
            client=client,
            versions=[1, 2],
            version=2,
            schema_id=7,
            schema_type="AVRO",
            schema=f'{{"type": "record", "name": "{prefix.strip("-")}", "fields": []}}',
            compatibility="BACKWARD",
            read_at=Now(),
        )

    def _user(self, role: str) -> User:
        return make_user(role, clients=[self.own] if role in {"client", "account-manager"} else ())
