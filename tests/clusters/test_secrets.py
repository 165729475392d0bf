"""Secrets at rest."""

import base64
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from pytest_django import Settings

from accounts.models import AuditEntry
from clusters import secrets, services
from clusters.gateways.connect import properties_of
from clusters.models import Cluster
from clusters.ports import GatewayFailed
from clusters.properties import Properties

CANARY = "canary-5f1d"
PLACE: dict[str, Any] = {"table": "clusters_cluster", "pk": 7, "field": "sasl.password"}


def key(letter: str) -> str:
    return f"{letter}:{base64.urlsafe_b64encode(letter.encode() * 32).decode()}"


@pytest.fixture(autouse=True)
def ring(settings: Settings) -> Settings:
    settings.FIELD_KEYS = [key("a")]
    return settings


def test_a_secret_comes_back_and_is_not_readable_meanwhile() -> None:
    sealed = secrets.seal(CANARY, **PLACE)
    assert sealed.startswith("a:")
    assert CANARY not in sealed
    assert CANARY not in base64.urlsafe_b64decode(sealed[2:]).decode("latin-1")
    assert secrets.seal(CANARY, **PLACE) != sealed
    assert secrets.unseal(sealed, **PLACE) == CANARY


@pytest.mark.parametrize("moved", [{"pk": 8}, {"field": "ssl.key.pem"}, {"table": "other"}])
def test_a_moved_secret_does_not_open(moved: dict[str, Any]) -> None:
    with pytest.raises(secrets.SecretUnreadable, match="changed or moved"):
        secrets.unseal(secrets.seal(CANARY, **PLACE), **(PLACE | moved))


@pytest.mark.parametrize("text", ["", "a:", "a:AAAA", "a:!!!", "b:AAAA"])
def test_a_broken_secret_does_not_open(text: str) -> None:
    with pytest.raises(secrets.SecretUnreadable):
        secrets.unseal(text, **PLACE)


def test_an_older_key_still_opens_and_the_newest_seals(ring: Settings) -> None:
    old = secrets.seal(CANARY, **PLACE)
    ring.FIELD_KEYS = [key("b"), key("a")]
    assert secrets.unseal(old, **PLACE) == CANARY
    assert not secrets.sealed_with_newest(old)
    assert secrets.seal(CANARY, **PLACE).startswith("b:")


@pytest.mark.parametrize("keys", [[], ["a"], ["a:short"], [key("a"), key("a")], [":" + key("a")[2:]]])
def test_a_wrong_key_ring_is_refused(ring: Settings, keys: list[str]) -> None:
    ring.FIELD_KEYS = keys
    with pytest.raises(ImproperlyConfigured):
        secrets.seal(CANARY, **PLACE)


@pytest.fixture
def cluster(transactional_db: None) -> Cluster:
    given = Properties({"security.protocol": "SASL_SSL"}, {"sasl.password": CANARY})
    return services.cluster_add(name="northgate", bootstrap="127.0.0.1:1", properties=given, acting_user=None)


def test_rotation_seals_anew_and_frees_the_old_key(cluster: Cluster, ring: Settings) -> None:
    ring.FIELD_KEYS = [key("b"), key("a")]
    call_command("rotate_keys")
    call_command("rotate_keys")  # nothing left to do
    ring.FIELD_KEYS = [key("b")]
    assert properties_of(Cluster.objects.get())["sasl.password"] == CANARY
    assert AuditEntry.objects.filter(action="clusters.secrets_rotated").count() == 1


def test_a_lost_key_fails_the_cluster_with_a_sentence(cluster: Cluster, ring: Settings) -> None:
    ring.FIELD_KEYS = [key("c")]
    with pytest.raises(GatewayFailed) as failure:
        properties_of(Cluster.objects.get())
    assert failure.value.code == "configuration"
    assert "FIELD_KEYS" in failure.value.message


def test_no_row_holds_the_plain_secret(cluster: Cluster) -> None:
    services.cluster_remove(cluster=cluster, acting_user=None)
    texts = [str(row) for row in [*Cluster.objects.values(), *AuditEntry.objects.values()]]
    assert texts
    assert not any(CANARY in text for text in texts)
    assert Cluster.objects.get().secrets == {}
