"""What people see of the stored state: filters, sorting, paging, age and the boundary between clients."""

import base64
from datetime import timedelta
from typing import Any

import orjson
import pytest
from django.utils import timezone

from accounts import services
from accounts.models import Client, Membership, Ownership, User
from clusters.models import Cluster, Source
from lag import selectors
from lag.collector import poll
from lag.models import ConsumerGroup, LagState
from lag.rows import BoardQuery
from lag.verdicts import Verdict
from ops_portal.lib.resilience import Deadline
from tests.fake_kafka import FakeKafka, StandingClock

pytestmark = pytest.mark.django_db


def user_of(role: str, *clients: Client) -> User:
    user = User.objects.create(username=f"{role}-{User.objects.count()}", role=role)
    for client in clients:
        Membership.objects.create(user=user, client=client)
    return user


class Site:
    """Two clients, one shared topic, one topic each, polled just now."""

    def __init__(self) -> None:
        self.clock = StandingClock(timezone.now().timestamp() - 60)
        self.kafka = FakeKafka(self.clock)
        self.cluster = Cluster.objects.create(name="north", bootstrap="127.0.0.1:9092")
        Source.objects.create(cluster=self.cluster, kind="lag", period_seconds=5)
        self.north = Client.objects.create(name="Northgate Capital")
        self.south = Client.objects.create(name="Southbank Trading")
        for client, word in ((self.north, "ng"), (self.south, "sb")):
            Ownership.objects.create(client=client, kind="group", glob=f"{word}-*")
        for topic in ("shared", "ng-own"):
            self.kafka.topic(topic, 2)
            self.kafka.produce(topic, 20)
        for index, name in enumerate(("ng-risk", "ng-audit", "sb-risk", "free")):
            self.kafka.group(name, "shared")
            self.kafka.commit(name, "shared", 20 - index)
        self.kafka.group("ng-solo", "ng-own")
        self.kafka.commit("ng-solo", "ng-own", 3)
        for _ in range(12):
            self.poll()
        self.sre = user_of("sre")
        self.viewer = user_of("client", self.north)

    def poll(self) -> None:
        self.clock.pass_time(5)
        poll(cluster=self.cluster, period=5, port=self.kafka, clock=self.clock, deadline=Deadline.after(5))

    def names(self, user: User | None = None, **query: object) -> list[str]:
        page = selectors.group_board(user or self.sre, self.cluster, BoardQuery(**query))  # type: ignore[arg-type]
        return [item.group for item in page.items]


@pytest.fixture
def site() -> Site:
    return Site()


def test_board_shows_every_group_to_an_sre(site: Site) -> None:
    page = selectors.group_board(site.sre, site.cluster, BoardQuery())
    assert page.total == 5
    assert {item.group for item in page.items} == {"ng-risk", "ng-audit", "sb-risk", "free", "ng-solo"}
    ranks = [item.verdict.severity for item in page.items]
    assert ranks == sorted(ranks)
    assert sum(page.verdict_counts.values()) == 5
    row = next(item for item in page.items if item.group == "ng-risk")
    assert (row.lag_records, row.lag_seconds, row.lag_seconds_method, row.stale) == (0, 0.0, "caught_up", False)
    assert row.client == "Northgate Capital"


def test_board_filters_by_text_client_state_and_verdict(site: Site) -> None:
    assert site.names(q="RISK", sort="group") == ["ng-risk", "sb-risk"]
    assert site.names(client=("Southbank Trading",)) == ["sb-risk"]
    assert site.names(state=("empty",)) == []
    verdict = selectors.group_board(site.sre, site.cluster, BoardQuery(q="ng-risk")).items[0].verdict
    assert "ng-risk" in site.names(verdict=(verdict.value,))
    assert "ng-risk" not in site.names(verdict=("rewound",))


@pytest.mark.parametrize("field", selectors.SORT_FIELDS)
@pytest.mark.parametrize("sign", ["", "-"])
def test_pages_follow_each_other_without_gap_or_repeat(site: Site, field: str, sign: str) -> None:
    whole = site.names(sort=sign + field)
    seen: list[str] = []
    cursor = None
    for _ in range(5):
        page = selectors.group_board(site.sre, site.cluster, BoardQuery(sort=sign + field, limit=1, cursor=cursor))
        seen += [item.group for item in page.items]
        cursor = page.next_cursor
    assert cursor is None
    assert seen == whole
    assert len(set(whole)) == 5


def test_nulls_come_last_in_both_directions(site: Site) -> None:
    assert site.names(sort="client")[-1] == "free"
    assert site.names(sort="-client")[-1] == "free"


def _altered(cursor: str | None, place: int, value: object) -> str:
    parts = orjson.loads(base64.urlsafe_b64decode(f"{cursor}{'=' * (-len(cursor or '') % 4)}"))
    parts[place] = value
    return base64.urlsafe_b64encode(orjson.dumps(parts)).decode().rstrip("=")


def test_a_cursor_of_another_filter_is_refused(site: Site) -> None:
    cursor = selectors.group_board(site.sre, site.cluster, BoardQuery(limit=1)).next_cursor
    for query in (
        BoardQuery(sort="group", cursor=cursor),
        BoardQuery(cursor="AAAA"),
        BoardQuery(cursor=_altered(cursor, 3, "ng\0")),
        BoardQuery(cursor=_altered(cursor, 1, 1e300)),
        BoardQuery(cursor="%%"),
        BoardQuery(cursor="é"),
    ):
        with pytest.raises(selectors.BadCursor):
            selectors.group_board(site.sre, site.cluster, query)


