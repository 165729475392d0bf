"""The crash view from polls to page: what each partition resumed from, whoever polls, and who may see which figure."""

from collections.abc import Iterable

import pytest
from django.test import Client as Browser
from django.urls import reverse
from django.utils.html import strip_tags

from accounts.models import Client, Membership, Ownership, User
from lag.crash import Crash, Resumption
from lag.models import HistoryCycle
from lag.selectors.crashes import group_crashes
from lag.tasks import pack_history_task
from tests.lag.test_collector import World

pytestmark = pytest.mark.django_db
TOPIC = "trades.execution"
STAYED, LOST = (0, 2), (1, 3)  # partitions of the member that stays and of the one that goes


class Scene:
    """Two members of one group read two partitions each; every five seconds 100 records come to each partition."""

    def __init__(self) -> None:
        self.world = World()
        self.kafka = self.world.kafka
        self.kafka.topic(TOPIC, 4)
        self.kafka.group("ng-risk", TOPIC, 2)
        self.run(12)

    def run(self, polls: int, committing: Iterable[int] = range(4)) -> None:
        """`committing` partitions are read to the end before each poll, the others not at all."""
        for _ in range(polls):
            for number in range(4):
                self.kafka.produce(TOPIC, 100, number)
            for number in committing:
                self.kafka.commit("ng-risk", TOPIC, self.end(number), number)
            self.world.poll()

    def end(self, number: int) -> int:
        return self.kafka.topics[TOPIC].partitions[number].end

    def leave(self) -> None:
        """The coordinator drops the second member; the first takes over its partitions."""
        self.kafka.join("ng-risk", 1, [(TOPIC, number) for number in range(4)])

    def crash(self, user: User | None = None) -> Crash:
        sre = user or User.objects.create(username="sre", role="sre")
        (found,) = group_crashes(sre, self.world.cluster, self.world.group("ng-risk"))
        return found


@pytest.fixture
def scene() -> Scene:
    return Scene()


def by_number(crash: Crash) -> dict[int, Resumption]:
    return {row.partition: row for row in crash.partitions}


def test_a_crash_tells_what_each_partition_of_the_lost_member_resumed_from(scene: Scene) -> None:
    stopped_at = scene.world.clock.now()
    scene.run(3, STAYED)
    last_read = scene.world.clock.now()
    scene.leave()
    scene.run(1, STAYED)
    lost_at = scene.world.clock.now()
    scene.run(2, STAYED)
    waiting = scene.world.clock.now()
    scene.run(6)
    crash = scene.crash()
    assert (crash.lost.earliest, crash.lost.latest) == pytest.approx((last_read, lost_at), abs=0.002)
    rows = by_number(crash)
    assert tuple(rows) == LOST
    row = rows[1]
    assert (row.last_commit, row.end_at_loss, row.reread_at_most, row.skipped) == (1200, 1600, 400, 0)
    assert (row.last_commit_seen_at, row.last_commit_read_at) == pytest.approx((stopped_at, last_read), abs=0.002)
    assert row.first_commit == 1900
    assert (row.first_commit_earliest, row.first_commit_read_at) == pytest.approx((waiting, waiting + 5), abs=0.002)
    assert (crash.reread_at_most, crash.skipped, crash.unknown) == (800, 0, 0)
    assert crash.lag_peak == 1200
    assert crash.lag_peak_at == pytest.approx(waiting, abs=0.002)
    assert crash.recovered is not None
    assert crash.recovered.latest == pytest.approx(waiting + 5, abs=0.002)


def test_another_worker_between_loss_and_recovery_and_packing_change_nothing(scene: Scene) -> None:
    scene.run(3, STAYED)
    scene.leave()
    scene.run(1, STAYED)
    scene.world.restart_worker()
    scene.run(2, STAYED)
    scene.world.restart_worker()
    scene.run(15)
    sre = User.objects.create(username="sre", role="sre")
    crash = scene.crash(sre)
    assert [(row.last_commit, row.first_commit) for row in crash.partitions] == [(1200, 1900), (1200, 1900)]
    pack_history_task()
    packed = scene.crash(sre)
    assert [(row.last_commit, row.first_commit) for row in packed.partitions] == [(1200, 1900), (1200, 1900)]
    assert (packed.lost, packed.reread_at_most, packed.lag_peak) == (crash.lost, 800, crash.lag_peak)


def test_a_member_that_commits_as_it_leaves_leaves_less_to_read_twice(scene: Scene) -> None:
    scene.leave()
    scene.run(4)  # its last commit comes with the leave, and the other goes on from there
    row = by_number(scene.crash())[1]
    assert (row.last_commit, row.end_at_loss, row.reread_at_most) == (1200, 1300, 100)
    assert (row.first_commit, row.skipped) == (1300, 0)
    assert row.first_commit_read_at == scene.crash(User.objects.get()).lost.latest


def test_records_that_retention_took_before_anyone_went_on_are_skipped(scene: Scene) -> None:
    scene.run(1, STAYED)
    scene.leave()
    scene.run(2, STAYED)
    scene.kafka.expire(TOPIC, 1350, 1)
    scene.run(2, STAYED)
    scene.run(3)
    rows = by_number(scene.crash())
    assert (rows[1].last_commit, rows[1].skipped) == (1200, 150)
    assert (rows[3].last_commit, rows[3].skipped) == (1200, 0)


def test_a_partition_that_nobody_reads_has_no_first_commit(scene: Scene) -> None:
    scene.leave()
    scene.run(10, (*STAYED, 1))
    row = by_number(scene.crash())[3]
    assert (row.last_commit, row.first_commit, row.waits) == (1200, None, True)


def test_the_group_page_shows_the_figures_of_a_crash(scene: Scene, client: Browser) -> None:
    scene.run(1, STAYED)
    scene.leave()
    scene.run(2, STAYED)
    scene.run(3)
    client.force_login(User.objects.create(username="sre", role="sre"))
    page = client.get(reverse("lag:group-crash", args=["north", "ng-risk"])).content.decode()
    page = " ".join(strip_tags(page).split())
    assert "at most" in page
    assert "trades.execution/1" in page
    assert "trades.execution/2" not in page
    for words in ("at most 400", "1 200", "1 400", "1 600"):
        assert words in page


def test_a_loss_that_history_does_not_reach_back_to_is_unknown_on_the_page(scene: Scene, client: Browser) -> None:
    scene.leave()
    scene.run(1, STAYED)
    HistoryCycle.objects.all().delete()
    client.force_login(User.objects.create(username="sre", role="sre"))
    page = client.get(reverse("lag:group-crash", args=["north", "ng-risk"])).content.decode()
    assert page.count("the commits before the loss were not seen") >= 2


def test_the_end_of_a_shared_topic_is_not_told_to_a_client(scene: Scene) -> None:
    north = Client.objects.create(name="Northgate Capital")
    Ownership.objects.create(client=north, kind="group", glob="ng-*")
    Ownership.objects.create(client=Client.objects.create(name="Harbour Lane"), kind="group", glob="harbour-*")
    scene.kafka.group("harbour-feed", TOPIC)
    scene.kafka.commit("harbour-feed", TOPIC, 5)
    scene.run(4)
    scene.run(1, STAYED)
    scene.leave()
    scene.run(4)
    viewer = User.objects.create(username="client", role="client")
    Membership.objects.create(user=viewer, client=north)
    shown = by_number(scene.crash(viewer))[1]
    assert shown.end_at_loss is None
    assert shown.last_commit is not None
    stranger = User.objects.create(username="stranger", role="client")
    assert group_crashes(stranger, scene.world.cluster, scene.world.group("ng-risk")) == []
