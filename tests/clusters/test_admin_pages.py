"""Administration of clusters in a browser: the connection is tested, secrets go in and never come out."""

from typing import Any

import pytest
import redis
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from clusters import services
from clusters.gateways.kafka_probe import ConnectionTest
from clusters.models import Cluster, Source
from clusters.properties import Properties
from tests.accounts.factories import make_user

pytestmark = pytest.mark.django_db
ANSWERS = ConnectionTest(True, "", "3 brokers, 40 topics, 12 groups.", 0.2)
SILENT = ConnectionTest(False, "timeout", "No broker answered within 12 s.", 12.0)
FORM = {"name": "north", "bootstrap": "kafka-1:9092, kafka-2:9092"}
SECRET = "hunter2-canary"


@pytest.fixture
def admin(valkey: redis.Redis) -> Client:
    client = Client()
    client.force_login(make_user("admin"))
    return client


@pytest.fixture
def outcome(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What the connection test says (`result`), and what it was asked (`asked`)."""
    told: dict[str, Any] = {"result": ANSWERS, "asked": []}

    def answer(*, bootstrap: str, properties: Properties, seconds: float = 12.0) -> ConnectionTest:
        told["asked"].append((bootstrap, properties.all))
        result: ConnectionTest = told["result"]
        return result

    monkeypatch.setattr(services, "connection_test", answer)
    monkeypatch.setattr(services.clusters, "connection_test", answer)
    return told


def test_adds_a_cluster_that_answers(admin: Client, outcome: dict[str, Any]) -> None:
    response = admin.post(reverse("clusters:cluster-add"), FORM | {"do": "save", "group_deny": "tmp-*\nconsole-*\n"})

    cluster = Cluster.objects.get()
    assert response["Location"] == reverse("clusters:cluster-detail", args=["north"])
    assert (cluster.bootstrap, cluster.group_deny) == ("kafka-1:9092,kafka-2:9092", ["tmp-*", "console-*"])
    assert Source.objects.filter(cluster=cluster, kind="lag").exists()
    assert AuditEntry.objects.filter(action="clusters.cluster_added", actor_name="admin-person").exists()


def test_testing_alone_adds_nothing(admin: Client, outcome: dict[str, Any]) -> None:
    page = admin.post(reverse("clusters:cluster-add"), FORM | {"do": "test"})

    assert page.status_code == 200
    assert "3 brokers, 40 topics" in page.content.decode()
    assert not Cluster.objects.exists()


def test_a_silent_cluster_is_added_only_when_asked_again(admin: Client, outcome: dict[str, Any]) -> None:
    outcome["result"] = SILENT

    page = admin.post(reverse("clusters:cluster-add"), FORM | {"do": "save"})
    assert page.status_code == 422
    assert "No broker answered" in page.content.decode()
    assert 'value="force"' in page.content.decode()
    assert not Cluster.objects.exists()

    admin.post(reverse("clusters:cluster-add"), FORM | {"do": "force"})
    assert Cluster.objects.exists()


def test_secrets_go_in_and_never_come_out(admin: Client, outcome: dict[str, Any]) -> None:
    plain = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=SCRAM-SHA-256\nsasl.username=portal"
    form = FORM | {"do": "save", "plain": plain, "secret": f"sasl.password={SECRET}"}

    admin.post(reverse("clusters:cluster-add"), form)

    assert outcome["asked"][0][1]["sasl.password"] == SECRET
    page = admin.get(reverse("clusters:cluster-detail", args=["north"])).content.decode()
    assert "Stored secrets: sasl.password" in page
    assert SECRET not in page
    assert SECRET not in str(list(Cluster.objects.values())) + str(list(AuditEntry.objects.values()))


def test_a_change_keeps_stored_secrets_unless_told_to_forget_them(admin: Client, outcome: dict[str, Any]) -> None:
    plain = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=portal"
    admin.post(
        reverse("clusters:cluster-add"), FORM | {"do": "save", "plain": plain, "secret": f"sasl.password={SECRET}"}
    )
    address = reverse("clusters:cluster-detail", args=["north"])

    admin.post(address, {"do": "save", "bootstrap": "kafka-9:9092", "plain": "client.id=portal"})
    cluster = Cluster.objects.get()
    assert cluster.bootstrap == "kafka-9:9092"
    assert outcome["asked"][-1][1]["sasl.password"] == SECRET
    assert list(cluster.secrets) == ["sasl.password"]

    admin.post(address, {"do": "save", "bootstrap": "kafka-9:9092", "forget_secrets": "on"})
    assert Cluster.objects.get().secrets == {}


def test_what_needs_a_secret_is_changed_without_typing_it_again(admin: Client, outcome: dict[str, Any]) -> None:
    plain = "security.protocol=SASL_PLAINTEXT\nsasl.mechanism=PLAIN\nsasl.username=portal"
    form = FORM | {"do": "save", "plain": plain}
    admin.post(reverse("clusters:cluster-add"), form | {"secret": f"sasl.password={SECRET}"})
    address = reverse("clusters:cluster-detail", args=["north"])

    assert admin.post(address, form | {"bootstrap": "kafka-9:9092"}).status_code == 302
    assert outcome["asked"][-1][1]["sasl.password"] == SECRET
    assert list(Cluster.objects.get().secrets) == ["sasl.password"]

    refused = admin.post(address, form | {"forget_secrets": "on"})
    assert refused.status_code == 422
    assert "SASL_PLAINTEXT needs a password." in refused.content.decode()


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"name": "North!"}, "lower-case"),
        ({"bootstrap": "kafka"}, "host:port"),
        ({"bootstrap": ""}, "required"),
        ({"plain": "plugin.library.paths=/tmp/x.so"}, "cannot be set here"),
        ({"plain": "security.protocol=TELNET"}, "Must be one of"),
        ({"plain": "ssl.ca.location=/etc/shadow"}, "ssl.ca.location"),
        ({"prometheus_url": "file:///etc/passwd"}, "http"),
    ],
)
def test_says_beside_the_field_what_is_wrong(
    form: dict[str, str], says: str, admin: Client, outcome: dict[str, Any]
) -> None:
    page = admin.post(reverse("clusters:cluster-add"), FORM | {"do": "force"} | form)

    assert page.status_code == 422
    assert says in page.content.decode()
    assert not Cluster.objects.exists()


def test_removes_a_cluster_by_its_typed_name(admin: Client, outcome: dict[str, Any]) -> None:
    admin.post(reverse("clusters:cluster-add"), FORM | {"do": "save"})
    address = reverse("clusters:cluster-remove", args=["north"])

    assert admin.post(address, {"typed": "south"}).status_code == 422
    assert Cluster.objects.get().removed_at is None
    assert admin.post(address, {"typed": "north"}).status_code == 302
    assert Cluster.objects.get().removed_at is not None
    assert admin.get(reverse("clusters:cluster-detail", args=["north"])).status_code == 404


def test_changes_how_often_a_source_is_read(admin: Client, outcome: dict[str, Any]) -> None:
    admin.post(reverse("clusters:cluster-add"), FORM | {"do": "save"})
    address = reverse("clusters:cluster-source", args=["north", "lag"])

    admin.post(address, {"period_seconds": "15", "enabled": "on"})
    source = Source.objects.get(kind="lag")
    assert (source.period_seconds, source.enabled) == (15, True)
    admin.post(address, {"period_seconds": "0"})
    assert Source.objects.get(kind="lag").period_seconds == 15
