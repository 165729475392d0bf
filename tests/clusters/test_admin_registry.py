"""The schema registry of a cluster in its administration form: tested with it, kept with it, its password never shown."""

import base64
import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import redis
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEntry
from clusters import secrets, services
from clusters.gateways.kafka_probe import ConnectionTest
from clusters.models import Cluster, SchemaRegistry, SchemaSubject, Source
from clusters.services.schemas import TABLE
from tests.accounts.factories import make_user

pytestmark = pytest.mark.django_db
KAFKA = {"name": "north", "bootstrap": "kafka-1:9092"}
PASSWORD = "hunter2-canary"
ADD = "clusters:cluster-add"


@dataclass
class Fake:
    """A registry that lets nobody in without the password; `asked` holds the credentials of each call."""

    url: str = ""
    asked: list[str] = field(default_factory=list)
    status: int = 200
    default: str = "BACKWARD"


@pytest.fixture
def registry() -> Iterator[Fake]:
    fake = Fake()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            given = self.headers.get("Authorization", "")
            fake.asked.append(base64.b64decode(given.removeprefix("Basic ")).decode())
            body: Any = ["orders-value"] if self.path == "/subjects" else {"compatibilityLevel": fake.default}
            status = fake.status if fake.asked[-1] == f"portal:{PASSWORD}" else 401
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(body if status == 200 else {"message": "broken"}).encode())

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        fake.url = f"http://127.0.0.1:{server.server_port}"
        yield fake
        server.shutdown()
        thread.join()


@pytest.fixture
def admin(valkey: redis.Redis, monkeypatch: pytest.MonkeyPatch) -> Client:
    """An administrator; Kafka itself answers whatever is asked."""
    answers = ConnectionTest(True, "", "The cluster answers: 3 brokers.", 0.2)
    for module in (services, services.clusters):
        monkeypatch.setattr(module, "connection_test", lambda **_: answers)
    client = Client()
    client.force_login(make_user("admin"))
    return client


def form(registry: Fake, **more: str) -> dict[str, str]:
    told = {"registry_url": registry.url, "registry_username": "portal", "registry_password": PASSWORD}
    return KAFKA | {"do": "save"} | told | more


def settings_page() -> str:
    return reverse("clusters:cluster-detail", args=["north"])


def kept() -> dict[str, str]:
    row = SchemaRegistry.objects.get()
    return secrets.unseal_all(row.secrets, table=TABLE, pk=row.pk)


def test_one_that_answers_is_kept_with_its_cluster(admin: Client, registry: Fake) -> None:
    assert admin.post(reverse(ADD), form(registry)).status_code == 302

    row = SchemaRegistry.objects.get(cluster__name="north")
    assert (row.url, kept()) == (registry.url, {"username": "portal", "password": PASSWORD})
    assert Source.objects.filter(cluster=row.cluster, kind="schemas").exists()
    entry = AuditEntry.objects.get(action="clusters.registry_set")
    assert (entry.actor_name, entry.after) == (
        "admin-person",
        {"url": registry.url, "secrets": ["password", "username"]},
    )
    page = admin.get(settings_page()).content.decode()
    assert registry.url in page
    assert "password at the registry" in page
    assert "clusters.registry_set" in page
    everything = page + str(list(SchemaRegistry.objects.values())) + str(list(AuditEntry.objects.values()))
    assert PASSWORD not in everything


