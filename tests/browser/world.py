"""A small world that the browser tests look at: users, clients, a cluster in memory, polled when a test says so.

`python -m tests.browser.world` migrates its database, writes the world and then obeys lines on its standard input:
`step` polls once after some traffic, `stop GROUP` ends a group's commits, `join GROUP` adds a group, `refuse` denies somebody new;
`lose N` and `restore N` take a broker away and give it back, `read` reads health again, `age` makes it an hour old.
Each is answered by a line of its own.
"""

import sys

import django

django.setup()

from django.core.management import call_command  # noqa: E402

from accounts.models import Client, Membership, Ownership, User  # noqa: E402
from accounts.roles import Role  # noqa: E402
from clusters.models import Cluster, Source  # noqa: E402
from lag import services  # noqa: E402
from lag.collector import poll  # noqa: E402
from ops_portal.lib.clock import as_datetime  # noqa: E402
from ops_portal.lib.database import database_clock  # noqa: E402
from ops_portal.lib.resilience import Deadline  # noqa: E402
from tests.browser import refusals  # noqa: E402
from tests.browser.certificates_world import certificates  # noqa: E402
from tests.browser.health_world import HealthWorld  # noqa: E402
from tests.clusters.load_tests.made import load_test_made  # noqa: E402
from tests.fake_kafka import FakeKafka, StandingClock  # noqa: E402

PASSWORD = "a few plain words"
PERIOD = 60  # nothing gets stale while a test looks
MANY = 300  # more rows than a window shows


class World:
    """Topics with traffic and groups that follow it, each until it is told to stop."""

    def __init__(self) -> None:
        self.clock = StandingClock(database_clock().now())
        self.kafka = FakeKafka(self.clock)
        self.cluster = Cluster.objects.create(name="demo", bootstrap="127.0.0.1:9092")
        load_test_made("Release 41", self.cluster)
        load_test_made("Release 42", self.cluster, latency_ms=2.0)
        self.source = Source.objects.create(cluster=self.cluster, kind="lag", period_seconds=PERIOD)
        self.stopped: set[str] = set()
        self.kafka.topic("trades.execution", 6)
        self.kafka.topic("risk.alerts", 2)
        self.follow("risk-engine", "trades.execution")
        self.follow("northgate-feed", "trades.execution")
        self.follow("harbour-feed", "risk.alerts")
        for number in range(MANY):
            self.follow(f"worker-{number:03d}", "risk.alerts")
        services.slo_add(
            cluster=self.cluster, name="Risk within a minute", glob="risk-*", max_seconds=60, acting_user=None
        )

    def follow(self, group: str, topic: str) -> None:
        self.kafka.group(group, topic, members=1)
        self._commit(group)

    def step(self) -> None:
        """Some traffic, then one poll."""
        self.clock.pass_time(max(0.001, database_clock().now() - self.clock.now()))
        for name, topic in self.kafka.topics.items():
            for partition in range(len(topic.partitions)):
                self.kafka.produce(name, 40, partition)
        for group in self.kafka.groups:
            if group not in self.stopped:
                self._commit(group)
        poll(cluster=self.cluster, period=PERIOD, port=self.kafka, clock=self.clock, deadline=Deadline(20))
        now = as_datetime(self.clock.now())
        Source.objects.filter(pk=self.source.pk).update(last_success_at=now, requests={"OffsetFetch": 3})

    def _commit(self, group: str) -> None:
        held = [partition for member in self.kafka.groups[group].members for partition in member.partitions]
        for topic, partition in held:
            self.kafka.commit(group, topic, self.kafka.topics[topic].partitions[partition].end, partition)


def people() -> None:
    """One user per role; the client viewer sees Northgate Capital."""
    clients = {}
    for name, glob in (("Northgate Capital", "northgate-*"), ("Harbour Lane", "harbour-*")):
        clients[name] = Client.objects.create(name=name)
        Ownership.objects.create(client=clients[name], kind="group", glob=glob)
    for role in Role:
        user = User(username=role.value, role=role.value)
        user.set_password(PASSWORD)
        user.save()
        if not role.sees_all_clients:
            Membership.objects.create(user=user, client=clients["Northgate Capital"])


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def main() -> None:
    call_command("migrate", verbosity=0)
    people()
    world = World()
    for _ in range(3):
        world.step()
    refusals.begin(world.cluster)
    gate = certificates(world.cluster)
    health = HealthWorld(world.cluster)
    say("ready")
    for line in sys.stdin:
        match line.split():
            case ["step"]:
                world.step()
            case ["stop", group]:
                world.stopped.add(group)
            case ["go", group]:
                world.stopped.discard(group)
            case ["join", group]:
                world.follow(group, "risk.alerts")
            case ["lose", broker]:
                health.kafka.lose(int(broker))
                health.read()
            case ["restore", broker]:
                health.kafka.restore(int(broker))
                health.read()
            case ["read"]:
                health.read()
            case ["age"]:
                health.age()
            case ["rotate"]:
                gate.rotate()
            case ["look"]:
                gate.look()
            case ["refuse"]:
                refusals.more(world.cluster)
        say(line.strip())
    gate.ends.close()


if __name__ == "__main__":
    main()
