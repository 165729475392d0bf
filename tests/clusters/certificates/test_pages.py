"""Pages of certificates: what they tell, to whom, and what people can enter."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.test import Client as Browser
from django.utils.html import escape

from accounts.models import AuditEntry, Client, Membership, Ownership, User
from clusters import exporter, tasks
from clusters.models import (
    Certificate,
    CertificateFile,
    CertificatePolicy,
    Rotation,
    ServiceKey,
    TlsAddress,
    TlsListener,
)
from clusters.services import certificates as services
from tests.clusters.certificates.conftest import World
from tests.clusters.certificates.make import CLIENT
from tests.clusters.certificates.servers import context_of, serving

pytestmark = pytest.mark.django_db
NOW = datetime.now(UTC).replace(microsecond=0)
DAY = timedelta(days=1)


def browser(role: str = "sre", firm: Client | None = None) -> Browser:
    user = User.objects.create_user(f"{role}-{User.objects.count()}", role=role)
    if firm is not None:
        Membership.objects.create(user=user, client=firm)
    found = Browser()
    found.force_login(user)
    return found


@pytest.fixture
def served(world: World, tmp_path: Path) -> World:
    """One broker's listener whose leaf has 80 days left."""
    leaf = world.leaf(begins=NOW - 285 * DAY, ends=NOW + 80 * DAY)
    with serving(context_of([leaf, world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
    return world


def test_the_page_tells_the_verdict_first(served: World) -> None:
    page = browser().get("/certificates").content.decode()
    assert "1 of 3 to be rotated, first kafka-1 in 80 days." in page
    assert page.index("Northgate Root CA") < page.index("Northgate Kafka CA") < page.index("kafka-1</a>")
    assert f"127.0.0.1:{served.kafka.ports[1]}" in page


def test_a_listener_that_serves_another_certificate_than_its_file_stands_on_top(served: World) -> None:
    newer = served.leaf(begins=NOW - DAY)
    services.file_upload(
        cluster=served.cluster, name="kafka-1.pem", data=newer.pem, password="", trusted=False, acting_user=None
    )
    page = browser().get("/certificates?cluster=north").content.decode()
    assert page.index("is renewed on disk, and the old one is still served") < page.index("Tree of trust")


def test_one_certificate_shows_its_chain_link_by_link(served: World) -> None:
    leaf = Certificate.objects.get(common_name="kafka-1")
    page = browser().get(f"/certificates/north/{leaf.pk}").content.decode()
    for text in ("Northgate Root CA", "Northgate Kafka CA", leaf.serial, "EC 256 bit", "Who uses it"):
        assert text in page
    assert page.count("holds</span>") == 3
    assert browser().get(f"/certificates/north/{leaf.pk + 99}").status_code == 404
    assert browser().get(f"/certificates/south/{leaf.pk}").status_code == 404


def test_a_client_s_viewer_sees_the_own_certificates_alone(served: World, tmp_path: Path, settings: object) -> None:
    ours = Client.objects.create(name="Northgate Capital")
    Ownership.objects.create(client=ours, kind=Ownership.Kind.PRINCIPAL, glob="User:northgate-*")
    for name in ("northgate-1", "southbank-1"):
        services.file_upload(
            cluster=served.cluster, name=f"{name}.pem", data=served.leaf(name, extended=[CLIENT]).pem, password="",
            trusted=False, acting_user=None,
        )  # fmt: skip
    viewer = browser("client", ours)
    page = viewer.get("/certificates").content.decode()
    assert "northgate-1" in page
    for hidden in ("southbank-1", "kafka-1", "127.0.0.1:", "Northgate Root CA", "northgate-1.pem", "Rotation log"):
        assert hidden not in page
    own, other = (Certificate.objects.get(common_name=name) for name in ("northgate-1", "southbank-1"))
    assert viewer.get(f"/certificates/north/{own.pk}").status_code == 200
    assert "northgate-1.pem" not in viewer.get(f"/certificates/north/{own.pk}").content.decode()
    assert viewer.get(f"/certificates/north/{other.pk}").status_code == 404
    assert viewer.get("/certificates/north/rotations").status_code == 403
    feed = (
        viewer.get("/api/v1/certificates.ics").content.decode()
        + viewer.get("/api/v1/certificates.csv").content.decode()
    )
    assert "northgate-1" in feed
    assert "southbank-1" not in feed
    listed = viewer.get("/api/v1/clusters/north/certificates").json()
    assert [item["subject"] for item in listed["items"]] == ["CN=northgate-1"]
    assert (listed["items"][0]["served_on"], listed["items"][0]["file"]) == ([], None)


def test_a_file_is_uploaded_with_an_audit_row_and_removed(world: World) -> None:
    sre = browser()
    answer = sre.post(
        "/certificates/north/upload",
        {"upload-file": SimpleUploadedFile("ca.pem", world.top.pem), "upload-trusted": "on"},
    )
    assert answer.status_code == 302
    file = CertificateFile.objects.get()
    assert (file.name, file.trusted, len(file.fingerprints)) == ("ca.pem", True, 1)
    after = AuditEntry.objects.get(action="clusters.certificates_uploaded").after
    assert after is not None
    assert after["certificates"] == 1
    assert sre.post(f"/certificates/north/remove/file/{file.pk}").status_code == 302
    assert not CertificateFile.objects.filter(removed_at__isnull=True).exists()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"hello", "neither PEM nor DER"),
        (b"\x30\x82\xff\xff\x00", "ends before"),
        (b"-----BEGIN CERTIFICATE-----\n!!\n-----END CERTIFICATE-----", "not base64"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_why_beside_the_field(world: World, content: bytes, said: str) -> None:
    answer = browser().post("/certificates/north/upload", {"upload-file": SimpleUploadedFile("x", content)})
    assert answer.status_code == 422
    assert said in answer.content.decode()
    assert not CertificateFile.objects.exists()


def test_an_endpoint_is_probed_as_soon_as_it_is_entered(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    sent: list[int] = []
    monkeypatch.setattr(tasks, "probe_soon", sent.append)
    sre = browser()
    data = {
        "endpoint-host": "Registry.example",
        "endpoint-port": "8443",
        "endpoint-kind": "registry",
        "endpoint-speaks": "http",
    }
    assert sre.post("/certificates/north/endpoints", data).status_code == 302
    row = TlsListener.objects.get()
    assert (row.host, row.port, row.kind, sent) == ("registry.example", 8443, "registry", [row.pk])
    again = sre.post("/certificates/north/endpoints", data)
    assert (again.status_code, "watched already" in again.content.decode()) == (422, True)
    for host in ("a b", "http://x", "x/y", "evil\r\nHost: y"):
        assert sre.post("/certificates/north/endpoints", data | {"endpoint-host": host}).status_code == 422
    sre.post(f"/certificates/north/listeners/{row.pk}/probe")
    assert len(sent) == 1


def test_what_is_managed_elsewhere_is_entered_by_hand(world: World) -> None:
    data = {
        "by_hand-subject": "lb.northgate.example", "by_hand-kind": "endpoint", "by_hand-owner": "Network team",
        "by_hand-not_before": f"{NOW - 300 * DAY:%Y-%m-%dT%H:%M}", "by_hand-not_after": f"{NOW + 20 * DAY:%Y-%m-%dT%H:%M}",
    }  # fmt: skip
    sre = browser()
    assert sre.post("/certificates/north/by-hand", data).status_code == 302
    row = Certificate.objects.get(fingerprint="")
    assert (row.fingerprint, row.der, row.kind_set) == ("", None, True)
    page = sre.get("/certificates").content.decode()
    assert "lb.northgate.example" in page
    assert "entered by hand, renewed by Network team" in page
    assert sre.post("/certificates/north/by-hand", data | {"by_hand-owner": ""}).status_code == 422
    sre.post(f"/certificates/north/remove/certificate/{row.pk}")
    assert "lb.northgate.example" not in sre.get("/certificates").content.decode().split("toasts")[0]


def test_a_key_and_its_rotation_are_entered_by_page_and_by_api(world: World) -> None:
    sre = browser()
    data = {
        "key-name": "orders",
        "key-version": "1",
        "key-rotated_at": f"{NOW - 100 * DAY:%Y-%m-%dT%H:%M}",
        "key-rotation_days": "90",
    }
    assert sre.post("/certificates/north/keys", data).status_code == 302
    assert "overdue" in sre.get("/certificates").content.decode()
    body = {"name": "orders", "version": "2", "rotated_at": (NOW - DAY).isoformat()}
    answer = sre.post("/api/v1/clusters/north/keys", body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    assert (answer.json()["band"], answer.json()["version"]) == ("ok", "2")
    line = Rotation.objects.get()
    assert (line.kind, line.place, line.old_serial, line.new_serial) == ("key", "orders", "1", "2")
    assert ServiceKey.objects.get().version == "2"
    earlier = body | {"rotated_at": (NOW - 50 * DAY).isoformat()}
    assert sre.post("/api/v1/clusters/north/keys", earlier, content_type="application/json").status_code == 422
    assert browser("lead").post("/api/v1/clusters/north/keys", body, content_type="application/json").status_code == 403


def test_a_key_stays_its_client_s_until_somebody_says_otherwise(world: World) -> None:
    ours = Client.objects.create(name="Northgate Capital")
    services.key_record(
        cluster=world.cluster, name="orders", version="1", rotated_at=NOW - 9 * DAY, client=ours, acting_user=None
    )
    data = {
        "key-name": "orders",
        "key-version": "2",
        "key-rotated_at": f"{NOW - 5 * DAY:%Y-%m-%dT%H:%M}",
        "key-rotation_days": "90",
    }
    sre = browser()
    sre.post("/certificates/north/keys", data)
    body = {"name": "orders", "version": "3", "rotated_at": f"{NOW:%Y-%m-%dT%H:%M:%SZ}"}
    sre.post("/api/v1/clusters/north/keys", body, content_type="application/json")
    assert (ServiceKey.objects.get().version, ServiceKey.objects.get().client) == ("3", ours)
    sre.post("/api/v1/clusters/north/keys", body | {"client": None}, content_type="application/json")
    assert ServiceKey.objects.get().client is None
    before = AuditEntry.objects.latest("pk").before
    assert before is not None
    assert before["client"] == ours.name


def test_a_policy_moves_the_bands_at_once(served: World) -> None:
    sre = browser()
    answer = sre.post(
        "/certificates/north/policy", {"policy-kind": "broker", "policy-rotate_days": "60", "policy-alarm_days": "20"}
    )
    assert answer.status_code == 302
    assert CertificatePolicy.objects.get().rotate_days == 60
    assert "All 3 hold" in sre.get("/certificates").content.decode()
    bad = {"policy-kind": "broker", "policy-rotate_days": "20", "policy-alarm_days": "60"}
    assert sre.post("/certificates/north/policy", bad).status_code == 422


def test_on_call_sees_and_cannot_change(served: World) -> None:
    oncall = browser("oncall")
    assert oncall.get("/certificates").status_code == 200
    for path in ("upload", "endpoints", "by-hand", "keys", "policy"):
        assert oncall.post(f"/certificates/north/{path}").status_code == 403
    assert oncall.get("/certificates/north/add").status_code == 403


def test_names_from_certificates_are_text_and_nothing_else(world: World) -> None:
    evil = "<script>alert(1)</script>"
    services.file_upload(
        cluster=world.cluster, name="x.pem", data=world.leaf(evil).pem, password="", trusted=False, acting_user=None
    )
    page = browser().get("/certificates").content.decode()
    assert evil not in page
    assert escape(evil)[:20] in page


def test_metrics_tell_the_days_left_by_listener_and_serial_while_they_are_fresh(served: World) -> None:
    port, leaf = served.kafka.ports[1], Certificate.objects.get(common_name="kafka-1")
    line = f'ops_portal_certificate_days_left{{cluster="north",listener="127.0.0.1:{port}",serial="{leaf.serial}",kind="broker"}} 79.'
    assert line in exporter.exposition().decode()
    assert 'kind="root"' in exporter.exposition().decode()
    TlsAddress.objects.update(read_at=NOW - DAY)
    assert f"127.0.0.1:{port}" not in exporter.exposition().decode()
