"""What Prometheus gets: the same figures as everybody, nothing that is unknown or stale, in a form its own parser reads."""

import gzip
import re
from collections.abc import Iterable
from datetime import timedelta

import pytest
from django.db.models import F
from django.test import Client
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample
from pytest_django import Settings

from clusters import exporter as clusters_exporter
from clusters.models import Topic
from lag import exporter
from lag.models import ConsumerGroup, GroupTopic, LagState
from ops_portal import web_figures
from tests.api.site import AWKWARD, Site

pytestmark = pytest.mark.django_db


@pytest.fixture
def site() -> Site:
    return Site()


def scrape() -> list[Sample]:
    families = list(text_string_to_metric_families(exporter.exposition().decode()))
    return [sample for family in families for sample in family.samples]


def values(samples: Iterable[Sample], name: str, *labels: str) -> dict[tuple[str, ...], float]:
    found = {tuple(sample.labels[label] for label in labels): sample.value for sample in samples if sample.name == name}
    assert len(found) == sum(sample.name == name for sample in samples), "series repeat"
    return found


def test_exports_lag_per_partition_and_group(site: Site) -> None:
    samples = scrape()

    per_partition = values(samples, "ops_portal_consumer_group_lag", "cluster", "group", "topic", "partition")
    sums = values(samples, "ops_portal_consumer_group_lag_sum", "cluster", "group")
    seconds = values(samples, "ops_portal_consumer_group_lag_seconds", "cluster", "group")
    assert per_partition["north", "ng-audit", "shared", "0"] == 1
    assert sums["north", "ng-audit"] == 2
    assert sums["north", "ng-risk"] == 0
    assert seconds["north", "ng-risk"] == 0
    assert seconds["north", "ng-audit"] > 0
    assert values(samples, "ops_portal_consumer_group_members", "cluster", "group")["north", "ng-risk"] == 1


def test_exports_one_verdict_per_group(site: Site) -> None:
    verdicts = values(scrape(), "ops_portal_consumer_group_verdict", "group", "verdict")

    stored = dict(ConsumerGroup.objects.values_list("name", "verdict"))
    assert verdicts == dict.fromkeys(stored.items(), 1.0)


def test_equals_what_is_stored(site: Site) -> None:
    sums = values(scrape(), "ops_portal_consumer_group_lag_sum", "group")

    stored = ConsumerGroup.objects.filter(lag_records__isnull=False).values_list("name", "lag_records")
    assert sums == {(name,): lag for name, lag in stored}


def test_a_name_with_every_awkward_character_survives_the_parser(site: Site) -> None:
    assert (AWKWARD,) in values(scrape(), "ops_portal_consumer_group_lag_sum", "group")


def test_a_stale_cluster_has_no_lag_series_but_says_that_it_is_stale(site: Site) -> None:
    LagState.objects.update(observed_at=F("observed_at") - timedelta(hours=1))
    ConsumerGroup.objects.update(observed_at=F("observed_at") - timedelta(hours=1))
    site.source_age(3600)

    samples = scrape()

    assert not [sample for sample in samples if sample.name.startswith("ops_portal_consumer_group")]
    assert values(samples, "ops_portal_source_stale", "cluster", "kind")["north", "lag"] == 1


def test_a_group_that_is_stale_by_itself_has_no_series(site: Site) -> None:
    ConsumerGroup.objects.filter(name="ng-audit").update(fresh=False, observed_at=F("observed_at") - timedelta(hours=1))

    groups = {sample.labels.get("group") for sample in scrape()}

    assert "ng-audit" not in groups
    assert "ng-risk" in groups


def test_an_unknown_lag_is_absent_and_not_zero(site: Site) -> None:
    ConsumerGroup.objects.filter(name="ng-audit").update(lag_records=None, unread_since=None, lag_seconds_method="")

    samples = scrape()

    assert ("ng-audit",) not in values(samples, "ops_portal_consumer_group_lag_sum", "group")
    assert ("ng-audit",) not in values(samples, "ops_portal_consumer_group_lag_seconds", "group")


def test_sources_tell_their_age_and_the_length_of_the_newest_poll(site: Site) -> None:
    site.source_age(3)
    site.poll_run(seconds=0.25)

    samples = scrape()

    assert values(samples, "ops_portal_source_age_seconds", "cluster", "kind")["north", "lag"] == pytest.approx(
        3, abs=1
    )
    assert values(samples, "ops_portal_source_stale", "cluster", "kind")["north", "lag"] == 0
    assert values(samples, "ops_portal_poll_duration_seconds", "cluster", "kind")["north", "lag"] == 0.25


