"""What people, shippers and files bring that no database can hold: it is refused by name or cleaned, and stops nothing."""

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import redis
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client
from django.utils import timezone

from clusters.chains import Certificate as Facts
from clusters.chains.links import may_have_issued
from clusters.load_tests.states import Via
from clusters.models import Certificate, Cluster, Rejection, RejectionFeed, SchemaOffer, ServiceKey
from clusters.services import certificates
from clusters.services.load_tests import found_at, load_test_begin, load_test_read
from clusters.services.rejections import lines_ingest
from ops_portal.lib.live import publish, snapshots, views
from ops_portal.lib.live.views import Params, Snapshot, View
from tests.accounts.factories import make_user
from tests.api.conftest import call_as
from tests.api.site import Site
from tests.clusters.certificates.make import leaf, root
from tests.clusters.rejections.conftest import Firms, Line, firms, line, north
from tests.security.routes import ROUTES
from tests.security.test_matrix import Person, watcher

__all__ = ["call_as", "firms", "line", "north"]

pytestmark = pytest.mark.django_db
LOG, REPORTS = "/api/v1/ingest/authorizer-log", "/api/v1/ingest/rejections"
NUL = "northgate\0"
TRACES = b"timestamp,latency_ms\n1750000000,1\n1750000001,2\n"


# --- live views ---
@pytest.mark.parametrize(
    ("view", "params"),
    [
        ("clusters.rejections", {"cluster": NUL}),
        ("clusters.certificates", {"cluster": NUL}),
        ("clusters.health", {"cluster": NUL}),
        ("ops.sources", {"cluster": NUL}),
        ("lag.board", {"cluster": "north", "client": [NUL]}),
        ("lag.group", {"cluster": "north", "group": NUL}),
    ],
)
def test_a_view_is_never_watched_under_a_name_that_cannot_be_asked_for(view: str, params: Params) -> None:
    with pytest.raises(ValueError, match="character"):
        views.authorise(view, watcher(make_user("sre")), params)


@pytest.fixture
def half_broken(valkey: redis.Redis) -> Any:
    """Five keys of a view that somebody watches, of which one cannot be read."""

    def snapshot(scope: str, params: Params) -> Snapshot:
        if params["number"] == 2:
            raise ValueError("this one fails")
        return Snapshot({"k": [params["number"]]}, 1000.0)

    view = View(
        name="test.half_broken", columns=("a",), parse_params=dict, scope=lambda watcher, params: "all",
        snapshot=snapshot, period_seconds=lambda params: 5.0,
    )  # fmt: skip
    publish.forget()
    views.register(view)
    snapshots.watch([views.key_for(view, {"number": number}, "all") for number in range(5)])
    yield view
    views.unregister(view.name)


def test_a_view_that_one_person_breaks_goes_on_for_everybody_else(half_broken: View) -> None:
    assert publish.publish_changed(half_broken.name) == 4


# --- what shippers and gateways bring ---
@pytest.mark.parametrize("skew", ["nan", "inf", "-inf", "1e300", "-1e300"])
def test_a_sender_s_clock_that_is_no_time_moves_nothing(
    call_as: Callable[..., Any], north: Cluster, line: Line, skew: str
) -> None:
    answer = call_as("sre").post(f"{LOG}?cluster=north&sent_at={skew}", line(), content_type="text/plain")
    assert (answer.status_code, answer.json()["rejections"]) == (200, 1)
    assert abs((Rejection.objects.get().last_at - timezone.now()).total_seconds()) < 60


@pytest.mark.parametrize("stamp", [-99_999_999_999_999, -1e308, 1e308, "0001-01-01T00:00:00+14:00"])
def test_a_line_of_a_time_before_all_times_counts_as_now(north: Cluster, line: Line, stamp: object) -> None:
    assert lines_ingest(cluster=north, lines=[json.dumps({"timestamp": stamp, "message": line()})]).rejections == 1
    assert abs((Rejection.objects.get().last_at - timezone.now()).total_seconds()) < 60


def test_an_unreadable_line_with_nul_does_not_hold_up_its_file(
    call_as: Callable[..., Any], north: Cluster, line: Line
) -> None:
    cut = line()[:90]
    body = json.dumps({"message": f"{cut}\0"})
    address = f"{LOG}?cluster=north&stream=a&start=0&end=10"
    answer = call_as("sre").post(address, body, content_type="application/x-ndjson")
    assert (answer.status_code, answer.json()["unread"], answer.json()["position"]) == (200, 1, 10)
    assert RejectionFeed.objects.get().unread_line == cut


def test_a_position_beyond_all_files_is_refused_by_name(call_as: Callable[..., Any], north: Cluster) -> None:
    answer = call_as("sre").post(f"{LOG}?cluster=north&stream=a&start=0&end={10**30}", "", content_type="text/plain")
    assert (answer.status_code, list(answer.json()["fields"])) == (422, ["end"])
    assert not RejectionFeed.objects.exists()


def test_a_report_is_kept_whatever_its_texts_hold(call_as: Callable[..., Any], north: Cluster, firms: Firms) -> None:
    report = {
        "kind": "schema", "cluster": "north", "subject": "northgate-orders\0-value", "offered_schema": '{"type"\0: "int"}',
        "schema_type": "AV\0RO", "client": "Northgate Capital\0", "at": "0001-01-01T00:00:00+14:00",
    }  # fmt: skip
    caller = call_as("sre")
    assert caller.post(REPORTS, {"rejections": [report]}, content_type="application/json").status_code == 200
    row, offer = Rejection.objects.get(), SchemaOffer.objects.get()
    assert (row.subject, row.client, row.count) == ("northgate-orders-value", firms["northgate"], 1)
    assert (offer.subject, offer.client_id, offer.schema_type) == (row.subject, row.client_id, "AVRO")
    report["cluster"] = "north\0"
    refused = caller.post(REPORTS, {"rejections": [report]}, content_type="application/json")
    assert (refused.status_code, list(refused.json()["fields"])) == (422, ["cluster"])


