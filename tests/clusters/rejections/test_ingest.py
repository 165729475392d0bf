"""Batches of log lines are counted once and exactly, whoever else sends at the same time."""

import threading
from datetime import timedelta

import pytest
from django.db import connection
from django.db.models import Sum
from django.test import Client
from django.utils import timezone
from prometheus_client.parser import text_string_to_metric_families

from accounts.models import Ownership
from clusters import exporter
from clusters.models import Cluster, Finding, Rejection, RejectionFeed, RejectionMinute, RejectionTotal
from clusters.rejections.counters import ERRORS, VALIDATION, Counted, counted, throttled
from clusters.rejections.types import Kind, Rejected
from clusters.services.rejection_counters import counters_store
from clusters.services.rejection_findings import rejection_findings_settle
from clusters.services.rejections import (
    Part,
    Report,
    lines_ingest,
    rejection_owners_apply,
    rejections_ingest,
    rejections_prune,
)
from tests.accounts.factories import make_user
from tests.clusters.rejections.conftest import Firms, Line

pytestmark = pytest.mark.django_db


def test_equal_refusals_are_one_series_with_minutes(north: Cluster, firms: Firms, line: Line) -> None:
    done = lines_ingest(cluster=north, lines=[line(ago=150), line(ago=30), line(), line(host="10.9.9.9")])
    assert (done.taken, done.lines, done.rejections, done.new_series) == (True, 4, 4, 2)
    row = Rejection.objects.get(host="10.1.2.3")
    assert (row.count, row.client, row.kind, row.operation) == (3, firms["northgate"], "acl", "WRITE")
    assert 149 < (row.last_at - row.first_at).total_seconds() < 151
    assert list(row.minutes.order_by("at").values_list("count", flat=True)) in ([1, 2], [1, 1, 1])


def test_a_series_goes_on_where_it_was(north: Cluster, line: Line) -> None:
    lines_ingest(cluster=north, lines=[line(ago=60)])
    first = Rejection.objects.get()
    done = lines_ingest(cluster=north, lines=[line(ago=3600), line()])
    row = Rejection.objects.get()
    assert (done.new_series, row.pk, row.count) == (0, first.pk, 3)
    assert row.first_at < first.first_at < row.last_at


def test_a_batch_id_is_counted_once(north: Cluster, line: Line) -> None:
    assert lines_ingest(cluster=north, lines=[line()], batch="a").taken
    assert not lines_ingest(cluster=north, lines=[line()], batch="a").taken
    assert lines_ingest(cluster=north, lines=[line()], batch="b").taken
    assert Rejection.objects.get().count == 2


def test_a_stretch_of_a_file_is_counted_once(north: Cluster, line: Line) -> None:
    assert lines_ingest(cluster=north, lines=[line()], part=Part("s", 0, 100, "broker-1:/log")).position == 100
    again = lines_ingest(cluster=north, lines=[line(), line()], part=Part("s", 0, 200))
    assert (again.taken, again.position) == (False, 100)
    assert lines_ingest(cluster=north, lines=[line()], part=Part("s", 100, 200)).taken
    gap = lines_ingest(cluster=north, lines=[line()], part=Part("s", 300, 400))
    assert (gap.taken, gap.position) == (False, 200)
    feed = RejectionFeed.objects.get()
    assert (Rejection.objects.get().count, feed.position, feed.lines, feed.label) == (2, 200, 2, "broker-1:/log")


def test_lines_that_cannot_be_read_are_counted_and_shown(north: Cluster, line: Line) -> None:
    cut = line()[:90]
    done = lines_ingest(cluster=north, lines=[cut, "[x] INFO something else (kafka.server)"], part=Part("s", 0, 9))
    assert (done.unread, done.passed, done.rejections) == (1, 1, 0)
    feed = RejectionFeed.objects.get()
    assert (feed.unread, feed.unread_line) == (1, cut)


def test_the_page_says_which_line_could_not_be_read_and_why(north: Cluster, line: Line, client: Client) -> None:
    cut = line().partition(" based on rule")[0]
    lines_ingest(cluster=north, lines=[cut], part=Part("s", 0, 9, "broker-1:/log"))
    client.force_login(make_user("sre"))
    page = client.get("/rejections").content.decode()
    assert "Newest that cannot be read (the rule is missing)" in page
    assert cut in page


def test_a_sender_with_a_wrong_clock_does_not_move_history(north: Cluster, line: Line) -> None:
    now = timezone.now().timestamp()
    lines_ingest(cluster=north, lines=[line(ago=7200)], sent_at=now - 7200)
    assert abs((Rejection.objects.get().last_at - timezone.now()).total_seconds()) < 5


def test_a_time_ahead_of_the_database_counts_as_now(north: Cluster, line: Line) -> None:
    lines_ingest(cluster=north, lines=[line(ago=-86_400)])
    assert Rejection.objects.get().last_at <= timezone.now() + timedelta(seconds=1)


def test_hostile_texts_are_cut_to_what_columns_hold(north: Cluster, line: Line) -> None:
    lines_ingest(cluster=north, lines=[line(resource=f"Group:LITERAL:{'g' * 9000}", principal=f"User:{'ü' * 3000}")])
    row = Rejection.objects.get()
    assert (len(row.resource), len(row.principal)) == (1000, 1000)