def test_kafka_exporter_names_only_on_request(site: Site, settings: Settings) -> None:
    assert not [sample for sample in scrape() if sample.name.startswith("kafka_")]

    settings.METRICS_KAFKA_EXPORTER_NAMES = True
    samples = scrape()

    own = values(samples, "ops_portal_consumer_group_lag", "group", "topic", "partition")
    assert values(samples, "kafka_consumergroup_lag", "consumergroup", "topic", "partition") == own
    offsets = values(samples, "kafka_consumergroup_current_offset", "consumergroup", "topic", "partition")
    assert offsets["ng-audit", "shared", "0"] == 19
    assert values(samples, "kafka_topic_partitions", "topic")["shared",] == 2
    assert {sample.name for sample in samples} <= set(exporter.METRICS) | set(exporter.KAFKA_EXPORTER_METRICS)


def test_every_series_has_the_labels_that_are_documented(site: Site, settings: Settings) -> None:
    settings.METRICS_KAFKA_EXPORTER_NAMES = True
    site.source_age(3)
    site.poll_run(seconds=0.25)
    text = (settings.BASE_DIR / "docs" / "metrics.md").read_text(encoding="utf-8")
    told = {
        name: {label.strip() for label in labels.split(",")}
        for name, labels in re.findall(r"^\| `(\w+)` \| ([a-z_, ]+) \|", text, re.MULTILINE)
    }
    body = (exporter.exposition() + clusters_exporter.exposition() + web_figures.exposition()).decode()
    found: dict[str, set[str]] = {}
    for family in text_string_to_metric_families(body):
        for sample in family.samples:
            name = family.name if family.type == "histogram" else sample.name
            found.setdefault(name, set()).update(set(sample.labels) - {"le"})

    assert set(found) <= set(told)
    assert found == {name: told[name] for name in found}
    of_the_pool = {name for name in told if name.startswith("ops_portal_web_database")}  # tests have none
    assert set(told) - set(found) <= of_the_pool


def test_asks_for_its_token(site: Site, settings: Settings) -> None:
    settings.METRICS_TOKEN = "scrape me"

    assert Client().get("/metrics").status_code == 401
    assert Client().get("/metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401
    answer = Client().get("/metrics", headers={"Authorization": "Bearer scrape me"})
    assert answer.status_code == 200
    assert answer["Content-Type"] == exporter.CONTENT_TYPE


@pytest.mark.parametrize(
    ("demo", "host", "address", "proxies", "status"),
    [
        (True, "127.0.0.1", "127.0.0.1", 0, 200),
        (True, "127.0.0.1", "::1", 0, 200),
        (False, "127.0.0.1", "127.0.0.1", 0, 401),
        (True, "0.0.0.0", "127.0.0.1", 0, 401),
        (True, "127.0.0.1", "203.0.113.7", 0, 401),
        (True, "127.0.0.1", "127.0.0.1", 1, 401),
    ],
)
def test_is_open_without_a_token_on_loopback_in_demo_mode_only(
    settings: Settings, demo: bool, host: str, address: str, proxies: int, status: int
) -> None:
    settings.DEMO, settings.HOST, settings.TRUSTED_PROXIES, settings.METRICS_TOKEN = demo, host, proxies, ""

    assert Client(REMOTE_ADDR=address).get("/metrics").status_code == status


def test_compresses_for_whoever_asks(site: Site, settings: Settings) -> None:
    settings.METRICS_TOKEN = "scrape me"
    headers = {"Authorization": "Bearer scrape me", "Accept-Encoding": "gzip"}

    answer = Client().get("/metrics", headers=headers)

    assert answer["Content-Encoding"] == "gzip"
    assert b"ops_portal_consumer_group_lag" in gzip.decompress(answer.content)


def test_a_removed_cluster_is_gone(site: Site) -> None:
    site.cluster.removed_at = F("created_at")
    site.cluster.save()

    assert scrape() == []


def test_asks_the_database_a_fixed_number_of_questions(site: Site, django_assert_num_queries: object) -> None:
    assert GroupTopic.objects.count() > 4
    assert Topic.objects.count() > 1
    with django_assert_num_queries(5):  # type: ignore[operator]  # a fixture without a public type
        exporter.exposition()
