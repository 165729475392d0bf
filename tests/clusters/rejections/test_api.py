"""Rejections over HTTP: who may bring them in, who sees which, and what a wrong request is told."""

import base64
from typing import Any

import pytest
from django.db import connection
from django.test import Client

from clusters.gateways.registry import Registry, RegistryFailed
from clusters.models import Cluster, Rejection, SchemaOffer, SchemaSubject
from clusters.rejections.types import Kind, Rejected
from clusters.secrets import unseal_all
from clusters.selectors.schemas import subject_offers, subject_rejections
from clusters.services.clusters import cluster_remove, secrets_rotate
from clusters.services.rejections import Report, lines_ingest, rejections_ingest
from clusters.services.schemas import registry_set
from tests.accounts.factories import make_user
from tests.clusters.rejections.conftest import Firms, Line

pytestmark = pytest.mark.django_db
LOG, REPORTS = "/api/v1/ingest/authorizer-log", "/api/v1/ingest/rejections"


def send(caller: Any, address: str, body: Any, kind: str = "application/json") -> Any:
    return caller.post(address, body, content_type=kind)


def test_lines_come_in_as_text_and_are_listed(call_as: Any, north: Cluster, firms: Firms, line: Line) -> None:
    caller = call_as("sre")
    answer = send(caller, f"{LOG}?cluster=north&batch=1", f"{line()}\n{line()}\nother line\n", "text/plain")
    assert (answer.status_code, answer.json()) == (
        200, {"taken": True, "position": None, "lines": 3, "rejections": 2, "passed": 1, "unread": 0},
    )  # fmt: skip
    assert send(caller, f"{LOG}?cluster=north&batch=1", line(), "text/plain").json()["taken"] is False
    (item,) = caller.get("/api/v1/rejections").json()["items"]
    assert set(item) == {
        "id", "kind", "client", "principal", "cluster", "topic", "subject", "host", "listener", "operation", "rule", "fix",
        "count", "first_at", "last_at",
    }  # fmt: skip
    assert (item["kind"], item["client"], item["topic"], item["count"], item["subject"]) == (
        "acl", "Northgate Capital", "northgate-orders", 2, None,
    )  # fmt: skip


@pytest.mark.parametrize("role", ["client", "account-manager", "oncall", "lead"])
def test_only_who_may_bring_them_in_does(call_as: Any, north: Cluster, role: str, line: Line) -> None:
    caller = call_as(role)
    assert send(caller, f"{LOG}?cluster=north", line(), "text/plain").status_code == 403
    assert send(caller, REPORTS, {"rejections": [{"kind": "acl"}]}).status_code == 403
    assert not Rejection.objects.exists()


def test_a_client_s_people_get_their_own_only(call_as: Any, north: Cluster, firms: Firms, line: Line) -> None:
    """Somebody else's attempt on the own topic is that somebody's; what is nobody's is for people who see all."""
    lines_ingest(cluster=north, lines=[line(), line(principal="User:southbank-app"), line(principal="User:stranger")])
    caller = call_as("client", [firms["northgate"]])
    body = caller.get("/api/v1/rejections").json()
    assert (body["total"], [item["principal"] for item in body["items"]]) == (1, ["User:northgate-feed"])
    for query in ("q=southbank", "client=Southbank+Trading", "q=stranger"):
        assert caller.get(f"/api/v1/rejections?{query}").json()["total"] == 0
    assert call_as("sre").get("/api/v1/rejections").json()["total"] == 3


def test_reports_bring_the_offered_schema(call_as: Any, north: Cluster, firms: Firms) -> None:
    report = {
        "kind": "schema", "cluster": "north", "subject": "northgate-trades-value", "rule": "field price is missing",
        "count": 12, "offered_schema": '{"type": "string"}', "client": "Southbank Trading",
    }  # fmt: skip
    answer = send(call_as("admin"), REPORTS, {"batch": "r1", "rejections": [report, {"kind": "quota"}]})
    assert answer.json()["rejections"] == 13
    assert Rejection.objects.get(kind="schema").client == firms["southbank"]
    assert SchemaOffer.objects.get().schema == '{"type": "string"}'


