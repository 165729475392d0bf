"""A portal in use: one cluster polled just now, two clients, and something of everything that either of them owns.

Whatever belongs to the second client carries the word `southbank`, so that one search through an answer finds a leak.
"""

from datetime import timedelta

from django.db.models.functions import Now
from django.utils import timezone

from accounts.models import Client, Ownership, User
from accounts.services import token_create
from clusters.models import Cluster, Finding, PollRun, Source
from clusters.ports import GroupType
from lag.collector import poll
from lag.models import Slo
from ops_portal.lib.resilience import Deadline
from tests.accounts.factories import make_user
from tests.fake_kafka import FakeKafka, StandingClock

AWKWARD = 'ng-"quoted" back\\slash {x="1"} a/b ?#&% ü 🚀 \n end'
CANARY = "southbank"
ROLES = ("sre", "oncall", "account-manager", "client", "lead", "admin")


class Site:
    """Figures of interest: group `ng-audit` is 1 record behind on each of 2 partitions of `shared`, `ng-risk` none."""

    def __init__(self) -> None:
        self.clock = StandingClock(timezone.now().timestamp() - 60)
        self.kafka = FakeKafka(self.clock)
        self.cluster = Cluster.objects.create(name="north", bootstrap="127.0.0.1:9092")
        self.source = Source.objects.create(cluster=self.cluster, kind="lag", period_seconds=5)
        self.own = self._client("Northgate Capital", "ng-")
        self.other = self._client("Southbank Trading", "southbank-")
        self._kafka()
        self._poll()
        self.cluster.brokers = [{"id": 1, "host": "broker-1.internal", "port": 9092, "rack": None}]
        self.cluster.save(update_fields=["brokers"])
        self._promises()
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

    def _client(self, name: str, prefix: str) -> Client:
        client = Client.objects.create(name=name, notes=f"notes on {name.split()[0].lower()}")
        for kind in ("group", "topic"):
            Ownership.objects.create(client=client, kind=kind, glob=f"{prefix}*")
        return client

    def _kafka(self) -> None:
        for topic in ("shared", "ng-orders", "southbank-orders"):
            self.kafka.topic(topic, 2)
            self.kafka.produce(topic, 20, 0)
            self.kafka.produce(topic, 20, 1)
        for name, topic, behind in (
            ("ng-risk", "shared", 0),
            ("ng-audit", "shared", 1),
            ("ng-solo", "ng-orders", 5),
            (AWKWARD, "ng-orders", 0),
            ("southbank-risk", "shared", 7),
            ("southbank-solo", "southbank-orders", 3),
            ("internal-compliance", "shared", 2),
        ):
            self.kafka.group(name, topic)
            for partition in (0, 1):
                self.kafka.commit(name, topic, 20 - behind, partition)
        self.kafka.group("ng-reconciling", "ng-orders", type=GroupType.CONSUMER)
        self.kafka.share_groups.add("ng-share")

    def _poll(self) -> None:
        for step in range(12):
            self.clock.pass_time(5)
            if step == 6:
                for name in ("ng-solo", "southbank-solo"):  # a rebalance and a lost member: events
                    self.kafka.join(name, 0, [])
            poll(cluster=self.cluster, period=5, port=self.kafka, clock=self.clock, deadline=Deadline.after(5))

    def _promises(self) -> None:
        for client, prefix in ((self.own, "ng-"), (self.other, "southbank-")):
            Slo.objects.create(
                cluster=self.cluster, name=f"{prefix}promise", glob=f"{prefix}*", client=client, max_seconds=30
            )
            Finding.objects.create(
                dedupe_key=f"slo:{prefix}", kind="slo_breach", severity="critical", cluster=self.cluster, client=client,
                entity=f"group {prefix}solo", title=f"{prefix}promise is broken", reason=f"{prefix}solo is behind",
                inputs={"group": f"{prefix}solo"},
            )  # fmt: skip

    def _user(self, role: str) -> User:
        return make_user(role, clients=[self.own] if role in {"client", "account-manager"} else ())
