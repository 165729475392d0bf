"""One run of the source `certificates`: inventory, verdicts, drift, the rotation log and findings, from real listeners."""

import ssl
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.utils import DatabaseError

from accounts.models import Client, Ownership
from accounts.policies import Scope
from clusters.chains import ChainVerdict
from clusters.expiry import Band, CertificateKind
from clusters.gateways.tls import Probed
from clusters.models import Certificate, CertificateFile, Finding, Rotation, TlsAddress, TlsListener
from clusters.ports import GatewayFailed
from clusters.selectors.certificates import CertificateRow, certificate_days, certificates_in
from clusters.services import certificates as services
from clusters.services.certificates import polling, window
from ops_portal.lib.clock import Clock, as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.processes import wait_until
from tests.clusters.certificates.conftest import World
from tests.clusters.certificates.make import CLIENT, Made, leaf, root
from tests.clusters.certificates.servers import context_of, plain, serving

pytestmark = pytest.mark.django_db
DAY = timedelta(days=1)
NOW = datetime.now(UTC).replace(microsecond=0)
ALL = Scope(everything=True)


def rows(world: World) -> dict[str, CertificateRow]:
    return {row.title: row for row in certificates_in(ALL, world.cluster.name)}


def open_findings() -> dict[str, str]:
    return dict(Finding.objects.filter(closed_at__isnull=True).values_list("kind", "title"))


def test_what_a_listener_serves_becomes_the_inventory(world: World, tmp_path: Path) -> None:
    context = context_of([world.leaf(), world.low], tmp_path, client_auth=ssl.CERT_REQUIRED, accepted=world.top)
    with serving(context) as port:
        world.kafka.ports = {1: port}
        outcome = world.poll()
    assert list(outcome.errors) == []
    assert outcome.counts == {"listeners": 1, "addresses": 1, "files": 0}
    found = rows(world)
    assert {title: row.kind for title, row in found.items()} == {
        "kafka-1": CertificateKind.BROKER, "Northgate Kafka CA": CertificateKind.INTERMEDIATE, "Northgate Root CA": CertificateKind.ROOT,
    }  # fmt: skip
    assert {row.verdict for row in found.values()} == {ChainVerdict.OK}
    assert found["kafka-1"].served_on == (f"127.0.0.1:{port}",)
    assert found["kafka-1"].parent == found["Northgate Kafka CA"].fingerprint
    assert found["Northgate Kafka CA"].parent == found["Northgate Root CA"].fingerprint
    listener = TlsListener.objects.get()
    assert (listener.broker, listener.name, listener.wants) == (1, "SECURE", "required")
    address = TlsAddress.objects.get()
    assert (address.client_auth, address.verdict, len(address.chain)) == ("required", "ok", 2)
    assert address.fails_at == found["kafka-1"].not_after
    assert open_findings() == {}