@pytest.mark.parametrize(
    ("address", "body", "kind", "status", "said"),
    [
        (f"{LOG}?cluster=nowhere", "x", "text/plain", 422, "cluster"),
        (LOG, "x", "text/plain", 422, "cluster"),
        (f"{LOG}?cluster=north&time_zone=Mars/Olympus", "x", "text/plain", 422, "time_zone"),
        (f"{LOG}?cluster=north&time_zone=../etc/passwd", "x", "text/plain", 422, "time_zone"),
        (f"{LOG}?cluster=north&stream=s&start=9&end=3", "x", "text/plain", 422, "end"),
        (f"{LOG}?cluster=north", "{", "application/json", 400, "JSON"),
        (REPORTS, "{", "application/json", 400, "JSON"),
        (REPORTS, "[]", "application/json", 400, "JSON"),
        (REPORTS, {"rejections": []}, "application/json", 422, "rejections"),
        (REPORTS, {"rejections": [{"kind": "magic"}]}, "application/json", 422, "rejections.0.kind"),
        (REPORTS, {"rejections": [{"kind": "acl", "colour": "red"}]}, "application/json", 422, "rejections.0.colour"),
        (REPORTS, {"rejections": [{"kind": "acl", "count": 0}]}, "application/json", 422, "rejections.0.count"),
        (REPORTS, {"rejections": [{"kind": "acl", "cluster": "nowhere"}]}, "application/json", 422, "cluster"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_what_is_wrong(
    call_as: Any,
    north: Cluster,
    address: str,
    body: Any,
    kind: str,
    status: int,
    said: str,
) -> None:
    answer = send(call_as("sre"), address, body, kind)
    assert answer.status_code == status
    assert said in answer.content.decode()
    assert not Rejection.objects.exists()


@pytest.mark.parametrize(
    ("query", "principals"),
    [
        ("kind=acl", 3), ("kind=schema", 0), ("q=SOUTHBANK", 1), ("from=-1h", 3), ("to=-1d", 0), ("limit=1", 3),
        ("sort=principal", 3), ("sort=-count&limit=2", 3),
    ],
)  # fmt: skip
def test_filters_and_pages(
    call_as: Any,
    north: Cluster,
    line: Line,
    query: str,
    principals: int,
) -> None:
    lines_ingest(cluster=north, lines=[line(principal=f"User:{name}-a") for name in ("northgate", "southbank", "x")])
    caller, found = call_as("sre"), 0
    cursor: str | None = ""
    while cursor is not None:
        body = caller.get(f"/api/v1/rejections?{query}&cursor={cursor}").json()
        found += len(body["items"])
        cursor = body["next_cursor"]
    assert found == body["total"] == principals


def test_a_registry_s_password_is_sealed_and_sealed_anew(north: Cluster, settings: Any) -> None:
    registry = registry_set(
        cluster=north, url="http://127.0.0.1:9", username="reader", password="open sesame", acting_user=None
    )  # fmt: skip
    assert "open sesame" not in str(registry.secrets)
    fresh = base64.urlsafe_b64encode(b"k" * 32).decode()
    settings.FIELD_KEYS = [f"fresh:{fresh}", *settings.FIELD_KEYS]
    assert secrets_rotate() == 2
    registry.refresh_from_db()
    assert {text.partition(":")[0] for text in registry.secrets.values()} == {"fresh"}
    assert unseal_all(registry.secrets, table="clusters_schemaregistry", pk=registry.pk)["password"] == "open sesame"
    cluster_remove(cluster=north, acting_user=None)
    registry.refresh_from_db()
    assert registry.secrets == {}


def test_the_owner_of_a_subject_does_not_learn_who_else_tried(north: Cluster, firms: Firms) -> None:
    registry = registry_set(cluster=north, url="http://127.0.0.1:9", acting_user=None)
    subject = SchemaSubject.objects.create(registry=registry, name="northgate-trades-value", client=firms["northgate"])
    for client in ("Northgate Capital", "Southbank Trading"):
        rejected = Rejected(Kind.SCHEMA, subject=subject.name, client=client, host=f"host-of-{client[:5]}")
        rejections_ingest(reports=[Report(north, rejected, f'{{"doc": "{client}"}}', "AVRO")])
    viewer = make_user("client", "viewer", [firms["northgate"]])
    assert [row.host for row in subject_rejections(viewer, subject)] == ["host-of-North"]
    assert [offer.schema for offer in subject_offers(viewer, subject)] == ['{"doc": "Northgate Capital"}']
    assert len(subject_rejections(make_user("sre"), subject)) == 2


@pytest.mark.django_db(transaction=True)
def test_a_slow_registry_keeps_no_connection_from_others(
    call_as: Any, north: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each process has a dozen: a few people who wait for their check would stop every page."""
    held: list[bool] = []

    def subjects(self: Registry) -> list[str]:
        held.append(connection.connection is not None)
        raise RegistryFailed("timeout", "It did not answer.")

    monkeypatch.setattr(Registry, "subjects", subjects)
    registry_set(cluster=north, url="http://registry.example:8081", acting_user=None)
    answer = send(call_as("sre"), "/api/v1/schemas/orders-value/check", {"schema": "{}"})
    assert (answer.status_code, held) == (503, [False])


def test_the_table_asks_the_database_no_more_for_more_lines(
    client: Client, north: Cluster, line: Line, django_assert_max_num_queries: Any
) -> None:
    lines_ingest(cluster=north, lines=[line(resource=f"Topic:LITERAL:orders-{number}") for number in range(40)])
    Rejection.objects.update(listener="9093")  # a port: its name is looked up
    client.force_login(make_user("sre"))
    with django_assert_max_num_queries(12):
        table: bytes = client.get("/rejections.csv").getvalue()
    assert table.count(b"\r\n") == 41
