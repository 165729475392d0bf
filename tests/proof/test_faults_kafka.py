"""Kafka breaks under a running portal: brokers, topics, groups."""

from collections.abc import Iterator

import pytest
from confluent_kafka.admin import (
    AclBinding,
    AclOperation,
    AclPermissionType,
    AdminClient,
    ResourcePatternType,
    ResourceType,
)

from clusters.selectors import SourceRow, sources
from lag.models import GroupEvent
from ops_portal.lib.kafka_runner import KafkaCluster, KafkaUnavailable, free_ports, kafka_home
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import KAFKA_VAR, create_topic, unavailable
from tests.proof.clients import commit, produce
from tests.proof.site import Site, runs
from tests.proof.world import World

pytestmark = [pytest.mark.kafka, pytest.mark.fault, pytest.mark.xdist_group("fault"), pytest.mark.timeout(300)]


def test_a_killed_broker_costs_its_own_partitions_only(site: Site, kafka_cluster3: KafkaCluster) -> None:
    world = World(site, kafka_cluster3)
    lost = world.alone[2]
    kafka_cluster3.kill(2)
    rest = [name for name in world.groups() if name != lost]

    def rest_fresh() -> bool:
        board, source = world.view.board(), world.source()
        entities = {error["entity"] for error in source.entity_errors}
        return entities == {f"partition:{lost}/0"} and not any(board[name].stale for name in rest)

    assert site.eventually(rest_fresh), (world.source(), world.view.board())
    produce(kafka_cluster3.bootstrap, {(world.spread, number): 5 for number in range(3)})
    expected = world.true_lags()[world.spread] or 0
    assert site.eventually(lambda: world.lags()[world.spread] == expected + 15), world.source()
    (error,) = world.source().entity_errors
    assert error["since"]
    assert (error["code"], error["message"]) == (
        "leader_unavailable",
        f"Partition {lost}/0 has no leader that answers.",
    )
    assert world.lags()[lost] != 0
    kafka_cluster3.restart(2)
    produce(kafka_cluster3.bootstrap, {(name, 0): 5 for name in world.alone.values()})
    world.produced += 5
    world.all_well()


def test_without_any_broker_the_figures_are_stale_and_come_back_by_themselves(
    site: Site, kafka_cluster3: KafkaCluster
) -> None:
    world = World(site, kafka_cluster3)
    before = world.lags()
    kafka_cluster3.stop_all()

    def told() -> bool:
        summary = world.view.summary()
        return summary.state == "stale" and bool(world.source().error)

    assert site.eventually(told), (world.view.summary(), world.source())
    for name, row in world.view.board().items():
        assert (row.verdict, row.stale) == ("unknown", True)
        assert row.lag_records in {None, before[name]}  # what was last read, with its age; never an invented 0
        assert row.lag_seconds is None or row.lag_seconds > 0
        assert "last read" in row.reason
    assert (world.view.summary().age_seconds or 0) > 2
    assert world.view.summary().verdicts["unknown"] == len(before)
    kafka_cluster3.start()
    produce(kafka_cluster3.bootstrap, world.places(3))
    world.produced += 3
    world.all_well()


def test_a_hung_broker_costs_its_own_partitions_only(site: Site, kafka_cluster3: KafkaCluster) -> None:
    world = World(site, kafka_cluster3, period=5)
    hung = world.alone[3]
    kafka_cluster3.pause(3)
    try:
        assert site.eventually(
            lambda: f"partition:{hung}/0" in {error["entity"] for error in world.source().entity_errors}
        ), (world.source().error, world.source().entity_errors, site.log("worker-poll"))

        def rest_fresh() -> bool:
            board = world.view.board()
            return not any(board[name].stale for name in world.groups() if name != hung)

        produce(kafka_cluster3.bootstrap, {(world.alone[1], 0): 5})
        assert site.eventually(rest_fresh), (world.source(), world.view.board())
        assert site.eventually(lambda: world.lags()[world.alone[1]] == 11), world.source()
        assert world.lags()[hung] != 0
    finally:
        kafka_cluster3.resume(3)
    produce(kafka_cluster3.bootstrap, {(world.alone[2], 0): 5, (hung, 0): 5})
    produce(kafka_cluster3.bootstrap, {(world.spread, number): 5 for number in range(3)})
    world.produced += 5
    world.all_well()