def test_a_client_sees_own_groups_only(site: Site) -> None:
    page = selectors.group_board(site.viewer, site.cluster, BoardQuery())
    assert {item.group for item in page.items} == {"ng-risk", "ng-audit", "ng-solo"}
    assert page.total == 3
    assert sum(page.verdict_counts.values()) == 3
    hidden = ConsumerGroup.objects.get(name="sb-risk")
    assert selectors.group_by_path(site.viewer, site.cluster, "sb-risk") is None
    assert selectors.group_by_path(site.viewer, site.cluster, f"~{hidden.pk}") is None
    assert selectors.group_detail(site.viewer, site.cluster, hidden) is None
    assert site.names(site.viewer, client=("Southbank Trading",)) == []


def test_nobody_sees_anything_without_a_client(site: Site) -> None:
    assert site.names(user_of("client")) == []
    assert selectors.cluster_summaries(user_of("account-manager")) == ()


def test_a_shared_topic_hides_its_offsets_from_a_client(site: Site) -> None:
    group = selectors.group_by_path(site.viewer, site.cluster, "ng-audit")
    assert group is not None
    detail = selectors.group_detail(site.viewer, site.cluster, group)
    assert detail is not None
    first = detail.topics[0].partitions[0]
    assert (first.committed, first.lag_records) == (19, 1)
    assert (first.start, first.end, first.high_watermark) == (None, None, None)
    assert "shared_topic" in first.flags
    assert detail.summary.produce_rate is None
    assert "shared_topic" in detail.summary.flags


def test_an_own_topic_hides_nothing(site: Site) -> None:
    group = selectors.group_by_path(site.viewer, site.cluster, "ng-solo")
    assert group is not None
    detail = selectors.group_detail(site.viewer, site.cluster, group)
    assert detail is not None
    first = detail.topics[0].partitions[0]
    assert (first.committed, first.start, first.end, first.lag_records) == (3, 0, 20, 17)
    assert "shared_topic" not in first.flags
    assert first.member == "ng-solo-0"
    assert detail.members[0].partitions == 2


def test_an_sre_sees_all_of_a_shared_topic(site: Site) -> None:
    group = selectors.group_by_path(site.sre, site.cluster, "ng-audit")
    assert group is not None
    detail = selectors.group_detail(site.sre, site.cluster, group)
    assert detail is not None
    assert detail.topics[0].partitions[0].end == 20


def test_everything_is_unknown_when_the_source_is_stale(site: Site) -> None:
    LagState.objects.update(observed_at=timezone.now() - timedelta(seconds=13))
    page = selectors.group_board(site.sre, site.cluster, BoardQuery())
    assert {item.verdict for item in page.items} == {Verdict.UNKNOWN}
    assert all(item.stale for item in page.items)
    assert page.items[0].lag_records is not None
    assert "was last read 13 s ago" in page.items[0].reason
    assert page.verdict_counts == {"unknown": 5}
    assert len(site.names(verdict=("unknown",))) == 5
    summary = selectors.cluster_summaries(site.sre)[0]
    assert (summary.stale, summary.state, summary.verdicts["unknown"]) == (True, "stale", 5)


def test_one_stale_group_is_unknown_alone(site: Site) -> None:
    ConsumerGroup.objects.filter(name="free").update(
        fresh=False, observed_at=timezone.now() - timedelta(seconds=60), error="timed out"
    )
    assert site.names(verdict=("unknown",)) == ["free"]


def test_an_object_claimed_by_two_clients_belongs_to_none(site: Site) -> None:
    Ownership.objects.create(client=site.south, kind="group", glob="ng-ri*")
    site.poll()
    group = ConsumerGroup.objects.get(name="ng-risk")
    assert (group.client, group.client_conflict) == (None, True)
    assert "ng-risk" not in site.names(site.viewer)


def test_clusters_are_summed_over_what_the_user_sees(site: Site) -> None:
    everything, own = selectors.cluster_summaries(site.sre)[0], selectors.cluster_summaries(site.viewer)[0]
    assert (everything.groups, everything.lag_records) == (5, 1 + 2 + 3 + 17)
    assert (own.groups, own.lag_records, own.brokers) == (3, 1 + 17, None)


def test_topics_name_only_the_consumers_a_user_may_see(site: Site) -> None:
    shared = next(topic for topic in selectors.topics(site.sre, site.cluster) if topic.topic == "shared")
    assert [reader.group for reader in shared.consumers] == ["free", "ng-audit", "ng-risk", "sb-risk"]
    shared = next(topic for topic in selectors.topics(site.viewer, site.cluster) if topic.topic == "shared")
    assert [reader.group for reader in shared.consumers] == ["ng-audit", "ng-risk"]
    assert (shared.produce_rate, shared.flags) == (None, ("shared_topic",))
    assert [topic.topic for topic in selectors.topics(user_of("client", site.south), site.cluster)] == ["shared"]


def test_a_changed_rule_moves_groups_at_once(site: Site, django_capture_on_commit_callbacks: Any) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        rule = Ownership.objects.get(client=site.north)
        services.ownership_remove(ownership=rule, acting_user=None)
    assert site.names(site.viewer) == []
    with django_capture_on_commit_callbacks(execute=True):
        services.ownership_add(
            client=site.north, specs=[services.OwnershipSpec("group", "ng-solo", "")], acting_user=None
        )
    assert site.names(site.viewer) == ["ng-solo"]


def test_a_client_reads_no_error_of_the_source(site: Site) -> None:
    Source.objects.update(last_error="10.1.2.3:9092 refused the connection")
    LagState.objects.update(observed_at=timezone.now() - timedelta(seconds=60))
    for user, told in ((site.sre, True), (site.viewer, False)):
        page = selectors.group_board(user, site.cluster, BoardQuery())
        assert all(("10.1.2.3" in item.reason) is told for item in page.items)
        assert ("10.1.2.3" in selectors.cluster_summaries(user)[0].reason) is told