def test_a_chain_that_does_not_hold_is_told_with_its_failing_link(world: World, tmp_path: Path) -> None:
    with serving(context_of([world.leaf()], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
    row = rows(world)["kafka-1"]
    assert (row.verdict, row.failing_link) == (ChainVerdict.MISSING_ISSUER, "kafka-1")
    assert "certificate_chain" in open_findings()
    with serving(context_of([world.leaf("kafka-1b"), world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
    assert open_findings() == {}


def test_a_wrong_name_is_told_unless_the_cluster_s_clients_do_not_compare_names(world: World, tmp_path: Path) -> None:
    with serving(context_of([world.leaf(ips=["10.0.0.1"]), world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
        assert rows(world)["kafka-1"].verdict is ChainVerdict.WRONG_NAME
        world.cluster.properties["ssl.endpoint.identification.algorithm"] = "none"
        world.poll()
    assert rows(world)["kafka-1"].verdict is ChainVerdict.OK


def test_without_a_trust_store_nothing_is_called_wrong_or_right(world: World, tmp_path: Path) -> None:
    world.cluster.properties = {}
    with serving(context_of([world.leaf(), world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
    assert rows(world)["kafka-1"].verdict is ChainVerdict.UNVERIFIED
    assert open_findings() == {}


@pytest.mark.parametrize(
    ("left", "band", "severity"),
    [
        (89, Band.ROTATE, "warning"),
        (29, Band.ALARM, "critical"),
        (1, Band.DAYS_2, "critical"),
        (-1, Band.EXPIRED, "critical"),
    ],
)
def test_each_step_before_the_end_is_a_finding(
    left: int, band: Band, severity: str, world: World, tmp_path: Path
) -> None:
    with serving(context_of([world.leaf(begins=NOW - 300 * DAY, ends=NOW + left * DAY), world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
        world.poll()
    assert rows(world)["kafka-1"].band is band
    (finding,) = Finding.objects.filter(closed_at__isnull=True)
    assert (finding.kind, finding.severity, finding.entity) == ("certificate_expiry", severity, "kafka-1")
    assert f"127.0.0.1:{port}" in finding.reason


def test_a_rotation_is_logged_with_both_serials_and_its_window(world: World, tmp_path: Path) -> None:
    old, new = world.leaf(begins=NOW - 300 * DAY, ends=NOW + 40 * DAY), world.leaf(ends=NOW + 365 * DAY)
    context = context_of([old, world.low], tmp_path)
    with serving(context) as port:
        world.kafka.ports = {1: port}
        world.poll()
        assert "certificate_expiry" in open_findings()
        before = TlsAddress.objects.get().read_at
        context.load_cert_chain(_chain_file([new, world.low], tmp_path))
        world.poll()
        world.poll()
    (line,) = Rotation.objects.all()
    assert (line.old_serial, line.new_serial) == (old.certificate.serial, new.certificate.serial)
    assert (line.broker, line.place, line.same_key) == (1, f"127.0.0.1:{port}", False)
    assert line.old_seen_at == before
    assert 39 < (line.days_early or 0) < 40
    assert line.healthy is None
    assert open_findings() == {}
    assert [row.serial for row in rows(world).values() if row.title == "kafka-1"] == [new.certificate.serial]


def test_the_rotation_log_cannot_be_changed(world: World, tmp_path: Path) -> None:
    context = context_of([world.leaf(), world.low], tmp_path)
    with serving(context) as port:
        world.kafka.ports = {1: port}
        world.poll()
        context.load_cert_chain(_chain_file([world.leaf(), world.low], tmp_path))
        world.poll()
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic():
        Rotation.objects.update(new_serial="00")
    with pytest.raises(DatabaseError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("DELETE FROM clusters_rotation")


def test_the_log_says_whether_the_cluster_stayed_healthy(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "_readers", {})
    calm = window.Figure("lag", "lag up to 3 s, 2 s before", good=True, during=3, before=2, unit="seconds")
    window.register("lag", lambda cluster, span: [calm] if span.before < span.begins < span.ends else [])
    context = context_of([world.leaf(), world.low], tmp_path)
    with serving(context) as port:
        world.kafka.ports = {1: port}
        world.poll()
        context.load_cert_chain(_chain_file([world.leaf(), world.low], tmp_path))
        world.poll()
    line = Rotation.objects.get()
    assert (line.healthy, line.harmed) == (True, "")
    assert line.health == [
        {"name": "lag", "text": "lag up to 3 s, 2 s before", "good": True, "during": 3, "before": 2, "unit": "seconds"}
    ]


def test_a_renewal_with_the_old_key_is_called_that(world: World, tmp_path: Path) -> None:
    context = context_of([world.leaf(number=7001, begins=NOW - 90 * DAY), world.low], tmp_path)
    with serving(context) as port:
        world.kafka.ports = {1: port}
        world.poll()
        context.load_cert_chain(_chain_file([world.leaf(number=7001), world.low], tmp_path))
        world.poll()
    assert Rotation.objects.get().same_key is True
    assert rows(world)["kafka-1"].same_key_as is not None
    assert "certificate_same_key" in open_findings()


def test_a_file_that_is_newer_than_what_is_served_is_the_loudest_finding(
    world: World, tmp_path: Path, settings: Any
) -> None:
    old, new = world.leaf(begins=NOW - 50 * DAY), world.leaf(begins=NOW - DAY)
    path = tmp_path / "kafka-1.pem"
    path.write_bytes(old.key_pem + old.pem + world.low.pem)
    settings.CERTIFICATE_PATHS = [f"{tmp_path}/kafka-*.pem"]
    with serving(context_of([old, world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
        assert rows(world)["kafka-1"].file == str(path)
        assert rows(world)["kafka-1"].drift is None
        path.write_bytes(new.key_pem + new.pem + world.low.pem)
        world.poll()
    found = {row.serial: row for row in certificates_in(ALL, "north") if row.title == "kafka-1"}
    drift = found[old.certificate.serial].drift
    assert drift is not None
    assert (drift.word, drift.serial, drift.file) == ("file_newer", new.certificate.serial, str(path))
    assert Finding.objects.get(kind="certificate_drift", closed_at__isnull=True).severity == "critical"


def test_a_broker_s_certificate_is_one_though_a_file_holds_it_too(world: World, tmp_path: Path, settings: Any) -> None:
    served = world.leaf(begins=NOW - 300 * DAY, ends=NOW + 50 * DAY)
    ahead = world.leaf(begins=NOW - DAY, ends=NOW + 50 * DAY)
    other = world.leaf("gateway", ips=["10.9.8.7"], begins=NOW - 300 * DAY, ends=NOW + 50 * DAY)
    client = world.leaf("alice", extended=[CLIENT])
    for one in (served, ahead, other, client):
        (tmp_path / f"{one.certificate.serial}.pem").write_bytes(one.pem + world.low.pem)
    settings.CERTIFICATE_PATHS = [f"{tmp_path}/*.pem"]
    services.policy_change(kind="endpoint", rotate_days=40, alarm_days=20, acting_user=None)
    services.policy_change(kind="broker", rotate_days=90, alarm_days=60, acting_user=None)
    world.poll()
    with serving(context_of([served, world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
    kinds = {row.serial: (row.kind, row.band) for row in certificates_in(ALL, "north") if row.serial}
    broker, endpoint = CertificateKind.BROKER, CertificateKind.ENDPOINT
    assert kinds[served.certificate.serial] == (broker, Band.ALARM)
    assert kinds[ahead.certificate.serial][0] is broker  # what is to be served next
    assert kinds[other.certificate.serial] == (endpoint, Band.OK)
    assert kinds[client.certificate.serial][0] is CertificateKind.CLIENT
    assert {row.kind for row in certificates_in(ALL, "north")} >= {CertificateKind.ROOT, CertificateKind.INTERMEDIATE}
    told = Finding.objects.get(
        kind="certificate_expiry", closed_at__isnull=True, inputs__serial=served.certificate.serial
    )
    assert "The broker certificate" in told.reason
    assert "alarms at 60" in told.reason
    days = {(listener, kind) for _, _, _, listener, _, kind in certificate_days() if listener}
    assert (f"127.0.0.1:{port}", "broker") in days


def test_a_certificate_that_was_stored_under_another_kind_comes_right_with_the_next_probe(
    world: World, tmp_path: Path
) -> None:
    own = root("kafka-1", ips=["127.0.0.1"], begins=NOW - DAY, ends=NOW + 300 * DAY)
    with serving(context_of([own], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
        Certificate.objects.filter(common_name="kafka-1").update(kind="endpoint")
        world.poll()
        assert rows(world)["kafka-1"].kind is CertificateKind.BROKER  # though it has signed itself, as an authority
        Certificate.objects.filter(common_name="kafka-1").update(kind="registry", kind_set=True)
        world.poll()
    assert rows(world)["kafka-1"].kind is CertificateKind.REGISTRY  # what a person has set stays


def test_a_file_that_cannot_be_read_is_a_finding_and_keeps_its_certificates(
    world: World, tmp_path: Path, settings: Any
) -> None:
    path = tmp_path / "client.pem"
    path.write_bytes(world.leaf("alice", extended=[CLIENT]).pem)
    settings.CERTIFICATE_PATHS = [str(path), f"south={tmp_path}/other.pem"]
    world.poll()
    path.write_bytes(b"-----BEGIN CERTIFICATE-----\n???\n-----END CERTIFICATE-----\n")
    outcome = world.poll()
    assert [(one.entity, one.code) for one in outcome.errors] == [(f"file:{path}", "malformed_pem")]
    assert rows(world)["alice"].kind is CertificateKind.CLIENT
    assert "certificate_file" in open_findings()
    path.unlink()
    assert [one.code for one in world.poll().errors] == ["missing"]
    path.symlink_to(tmp_path / "nowhere")
    assert [one.code for one in world.poll().errors] == ["broken_link"]
    settings.CERTIFICATE_PATHS = []
    world.poll()
    assert "alice" not in rows(world)
    assert open_findings() == {}


def test_a_client_s_certificate_belongs_to_whom_its_principal_does(world: World, tmp_path: Path, settings: Any) -> None:
    ours = Client.objects.create(name="Northgate Capital")
    Ownership.objects.create(client=ours, kind=Ownership.Kind.PRINCIPAL, glob="User:northgate-*")
    (tmp_path / "a.pem").write_bytes(world.leaf("northgate-1", extended=[CLIENT]).pem)
    (tmp_path / "b.pem").write_bytes(world.leaf("southbank-1", extended=[CLIENT]).pem)
    settings.CERTIFICATE_PATHS = [f"{tmp_path}/?.pem"]
    world.poll()
    assert rows(world)["northgate-1"].client == "Northgate Capital"
    seen = certificates_in(Scope(everything=False, client_ids=frozenset({ours.pk})))
    assert [(row.title, row.served_on, row.file) for row in seen] == [("northgate-1", (), None)]


def test_a_listener_that_cannot_be_checked_keeps_its_last_chain_and_is_told(world: World, tmp_path: Path) -> None:
    with serving(context_of([world.leaf(), world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
    outcome = world.poll()
    assert [(one.entity, one.code) for one in outcome.errors] == [(f"listener:127.0.0.1:{port}", "refused")]
    assert open_findings() == {}
    world.poll()
    address = TlsAddress.objects.get()
    assert (address.error, len(address.chain)) == ("refused", 2)
    assert address.read_at is not None
    assert "certificate_unchecked" in open_findings()
    assert rows(world)["kafka-1"].served_on == (f"127.0.0.1:{port}",)


def test_a_pair_of_key_types_is_watched_as_two(world: World, tmp_path: Path, settings: Any) -> None:
    settings.CERTIFICATE_KEY_TYPES = "both"
    settings.CERTIFICATE_PATHS = [f"{tmp_path}/pair.pem"]
    own = world.leaf(begins=NOW - 70 * DAY)
    old, new = (world.leaf(kind="rsa2048", begins=NOW - days * DAY) for days in (60, 1))
    (tmp_path / "pair.pem").write_bytes(own.pem + old.pem + world.low.pem)
    context = context_of([own, world.low], tmp_path)
    context.load_cert_chain(_chain_file([old, world.low], tmp_path))
    with serving(context) as port:
        world.kafka.ports = {1: port}
        world.poll()
        assert [row.drift for row in certificates_in(ALL, "north")] == [None] * 4
        context.load_cert_chain(_chain_file([new, world.low], tmp_path))
        world.poll()
    found = {row.key_type: row.leaf.serial for row in TlsAddress.objects.select_related("leaf") if row.leaf}
    assert found == {"": own.certificate.serial, "rsa": new.certificate.serial}
    line = Rotation.objects.get()
    assert (line.place, line.old_serial) == (f"127.0.0.1:{port} RSA", old.certificate.serial)
    drifts = {
        row.serial: row.drift and row.drift.word for row in certificates_in(ALL, "north") if row.title == "kafka-1"
    }
    assert drifts[own.certificate.serial] is None
    assert drifts[new.certificate.serial] == "served_newer"
    world.poll()  # nothing listens
    assert {row.key_type: (row.error, len(row.chain)) for row in TlsAddress.objects.all()} == {
        "": ("refused", 2), "rsa": ("refused", 2),
    }  # fmt: skip


def test_a_name_that_no_longer_resolves_keeps_what_its_addresses_served(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving(context_of([world.leaf(), world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
    lost = Probed("", error="dns", message="The name does not resolve.")
    monkeypatch.setattr(polling, "probe_all", lambda targets, deadline: dict.fromkeys(targets, (lost,)))
    world.poll()
    address = TlsAddress.objects.get()
    assert (address.address, address.error, len(address.chain)) == ("127.0.0.1", "dns", 2)


def test_a_cluster_that_does_not_answer_still_has_its_listeners_probed(world: World, tmp_path: Path) -> None:
    with serving(context_of([world.leaf(), world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
        first = TlsAddress.objects.get().read_at
        world.kafka.failure = GatewayFailed("timeout", "The cluster does not answer.")
        outcome = world.poll()
    assert [one.entity for one in outcome.errors] == ["kafka"]
    assert first is not None
    assert (TlsAddress.objects.get().read_at or first) > first


def test_without_the_right_to_read_settings_the_way_in_is_probed(world: World, tmp_path: Path) -> None:
    world.kafka.ports, world.kafka.refused = {1: 1}, {1}
    outcome = world.poll()
    assert [one.code for one in outcome.errors][:1] == ["not_allowed"]
    assert [str(row) for row in TlsListener.objects.all()] == ["127.0.0.1:9093"]


def test_a_listener_that_is_named_no_more_goes_and_its_certificate_with_it(world: World, tmp_path: Path) -> None:
    with ExitStack() as stack:
        first = stack.enter_context(serving(context_of([world.leaf("one"), world.low], tmp_path)))
        second = stack.enter_context(serving(context_of([world.leaf("two"), world.low], tmp_path)))
        world.kafka.ports = {1: first}
        world.poll()
        world.kafka.ports = {1: second}
        world.poll()
    assert set(rows(world)) == {"two", "Northgate Kafka CA", "Northgate Root CA"}
    assert Certificate.objects.get(common_name="one").removed_at is not None


def test_a_listener_is_probed_at_most_once_a_minute(world: World, tmp_path: Path) -> None:
    with serving(context_of([world.leaf(), world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
        listener = TlsListener.objects.get()
        assert not services.probe_request(listener=listener)
        assert services.listeners_probe(listener_ids=[listener.pk]) == 0
        TlsListener.objects.update(probed_at=NOW - DAY)
        assert services.probe_request(listener=listener)
        assert not services.probe_request(listener=listener)
        assert services.listeners_probe(listener_ids=[listener.pk]) == 1


@pytest.mark.parametrize("period", [60.0, 900.0])
def test_a_listener_is_probed_once_in_every_period_however_the_ticks_waver(world: World, period: float) -> None:
    world.kafka.ports = {1: 1}
    begins = database_clock().now() // period * period

    def probed(seconds: float) -> float:
        return world.run(Clock(begins + seconds, time.monotonic()), period).counts["listeners"]

    assert probed(0.9) == 1
    assert probed(period - 5) == 0  # a run that is repeated, or late
    assert probed(period + 0.2) == 1  # less than a period after the one before
    assert probed(period + 0.9) == 0
    assert probed(2 * period) == 1


def test_a_probe_on_demand_puts_off_no_tick(world: World) -> None:
    world.kafka.ports = {1: 1}
    world.poll()
    listener = TlsListener.objects.get()
    begins = (database_clock().now() // 900 + 1) * 900
    TlsListener.objects.update(requested_at=as_datetime(begins - 1), probed_at=as_datetime(begins - 1))
    assert world.run(Clock(begins, time.monotonic()), 900).counts["listeners"] == 1
    assert not services.probe_request(listener=listener)


def test_an_endpoint_entered_by_hand_is_probed_in_http(world: World, tmp_path: Path) -> None:
    heard: list[bytes] = []

    def talk(link: ssl.SSLSocket) -> None:
        heard.append(link.recv(4096))
        link.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

    with serving(context_of([world.leaf("registry"), world.low], tmp_path), talk) as port:
        services.endpoint_add(
            cluster=world.cluster, host="127.0.0.1", port=port, kind=CertificateKind.REGISTRY, acting_user=None
        )
        world.poll()
    assert rows(world)["registry"].kind is CertificateKind.REGISTRY
    assert wait_until(lambda: bool(heard), seconds=5)
    assert heard[0].startswith(b"HEAD /")


def test_a_plain_listener_is_told_as_such(world: World) -> None:
    with plain(b"HTTP/1.0 400\r\n\r\n") as port:
        services.endpoint_add(cluster=world.cluster, host="127.0.0.1", port=port, acting_user=None)
        outcome = world.poll()
    assert [one.code for one in outcome.errors] == ["not_tls"]


def test_a_self_signed_stranger_never_becomes_an_anchor(world: World, tmp_path: Path) -> None:
    other = root("Stranger Root")
    own = leaf(other, "stranger", dns=(), ips=["127.0.0.1"], begins=NOW - DAY, ends=NOW + 300 * DAY)
    with serving(context_of([own, other], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
    row = rows(world)["stranger"]
    assert (row.verdict, row.failing_link) == (ChainVerdict.UNTRUSTED, "Stranger Root")


def _chain_file(chain: list[Made], place: Path) -> Path:
    path = place / f"{chain[0].certificate.fingerprint[:20]}.chain"
    path.write_bytes(chain[0].key_pem + b"".join(one.pem for one in chain))
    return path


def test_an_uploaded_trust_store_makes_anchors(world: World, tmp_path: Path) -> None:
    world.cluster.properties = {}
    world.cluster.save()
    with serving(context_of([world.leaf(), world.low], tmp_path)) as port:
        world.kafka.ports = {1: port}
        world.poll()
    services.file_upload(
        cluster=world.cluster, name="../roots.pem", data=world.top.pem, password="", trusted=True, acting_user=None
    )
    assert rows(world)["kafka-1"].verdict is ChainVerdict.OK
    file = CertificateFile.objects.get()
    assert (file.name, file.trusted) == ("roots.pem", True)
    services.file_remove(row=file, acting_user=None)
    assert rows(world)["kafka-1"].verdict is ChainVerdict.UNVERIFIED