# --- keys ---
@pytest.mark.parametrize(
    ("field", "value"),
    [("name", NUL), ("version", NUL), ("owner", NUL), ("client", NUL), ("rotated_at", "0001-01-01T00:00:00+14:00")],
)
def test_a_key_that_cannot_be_kept_is_refused_by_name(
    call_as: Callable[..., Any], north: Cluster, field: str, value: str
) -> None:
    """A time before the year 1 of UTC is stored and can never be read again, by any page."""
    body = {"name": "payments", "rotated_at": "2026-01-01T00:00:00Z", field: value}
    answer = call_as("sre").post("/api/v1/clusters/north/keys", body, content_type="application/json")
    assert (answer.status_code, list(answer.json()["fields"])) == (422, [field])
    assert not ServiceKey.objects.exists()


# --- files ---
@pytest.mark.parametrize(("field", "value"), [("cluster", NUL), ("threshold", "m{a\0b}: p95<10")])
def test_a_load_test_under_a_name_that_cannot_be_is_refused_by_name(
    call_as: Callable[..., Any], client: Client, valkey: redis.Redis, field: str, value: str
) -> None:
    file = SimpleUploadedFile("traces.csv", TRACES)
    client.force_login(make_user("sre", "sre"))
    page = client.post("/load-tests/import", {"files": file, field: value}, headers={"Accept": "application/json"})
    file.seek(0)
    answer = call_as("sre").post("/api/v1/load-tests", {"files": file, field: value})
    assert (page.status_code, list(page.json()["fields"])) == (422, [field])
    assert (answer.status_code, list(answer.json()["fields"])) == (422, [field])


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("broker-metrics.txt", 'up{job="kafka"} 1\n'.encode("utf-16")),  # as PowerShell writes it
        ("broker-metrics.txt", b'up{job="kafka\0"} 1\n'),
        ("broker-1-cpu.csv", b"timestamp,cpu\n1750000000,1e308\n1750000000,1e308\n"),
        ("replication-lag.csv", b"timestamp,lag_ms\n0001-01-01T00:00:00+14:00,5\n"),
        ("summary.json", b'{"metrics": {"a\\u0000": {"type": "trend", "values": {"avg": 1, "p(95)\\u0000": 1}}}}'),
        ("summary.json", b'{"metrics": {"a": {"values": {"avg": 1}}}, "state": {"testRunDurationMs": 1e300}}'),
    ],
)
def test_a_hostile_file_costs_a_load_test_none_of_the_others(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / "traces.csv").write_bytes(TRACES)
    (tmp_path / name).write_bytes(content)
    row = load_test_begin(
        name="x", cluster=None, thresholds=["p95<10"], acting_user=None, via=Via.COMMAND, send=None,
        files=[found_at(path) for path in tmp_path.iterdir()],
    )  # fmt: skip
    load_test_read(pk=row.pk)
    row.refresh_from_db()
    assert (row.status, row.error) == ("done", "")
    assert row.verdicts[0]["verdict"] == "kept"


def test_a_certificate_with_nul_in_its_names_is_kept_and_stays_another_than_the_name_without(north: Cluster) -> None:
    """The old trick: who stops reading at NUL takes it for the bank's."""
    made = leaf(None, "bank.example\0.evil.example", dns=["bank.example\0.evil.example"])
    certificates.file_upload(cluster=north, name="x.pem", data=made.pem, password="", trusted=False, acting_user=None)
    row = Certificate.objects.get()
    assert row.common_name == "bank.example\ufffd.evil.example"
    assert row.facts["names"] == ["bank.example\ufffd.evil.example"]


def test_the_work_of_a_bundle_grows_with_its_certificates_and_not_with_their_square(
    north: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked: list[int] = []

    def counted(issuer: Facts, child: Facts) -> bool:
        looked.append(1)
        return may_have_issued(issuer, child)

    for module in ("clusters.chains.judge", "clusters.services.certificates.keep"):
        monkeypatch.setattr(sys.modules[module], "may_have_issued", counted)
    top, own = root(), root("kafka-0")
    data = b"".join(leaf(top, f"kafka-{number}").pem for number in range(60))
    certificates.file_upload(
        cluster=north, name="x.pem", data=top.pem + own.pem + data, password="", trusted=False, acting_user=None
    )
    assert Certificate.objects.exclude(parent="").count() == 60
    assert len(looked) < 60 * 20


# --- addresses ---
_FIELDS = (
    "q", "client", "cluster", "state", "verdict", "sort", "cursor", "from", "to", "page", "shown", "id", "kind",
    "topic", "partition", "range", "period", "actor", "action", "entity", "limit", "severity", "band", "host", "step",
    "name", "next", "until",
)  # fmt: skip


@pytest.mark.parametrize("value", ["%00", "9" * 30])
def test_no_value_in_an_address_is_an_error_of_ours(value: str, valkey: redis.Redis) -> None:
    site = Site()
    person = Person(site.users["admin"])
    query = "&".join(f"{name}={value}" for name in _FIELDS)
    failed = [
        name
        for name, route in ROUTES.items()
        if not route.post and (route.own or not route.absent)
        if person.call(name, route.own(site) if route.own else None, route, query).status_code >= 500
    ]
    assert failed == []
