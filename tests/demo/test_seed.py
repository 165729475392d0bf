"""What the portal is told of the demo, once and again, and after the demo has moved to other ports."""

import dataclasses
import re
import stat
from pathlib import Path

import pytest
from django.conf import settings

from accounts.models import ApiToken
from clusters.gateways.connect import properties_of
from clusters.models import Certificate, Cluster, HealthSettings, SchemaRegistry, ServiceKey
from clusters.services.health_settings import health_settings_set
from ops_portal import web_figures
from ops_portal.demo import access
from ops_portal.demo.facts import Facts, load
from ops_portal.demo.monitoring import PORTAL_JOB
from ops_portal.demo.principals import PORTAL, PRINCIPALS, Right
from ops_portal.demo.seed import seed
from ops_portal.demo.topology import CANARY, GROUPS

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def facts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Facts:
    monkeypatch.setattr(settings, "DEMO", True)
    found = Facts(
        var=str(tmp_path),
        ports=[[19092, 19093], [19192, 19193], [19292, 19293]],
        secure_ports=[19094, 19194, 19294],
        registry_url="http://127.0.0.1:19080",
    )
    access.certificates(found.pki)
    found.save()
    return found


def test_the_portal_comes_with_its_certificate_and_knows_registry_keys_and_the_load_balancer(facts: Facts) -> None:
    seed(facts)
    cluster = Cluster.objects.get()
    assert cluster.bootstrap == "127.0.0.1:19094,127.0.0.1:19194,127.0.0.1:19294"
    properties = properties_of(cluster)
    chain = access.certificates(facts.pki).files(PORTAL).chain.read_text()
    assert properties["security.protocol"] == "SSL"
    assert properties["ssl.certificate.pem"].split() == chain.split()
    assert "PRIVATE KEY" in properties["ssl.key.pem"]
    assert SchemaRegistry.objects.get().url == "http://127.0.0.1:19080/apis/ccompat/v7"
    assert ServiceKey.objects.count() == 3
    assert Certificate.objects.get(fingerprint="").owner == "Network team"
    assert facts.shipper_token.read_text().startswith("op")
    assert stat.S_IMODE(facts.shipper_token.stat().st_mode) == 0o600


def test_telling_it_again_changes_nothing_but_the_shipper_s_token(facts: Facts) -> None:
    seed(facts)
    before = Cluster.objects.get()
    seed(facts)
    after = Cluster.objects.get()
    assert (after.properties, after.secrets) == (before.properties, before.secrets)
    assert (
        ServiceKey.objects.count(),
        Certificate.objects.filter(fingerprint="").count(),
        SchemaRegistry.objects.count(),
    ) == (3, 1, 1)
    assert ApiToken.objects.count() == 2


def test_availability_has_a_canary_that_the_portal_may_write_and_nobody_reads(facts: Facts) -> None:
    seed(facts)
    topic = HealthSettings.objects.get().canary_topic
    assert (topic, CANARY.partitions) == (CANARY.name, 3)
    writers = {one.name for one in PRINCIPALS for right in one.rights if right == Right("WRITE", topic=topic)}
    assert writers == {PORTAL}
    assert topic not in {spec.topic for spec in GROUPS}


def test_the_rest_tier_is_asked_for_series_that_the_portal_exports(facts: Facts) -> None:
    seed(facts)
    exported = web_figures.exposition().decode()
    queries = HealthSettings.objects.get().rest_queries
    assert [row["name"] for row in queries] == [
        *("latency-p50", "latency-p95", "latency-p99"),
        *("error-rate", "cache-hits", "database-connections"),
    ]
    for row in queries:
        selectors = re.findall(r"(ops_portal_\w+)\{([^}]*)\}", row["query"])
        assert selectors
        for series, labels in selectors:
            found = [line for line in exported.splitlines() if line.startswith(f"{series}{{")]
            job, *own = labels.split(",")
            assert job == f'job="{PORTAL_JOB}"'
            assert any(all(label in line for label in own) for line in found), row["query"]


def test_what_an_administrator_said_of_health_stays(facts: Facts) -> None:
    seed(facts)
    health_settings_set(cluster=Cluster.objects.get(), canary_topic="", rest_queries=[], acting_user=None)
    seed(facts)
    found = HealthSettings.objects.get()
    assert (found.canary_topic, found.rest_queries) == ("", [])


def test_a_demo_on_other_ports_is_the_same_cluster(facts: Facts) -> None:
    seed(facts)
    moved = dataclasses.replace(facts, secure_ports=[20094, 20194, 20294], registry_url="http://127.0.0.1:20080")
    seed(moved)
    assert Cluster.objects.get().bootstrap == moved.doors.secure
    assert SchemaRegistry.objects.get().url == "http://127.0.0.1:20080/apis/ccompat/v7"


def test_facts_are_what_was_saved(facts: Facts) -> None:
    assert load(Path(facts.var)) == facts
    assert facts.doors.plaintext == "127.0.0.1:19092,127.0.0.1:19192,127.0.0.1:19292"
    assert facts.controllers == "127.0.0.1:19093,127.0.0.1:19193,127.0.0.1:19293"
