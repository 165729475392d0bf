"""Clusters, sources and findings: what is written, by whom, and what listeners hear."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.management import CommandError, call_command
from django.db import transaction

from accounts.models import AuditEntry, Client, User
from accounts.policies import Scope, Sight
from accounts.roles import Role
from clusters import selectors, services
from clusters.models import Cluster, Finding, Source
from clusters.news import finding_closed, finding_opened
from clusters.properties import Properties
from clusters.services import schedule
from clusters.services.clusters import Filters
from clusters.states import SourceState
from ops_portal.lib.kafka_runner import free_ports
from tests.clusters.conftest import KIND, Probe

pytestmark = pytest.mark.django_db(transaction=True)

SRE = Sight(Role.SRE, Scope(everything=True))
CANARY = "canary-5f1d"


def viewer(client: Client) -> Sight:
    return Sight(Role.CLIENT, Scope(everything=False, client_ids=frozenset({client.pk})))


@pytest.fixture
def admin() -> User:
    return User.objects.create(username="ada", role=Role.ADMIN)


def add(name: str = "meridian", **options: Any) -> Cluster:
    return services.cluster_add(**({"name": name, "bootstrap": "127.0.0.1:1", "acting_user": None} | options))


# --- clusters ---------------------------------------------------------------------------------------------------------


def test_a_new_cluster_gets_a_source_of_every_kind_and_an_audit_row(probe: Probe, admin: User) -> None:
    secret = Properties({"security.protocol": "SASL_SSL"}, {"sasl.password": CANARY})
    cluster = add(properties=secret, acting_user=admin)
    assert {source.kind for source in cluster.sources.all()} >= {"lag", KIND}
    row = AuditEntry.objects.get(action="clusters.cluster_added")
    assert row.after is not None
    assert (row.actor, row.entity, row.after["secrets"]) == (admin, "cluster meridian", ["sasl.password"])
    assert CANARY not in str(AuditEntry.objects.values())


@pytest.mark.parametrize(
    ("given", "field"),
    [
        ({"name": "Upper"}, "name"),
        ({"name": ""}, "name"),
        ({"name": "a\n"}, "name"),
        ({"bootstrap": "nowhere"}, "bootstrap"),
        ({"prometheus_url": "ftp://x"}, "prometheus_url"),
        ({"prometheus_url": "http://user:pass@x"}, "prometheus_url"),
        ({"controllers": "x"}, "controllers"),
        ({"filters": Filters(group_allow=("x" * 300,))}, "group_allow"),
    ],
)
def test_what_cannot_be_a_cluster_names_its_field(given: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        add(**given)
    assert field in refused.value.message_dict
    assert not Cluster.objects.exists()


def test_a_name_is_taken_while_its_cluster_is_watched() -> None:
    first = add()
    with pytest.raises(ValidationError):
        add()
    services.cluster_remove(cluster=first, acting_user=None)
    assert add().pk != first.pk
    assert [cluster.name for cluster in selectors.clusters_visible(SRE)] == ["meridian"]


def test_a_change_raises_the_version_keeps_secrets_and_closes_the_breaker() -> None:
    cluster = add(properties=Properties({}, {"sasl.password": CANARY}))
    Source.objects.filter(cluster=cluster).update(breaker_state="open")
    changed = services.cluster_change(
        cluster=cluster, bootstrap="127.0.0.1:2", properties=Properties({"client.id": "x"}), prometheus_url="", controllers="",
        filters=Filters(group_deny=("tmp-*", " ", "tmp-*")), acting_user=None,
    )  # fmt: skip
    assert (changed.bootstrap, changed.configuration_version, changed.group_deny) == ("127.0.0.1:2", 2, ["tmp-*"])
    assert list(changed.secrets) == ["sasl.password"]
    assert set(Source.objects.values_list("breaker_state", flat=True)) <= {"closed"}


def test_a_removed_cluster_is_polled_and_shown_no_more_and_its_findings_close(probe: Probe) -> None:
    cluster = add()
    services.finding_open(dedupe_key="x", kind="slo", severity="warning", entity="g", title="Late", cluster=cluster)
    services.cluster_remove(cluster=cluster, acting_user=None)
    assert selectors.sources(SRE, "meridian") == []
    assert Finding.objects.get().closed_at is not None
    sent: list[int] = []
    schedule.sources_enqueue(send=lambda source_id, slot: sent.append(source_id))
    assert sent == [probe.source.pk]


# --- sources ----------------------------------------------------------------------------------------------------------


def test_a_due_source_is_sent_once_per_slot(probe: Probe) -> None:
    sent: list[tuple[int, int]] = []
    for _ in range(2):
        schedule.sources_enqueue(send=lambda source_id, slot: sent.append((source_id, slot)))
    assert sent == [(probe.source.pk, probe.slot())]


def test_a_slot_that_could_not_be_sent_is_sent_again(probe: Probe) -> None:
    def lost(source_id: int, slot: int) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        schedule.sources_enqueue(send=lost)
    sent: list[int] = []
    schedule.sources_enqueue(send=lambda source_id, slot: sent.append(source_id))
    assert sent == [probe.source.pk]


def test_another_period_counts_slots_anew(probe: Probe) -> None:
    Source.objects.update(claimed_slot=probe.slot(), enqueued_slot=probe.slot())
    services.source_change(source=probe.source, period_seconds=3600, enabled=True, acting_user=None)
    sent: list[int] = []
    schedule.sources_enqueue(send=lambda source_id, slot: sent.append(source_id))
    assert sent == [probe.source.pk]
    with pytest.raises(ValidationError):
        services.source_change(source=probe.source, period_seconds=0, enabled=True, acting_user=None)


def test_old_runs_are_deleted_and_new_ones_kept(probe: Probe) -> None:
    new = probe.source.runs.create(slot=2)
    old = probe.source.runs.create(slot=1)
    probe.source.runs.filter(pk=old.pk).update(started_at="2020-01-01T00:00:00Z")
    assert schedule.poll_runs_prune() == 1
    assert list(probe.source.runs.all()) == [new]


def test_sources_are_for_those_with_the_right(probe: Probe) -> None:
    client = Client.objects.create(name="Northgate Capital")
    assert [row.state for row in selectors.sources(SRE)] == [SourceState.WAITING]
    assert selectors.sources(viewer(client)) == []
    assert selectors.source_runs(viewer(client), probe.source.pk) == []


def test_the_state_of_a_source_follows_its_row(probe: Probe) -> None:
    def state(**fields: Any) -> SourceState:
        Source.objects.filter(pk=probe.source.pk).update(**fields)
        return selectors.sources(SRE)[0].state

    now = probe.source.cluster.created_at
    assert state(last_success_at=now) is SourceState.OK
    assert (
        state(entity_errors=[{"entity": "group:a", "code": "timeout", "message": "", "since": None}])
        is SourceState.PARTIAL
    )
    assert state(last_success_at="2020-01-01T00:00:00Z") is SourceState.STALE
    assert state(last_error="No answer.") is SourceState.FAILED
    assert state(enabled=False) is SourceState.DISABLED


# --- findings ---------------------------------------------------------------------------------------------------------


@pytest.fixture
def heard() -> Iterator[list[str]]:
    news: list[str] = []

    def opened(finding: Finding, **_: Any) -> None:
        news.append(f"opened {finding.dedupe_key}")

    def closed(finding: Finding, **_: Any) -> None:
        news.append(f"closed {finding.dedupe_key}")

    finding_opened.connect(opened)
    finding_closed.connect(closed)
    yield news
    finding_opened.disconnect(opened)
    finding_closed.disconnect(closed)


def find(key: str = "slo:1", title: str = "Late", client: Client | None = None) -> Finding:
    return services.finding_open(
        dedupe_key=key,
        kind="slo",
        severity="critical",
        entity="group:risk",
        title=title,
        inputs={"lag": 5},
        client=client,
    )


def test_a_finding_is_open_once_and_heard_once_each_way(heard: list[str]) -> None:
    first = find()
    again = find(title="Later")
    assert (again.pk, again.title, again.inputs) == (first.pk, "Later", {"lag": 5})
    assert services.finding_touch(dedupe_key="slo:1")
    assert services.finding_close(dedupe_key="slo:1") is not None
    assert services.finding_close(dedupe_key="slo:1") is None
    assert not services.finding_touch(dedupe_key="slo:1")
    assert find().pk != first.pk
    assert heard == ["opened slo:1", "closed slo:1", "opened slo:1"]


def test_nothing_is_heard_of_a_finding_that_was_rolled_back(heard: list[str]) -> None:
    with transaction.atomic():
        find()
        transaction.set_rollback(True)
    assert heard == []
    assert not Finding.objects.exists()


def test_findings_are_scoped_to_the_clients_of_the_user() -> None:
    ours, theirs = Client.objects.create(name="Northgate Capital"), Client.objects.create(name="Meridian Trust")
    find("a", client=ours)
    find("b", client=theirs)
    find("c")
    assert selectors.findings(SRE).count() == 3
    manager = Sight(Role.SRE, Scope(everything=False, client_ids=frozenset({ours.pk})))
    assert [row.dedupe_key for row in selectors.findings(manager)] == ["a"]
    assert not selectors.findings(viewer(ours)).exists()


# --- commands ---------------------------------------------------------------------------------------------------------


def test_a_cluster_that_does_not_answer_is_added_offline_only(capsys: pytest.CaptureFixture[str]) -> None:
    (port,) = free_ports(1)
    address = f"127.0.0.1:{port}"
    with pytest.raises(CommandError, match="--offline"):
        call_command("add_cluster", "meridian", "--bootstrap", address)
    assert not Cluster.objects.exists()
    call_command("add_cluster", "meridian", "--bootstrap", address, "--offline")
    assert Cluster.objects.get().bootstrap == address
    told = capsys.readouterr()
    assert f"Nothing listens at {address} (connection refused). (refused)" in told.err
    assert "Added cluster meridian." in told.out


def test_a_secret_on_the_command_line_is_refused() -> None:
    with pytest.raises(CommandError, match="--properties-file") as refused:
        call_command("add_cluster", "meridian", "--bootstrap", "a:1", "--property", f"sasl.password={CANARY}")
    assert CANARY not in str(refused.value)


def test_a_missing_file_and_a_wrong_property_are_told() -> None:
    with pytest.raises(CommandError, match="cannot be read"):
        call_command("add_cluster", "meridian", "--bootstrap", "a:1", "--properties-file", "/no/such/file")
    with pytest.raises(CommandError, match="cannot be set here"):
        call_command("add_cluster", "meridian", "--bootstrap", "a:1", "--property", "plugin.library.paths=/x")


def test_removal_asks_for_the_name(monkeypatch: pytest.MonkeyPatch) -> None:
    add()
    monkeypatch.setattr("builtins.input", lambda _: "other")
    with pytest.raises(CommandError, match="Nothing was removed"):
        call_command("remove_cluster", "meridian")
    monkeypatch.setattr("builtins.input", lambda _: "meridian")
    call_command("remove_cluster", "meridian")
    assert not selectors.clusters_visible(SRE).exists()
    with pytest.raises(CommandError, match="no cluster"):
        call_command("remove_cluster", "meridian")