def test_the_principal_decides_whose_it_is(north: Cluster, firms: Firms, line: Line) -> None:
    """A stranger at somebody's topic is the stranger's matter; without a principal the subject's topic decides."""
    lines_ingest(cluster=north, lines=[line(principal="User:southbank-feed"), line(principal="User:unknown")])
    reports = [Report(north, Rejected(Kind.SCHEMA, subject="northgate-orders-value", host="10.1.1.1"))]
    rejections_ingest(reports=reports)
    owners = dict(Rejection.objects.values_list("principal", "client__name"))
    assert owners == {"User:southbank-feed": "Southbank Trading", "User:unknown": None, "": "Northgate Capital"}


def test_a_named_client_outranks_the_rules(north: Cluster, firms: Firms) -> None:
    rejected = Rejected(Kind.SCHEMA, subject="northgate-orders-value", client="Southbank Trading")
    rejections_ingest(reports=[Report(north, rejected), Report(None, rejected._replace(client="Nobody"))])
    assert set(Rejection.objects.values_list("cluster__name", "client__name")) == {
        ("north", "Southbank Trading"),
        (None, "Northgate Capital"),
    }


def test_totals_are_kept_for_metrics_when_series_are_pruned(north: Cluster, firms: Firms, line: Line) -> None:
    lines_ingest(cluster=north, lines=[line(ago=100 * 86_400), line()])
    assert rejections_prune(minute_days=14, event_days=90) == 1  # the old minute; the series goes on
    Rejection.objects.update(last_at=timezone.now() - timedelta(days=91))
    assert rejections_prune(minute_days=14, event_days=90) == 1
    assert not Rejection.objects.exists()
    assert RejectionTotal.objects.get(client=firms["northgate"]).count == 2


def test_a_burst_opens_a_finding_once_and_quiet_closes_it(north: Cluster, firms: Firms, line: Line) -> None:
    lines_ingest(cluster=north, lines=[line()] * 19)
    assert not Finding.objects.exists()
    lines_ingest(cluster=north, lines=[line()] * 2)
    finding = Finding.objects.get()
    assert (finding.kind, finding.client, finding.entity) == (
        "rejection_burst",
        firms["northgate"],
        "User:northgate-feed",
    )
    assert "21 times in 5 minutes" in finding.title
    assert "kafka-acls.sh --add --allow-principal User:northgate-feed" in finding.reason
    lines_ingest(cluster=north, lines=[line()])
    assert Finding.objects.get().inputs["count"] == 22
    assert rejection_findings_settle() == 0
    Rejection.objects.update(last_at=timezone.now() - timedelta(seconds=700))
    RejectionMinute.objects.update(at=timezone.now() - timedelta(seconds=700))
    assert rejection_findings_settle() == 1


def test_one_refused_schema_is_a_finding(north: Cluster, firms: Firms) -> None:
    rejections_ingest(reports=[Report(north, Rejected(Kind.SCHEMA, subject="southbank-trades-value"))])
    finding = Finding.objects.get()
    assert (finding.kind, finding.severity, finding.client) == ("schema_rejected", "critical", firms["southbank"])


def test_a_backlog_of_yesterday_opens_no_finding(north: Cluster, line: Line) -> None:
    lines_ingest(cluster=north, lines=[line(ago=86_400)] * 500)
    assert Rejection.objects.get().count == 500
    assert not Finding.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_many_senders_at_once_count_every_line(line: Line) -> None:
    """Eight threads, the same and different series in different orders: no deadlock, no line lost or counted twice."""
    north = Cluster.objects.create(name="north", bootstrap="x:1")
    lines = [line(host=f"10.0.0.{number}") for number in range(12)]
    failed: list[BaseException] = []

    def send(number: int) -> None:
        try:
            for turn in range(6):
                mixed = lines[number:] + lines[:number]
                lines_ingest(cluster=north, lines=mixed, batch=f"{number // 2}-{turn}")
        except BaseException as error:  # noqa: BLE001 - shown by the test
            failed.append(error)
        finally:
            connection.close()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert failed == []
    assert set(Rejection.objects.values_list("count", flat=True)) == {24}  # four batch ids, six turns
    assert RejectionMinute.objects.aggregate(total=Sum("count"))["total"] == 12 * 24
    assert RejectionTotal.objects.get().count == 12 * 24
    assert Finding.objects.filter(closed_at__isnull=True).count() == 1


