"""What a person tells of a cluster's health: `manage.py set_health`, what it refuses, and what follows from it."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from accounts.models import AuditEntry
from clusters.models import Cluster, ClusterHealth, HealthSettings
from ops_portal.lib.clock import as_datetime

pytestmark = pytest.mark.django_db

QUERY = {
    "name": "rest-p99",
    "title": "REST p99",
    "query": "max(rest_p99)",
    "unit": "ms",
    "warn": 100,
    "critical": 500.5,
}


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.objects.create(name="north", bootstrap="broker-1:9092")


def given(tmp_path: Path, content: Any) -> str:
    path = tmp_path / "rest.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return str(path)


def test_everything_can_be_told_at_once(cluster: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    call_command(
        "set_health", "north", "--label", "kafka=north", "--label", "dc=a", "--host-label", "rack=7",
        "--canary-topic", "ops-canary", "--rest-queries", given(tmp_path, [QUERY]),
    )  # fmt: skip

    found = HealthSettings.objects.get(cluster=cluster)
    assert (found.matchers, found.host_matchers) == ({"kafka": "north", "dc": "a"}, {"rack": "7"})
    assert (found.canary_topic, found.rest_queries) == ("ops-canary", [QUERY])
    assert "north" in capsys.readouterr().out
    entry = AuditEntry.objects.get(action="clusters.health_settings_changed")
    assert [(found or {})["canary_topic"] for found in (entry.before, entry.after)] == ["", "ops-canary"]


def test_what_is_not_told_stays_and_an_empty_value_takes_back(cluster: Cluster) -> None:
    call_command("set_health", "north", "--label", "kafka=north", "--canary-topic", "ops-canary")
    call_command("set_health", "north", "--host-label", "rack=7")
    found = HealthSettings.objects.get(cluster=cluster)
    assert (found.matchers, found.canary_topic) == ({"kafka": "north"}, "ops-canary")

    call_command("set_health", "north", "--label", "", "--canary-topic", "")
    found.refresh_from_db()
    assert (found.matchers, found.host_matchers, found.canary_topic) == ({}, {"rack": "7"}, "")


def test_the_words_of_the_exporter_are_found_out_anew(cluster: Cluster) -> None:
    ClusterHealth.objects.create(cluster=cluster, dialect="jmx", detected_at=as_datetime(1.0))
    call_command("set_health", "north", "--label", "kafka=north")

    health = ClusterHealth.objects.get(cluster=cluster)
    assert (health.dialect, health.detected_at) == ("", None)


def test_a_call_that_changes_nothing_leaves_no_entry_in_the_audit(cluster: Cluster) -> None:
    for _ in range(2):
        call_command("set_health", "north", "--canary-topic", "ops-canary")

    assert AuditEntry.objects.filter(action="clusters.health_settings_changed").count() == 1


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--label", "kafka"], "'kafka' is not NAME=VALUE"),
        (["--label", "1st=north"], "no name of a label"),
        (["--label", "kafka=~north.*"], "needs a plain value"),
        (["--label", "kafka="], "needs a plain value"),
        (["--canary-topic", "a b"], "no name of a topic"),
        (["--canary-topic", ".."], "no name of a topic"),
        (["--canary-topic", "x" * 250], "no name of a topic"),
        (["--rest-queries", "/nowhere/rest.json"], "cannot be read"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_kept(cluster: Cluster, options: list[str], says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("set_health", "north", "--host-label", "rack=7", *options)

    assert not HealthSettings.objects.exists()


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("[", "cannot be read"),
        ({"name": "x"}, "not a list of objects"),
        (["x"], "not a list of objects"),
        ([QUERY | {"name": "REST p99"}], "a name of lower-case words"),
        ([QUERY | {"query": " "}], "a name of lower-case words"),
        ([QUERY | {"query": "x" * 4001}], "at most 4,000 characters"),
        ([QUERY, QUERY | {"name": "b", "warn": "much"}], "thresholds of b are numbers"),
    ],
)
def test_queries_that_make_no_sense_are_refused(cluster: Cluster, tmp_path: Path, content: Any, says: str) -> None:
    with pytest.raises(CommandError, match=says):
        call_command("set_health", "north", "--rest-queries", given(tmp_path, content))

    assert not HealthSettings.objects.exists()


@pytest.mark.parametrize("name", ["south", "gone"])
def test_a_cluster_that_is_not_there_is_named(cluster: Cluster, name: str) -> None:
    Cluster.objects.create(name="gone", bootstrap="broker-1:9092", removed_at=as_datetime(1.0))
    with pytest.raises(CommandError, match=f"no cluster {name}"):
        call_command("set_health", name, "--canary-topic", "ops-canary")