def test_the_test_tells_what_it_answered_and_keeps_nothing(admin: Client, registry: Fake) -> None:
    registry.default = "NONE"

    page = admin.post(reverse(ADD), form(registry, do="test"))

    assert page.status_code == 200
    assert "1 subject, NONE by default." in page.content.decode()
    assert "take any schema" in page.content.decode()
    assert not Cluster.objects.exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"registry_password": "wrong"}, "does not let the portal in (HTTP 401)"),
        ({"registry_url": "http://127.0.0.1:9"}, "Nothing listens at http://127.0.0.1:9 (connection refused)."),
        ({"registry_url": "http://registry.invalid:8081"}, "The name registry.invalid cannot be resolved."),
        ({"registry_url": "http://169.254.169.254"}, "leads to 169.254.169.254, which the portal does not call."),
    ],
)
def test_one_that_does_not_answer_is_kept_only_when_asked_again(
    admin: Client, registry: Fake, change: dict[str, str], says: str
) -> None:
    page = admin.post(reverse(ADD), form(registry, **change))

    assert page.status_code == 422
    assert says in page.content.decode()
    assert 'value="force"' in page.content.decode()
    assert not Cluster.objects.exists()

    assert admin.post(reverse(ADD), form(registry, **change, do="force")).status_code == 302
    assert SchemaRegistry.objects.get().cluster.name == "north"


def test_a_server_with_another_fault_is_quoted(admin: Client, registry: Fake) -> None:
    registry.status = 500
    page = admin.post(reverse(ADD), form(registry, do="test")).content.decode()
    assert f"{registry.url} answered HTTP 500: broken" in page


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"registry_url": "ftp://registry"}, "This is not an address such as http://registry.example:8081."),
        ({"registry_url": "http://a:b@registry"}, "Name and password do not belong in the address"),
        ({"registry_url": ""}, "This is not an address such as http://registry.example:8081."),
        ({"registry_username": ""}, "A password needs its user name."),
        ({"registry_password": ""}, "Type the password of this user name."),
    ],
)
def test_says_beside_the_field_what_is_wrong(admin: Client, registry: Fake, change: dict[str, str], says: str) -> None:
    page = admin.post(reverse(ADD), form(registry, **change, do="force"))
    assert page.status_code == 422
    assert says in page.content.decode()
    assert not Cluster.objects.exists()
    assert not registry.asked


def test_empty_fields_keep_the_password_for_its_own_server_only(admin: Client, registry: Fake) -> None:
    admin.post(reverse(ADD), form(registry))
    empty = {"registry_username": "", "registry_password": ""}

    admin.post(settings_page(), form(registry, **empty, registry_url=f"{registry.url}/"))
    assert kept()["password"] == PASSWORD
    assert registry.asked[-1] == f"portal:{PASSWORD}"
    assert AuditEntry.objects.filter(action="clusters.registry_set").count() == 1

    asked = len(registry.asked)
    elsewhere = registry.url.replace("127.0.0.1", "localhost")
    assert admin.post(settings_page(), form(registry, **empty, registry_url=elsewhere)).status_code == 422
    assert set(registry.asked[asked:]) == {""}
    assert SchemaRegistry.objects.get().url == registry.url

    admin.post(settings_page(), form(registry, **empty, forget_secrets="on", do="force"))
    assert kept() == {}


def test_an_emptied_address_takes_the_registry_away(admin: Client, registry: Fake) -> None:
    admin.post(reverse(ADD), form(registry))
    SchemaSubject.objects.create(registry=SchemaRegistry.objects.get(), name="orders-value")

    admin.post(settings_page(), KAFKA | {"do": "save"})

    assert not SchemaRegistry.objects.exists()
    assert not Source.objects.filter(kind="schemas").exists()
    entry = AuditEntry.objects.get(action="clusters.registry_removed")
    assert entry.before == {"url": registry.url, "secrets": ["password", "username"]}


@pytest.mark.parametrize("role", ["sre", "oncall", "lead", "account-manager", "client"])
def test_only_administrators_set_or_test_one(admin: Client, registry: Fake, role: str) -> None:
    admin.post(reverse(ADD), KAFKA | {"do": "save"})
    other = Client()
    other.force_login(make_user(role, "other"))

    assert other.get(settings_page()).status_code in {403, 404}
    for asked in ("test", "save", "force"):
        assert other.post(settings_page(), form(registry, do=asked)).status_code in {403, 404}
    assert not registry.asked
    assert not SchemaRegistry.objects.exists()