def test_a_batch_that_fails_leaves_nothing(north: Cluster, line: Line, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusters.services.rejections.bursts_open", lambda **_: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        lines_ingest(cluster=north, lines=[line()], part=Part("s", 0, 10), batch="a")
    monkeypatch.undo()
    assert not Rejection.objects.exists()
    assert lines_ingest(cluster=north, lines=[line()], part=Part("s", 0, 10), batch="a").taken


def test_metrics_count_by_client_from_the_start(north: Cluster, firms: Firms, line: Line) -> None:
    def scraped() -> dict[tuple[str, ...], float]:
        families = text_string_to_metric_families(exporter.exposition().decode())
        samples = [one for family in families for one in family.samples if one.name == "ops_portal_rejections_total"]
        return {(one.labels["cluster"], one.labels["client"], one.labels["kind"]): one.value for one in samples}

    before = scraped()
    assert before["north", "Northgate Capital", "acl"] == before["north", "", "quota"] == 0
    lines_ingest(cluster=north, lines=[line(), line(), line(principal="User:unknown")])
    after = scraped()
    assert (after["north", "Northgate Capital", "acl"], after["north", "", "acl"]) == (2, 1)
    assert after.keys() == before.keys()


def test_counters_of_brokers_stand_beside_and_miss_no_first_event(north: Cluster, firms: Firms) -> None:
    """What was counted before the first reading is history; a series that is new afterwards counts whole."""

    def counter(value: float, code: str = "TOPIC_AUTHORIZATION_FAILED", **labels: str) -> list[Counted]:
        return counted(ERRORS, [({"error": code, "request": "Produce", "instance": "b1"} | labels, value)])

    def store(at: float, found: list[Counted]) -> int:
        return counters_store(cluster=north, found=found, throttled=[], at=at)

    now = timezone.now().timestamp()
    assert store(now - 60, counter(500)) == 0
    assert store(now - 45, counter(503)) == 3
    assert store(now - 30, counter(503) + counter(1, instance="b2")) == 1
    assert store(now - 15, counter(2)) == 2  # the broker was restarted
    assert store(now, counter(2) + counter(7, code="NONE")) == 0
    assert dict(Rejection.objects.values_list("origin", "rule")) == {"counter": "TOPIC_AUTHORIZATION_FAILED"}
    assert sum(Rejection.objects.values_list("count", flat=True)) == 6
    assert not RejectionTotal.objects.exists()
    assert not Finding.objects.exists()


def test_series_with_many_labels_are_told_apart_by_the_last_of_them() -> None:
    """Kubernetes' labels of a pod alone are longer than what is kept of a series' name."""
    many = {f"label_{number:02}": "x" * 40 for number in range(20)}
    pairs = [
        ({"error": "TOPIC_AUTHORIZATION_FAILED", "request": request, "version": version, **many}, 1.0)
        for request in ("Produce", "Fetch")
        for version in ("3", "4")
    ]
    names = [one.series for one in counted(ERRORS, pairs)]
    assert len(set(names)) == 4
    assert max(map(len, names)) <= 500


def test_throttled_users_and_clients_own_counters_have_a_name(north: Cluster, firms: Firms) -> None:
    slow = throttled([
        ({"__name__": "kafka_server_quota_throttle_time", "resource": "Produce", "user": "northgate-feed"}, 80.0),
        ({"__name__": "kafka_server_quota_throttle_time", "resource": "Produce", "user": "northgate-feed", "instance": "b2"}, 9.0),
        ({"__name__": "kafka_server_quota_throttle_time", "resource": "Fetch", "user": "", "clientId": "app"}, 3.0),
        ({"__name__": "kafka_server_quota_throttle_time", "resource": "Fetch"}, None),
    ])  # fmt: skip
    now = timezone.now().timestamp()
    labels = {"__name__": "schema_validation_failures", "client": "Southbank Trading"}
    assert counters_store(cluster=north, found=[], throttled=slow, at=now) == 2
    assert counters_store(cluster=north, found=counted(VALIDATION, [(labels, 1.0)]), throttled=[], at=now) == 1
    rows = set(Rejection.objects.values_list("kind", "client__name", "principal"))
    assert rows == {
        ("quota", "Northgate Capital", "User:northgate-feed"), ("quota", None, ""), ("schema", "Southbank Trading", ""),
    }  # fmt: skip
    assert Finding.objects.get().kind == "schema_rejected"


def test_a_principal_that_two_clients_claim_is_nobodys_and_opens_a_finding(
    north: Cluster, firms: Firms, line: Line
) -> None:
    """Rules name a principal with its type or without: either counts as a claim (interfaces.md 2)."""
    rule = Ownership.objects.create(client=firms["southbank"], kind="principal", glob="northgate-feed")
    lines_ingest(cluster=north, lines=[line(principal="User:northgate-feed"), line(principal="User:southbank-feed")])

    clients = dict(Rejection.objects.values_list("principal", "client__name"))
    assert clients == {"User:northgate-feed": None, "User:southbank-feed": "Southbank Trading"}
    found = Finding.objects.get(kind="ownership_conflict")
    assert (found.entity, found.cluster, found.closed_at) == ("principal User:northgate-feed", north, None)

    rule.delete()
    rejection_owners_apply()
    assert Rejection.objects.get(principal="User:northgate-feed").client == firms["northgate"]
    found.refresh_from_db()
    assert found.closed_at is not None

    Ownership.objects.create(client=firms["southbank"], kind="principal", glob="User:northgate-f*")
    rejection_owners_apply()
    assert Rejection.objects.get(principal="User:northgate-feed").client is None
    assert Finding.objects.filter(kind="ownership_conflict", closed_at=None).count() == 1