def test_a_topic_made_again_with_fewer_partitions_starts_anew(site: Site, kafka_cluster3: KafkaCluster) -> None:
    world = World(site, kafka_cluster3)
    world.admin.delete_topics([world.spread], operation_timeout=20)[world.spread].result(30)
    assert wait_until(lambda: world.spread not in world.admin.list_topics(timeout=10).topics, seconds=60)
    assert site.eventually(lambda: world.lags().get(world.spread) is None), world.view.board()
    create_topic(world.admin, world.spread, 1, 3, {})
    produce(kafka_cluster3.bootstrap, {(world.spread, 0): 3})
    commit(kafka_cluster3.bootstrap, world.spread, {(world.spread, 0): 1})

    def anew() -> bool:
        rows = world.view.partitions(world.spread)
        return {place: (row.committed, row.end, row.lag_records) for place, row in rows.items()} == {
            (world.spread, 0): (1, 3, 2)
        }

    assert site.eventually(anew), world.view.partitions(world.spread)
    assert world.source().error is None
    assert all(world.lags()[name] == 6 for name in world.alone.values())


def test_a_deleted_group_leaves_the_board_and_one_with_its_name_begins_anew(
    site: Site, kafka_cluster3: KafkaCluster
) -> None:
    world = World(site, kafka_cluster3)
    gone = world.alone[1]
    world.admin.delete_consumer_groups([gone])[gone].result(30)
    assert site.eventually(lambda: gone not in world.view.board()), world.view.board()
    assert GroupEvent.objects.filter(group__name=gone, kind="group_vanished").count() == 1
    assert site.eventually(lambda: world.lags()[world.spread] == 18)
    commit(kafka_cluster3.bootstrap, gone, {(gone, 0): 10})
    assert site.eventually(lambda: world.lags().get(gone) == 0), world.view.board()
    assert site.eventually(lambda: world.view.board()[gone].verdict == "ok"), world.view.board()[gone]


def test_commit_metadata_of_300_bytes_is_no_obstacle(site: Site, kafka_cluster3: KafkaCluster) -> None:
    world = World(site, kafka_cluster3)
    commit(kafka_cluster3.bootstrap, world.spread, {(world.spread, number): 7 for number in range(3)}, "m" * 300)
    commit(kafka_cluster3.bootstrap, world.alone[1], {(world.alone[1], 0): 6}, "\u00fc" * 150)
    assert site.eventually(lambda: world.lags()[world.spread] == 9), world.lags()
    assert site.eventually(lambda: world.lags()[world.alone[1]] == 4), world.lags()
    assert world.source().entity_errors == ()


@pytest.fixture
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KafkaCluster]:
    """One broker that keeps access rules; who has none may do everything."""
    settings = {
        "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
        "allow.everyone.if.no.acl.found": "true",
    }
    try:
        cluster = KafkaCluster(kafka_home(KAFKA_VAR), tmp_path_factory.mktemp("guarded"), (free_ports(2),), settings)
        cluster.start()
    except KafkaUnavailable as reason:
        unavailable(str(reason))
        raise
    yield cluster
    cluster.stop_all()


def test_a_group_that_may_not_be_read_says_so_and_the_others_go_on(site: Site, guarded: KafkaCluster) -> None:
    admin, bootstrap = AdminClient({"bootstrap.servers": guarded.bootstrap}), guarded.bootstrap
    create_topic(admin, "guarded", 1, 1, {})
    produce(bootstrap, {("guarded", 0): 9})
    for group in ("guarded-open", "guarded-hidden"):
        commit(bootstrap, group, {("guarded", 0): 2})
    view = site.watch(bootstrap, "guarded")
    assert site.eventually(lambda: {row.lag_records for row in view.board().values()} == {7}), view.board()
    rule = AclBinding(
        ResourceType.GROUP, "guarded-hidden", ResourcePatternType.LITERAL, "User:ANONYMOUS", "*",
        AclOperation.ALL, AclPermissionType.DENY,
    )  # fmt: skip
    for future in admin.create_acls([rule]).values():
        future.result(30)

    def source() -> SourceRow:
        return next(row for row in sources(view.user, view.cluster.name) if row.kind == "lag")

    assert site.eventually(
        lambda: (
            {(one["entity"], one["code"]) for one in source().entity_errors}
            == {("group:guarded-hidden", "not_allowed")}
        )
    ), source()
    produce(bootstrap, {("guarded", 0): 5})
    assert site.eventually(lambda: view.board()["guarded-open"].lag_records == 12), view.board()
    assert site.eventually(lambda: view.board()["guarded-hidden"].stale), view.board()
    hidden, shown = view.board()["guarded-hidden"], view.board()["guarded-open"]
    assert (hidden.verdict, shown.stale) == ("unknown", False)
    assert "DESCRIBE" in hidden.reason
    assert hidden.lag_records != 0
    assert (hidden.age_seconds or 0) > (shown.age_seconds or 0)
    assert {run.status for run in runs(view)[-2:]} <= {"partial", "running"}
