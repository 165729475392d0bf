"""A real Apicurio: what it answers, what its access log tells, and what the portal makes of both."""

import os
import signal
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest
from django.core.management import call_command

from accounts.models import Client, Ownership
from clusters.gateways.registry import Registry, RegistryFailed
from clusters.models import Cluster, Rejection, SchemaOffer, SchemaSubject, Source
from clusters.rejections.lines import read_lines
from clusters.rejections.types import Kind
from clusters.services.rejections import lines_ingest
from clusters.services.runs import source_run
from clusters.services.schemas import registry_set, schema_check
from ops_portal.demo import registry as apicurio
from ops_portal.lib import processes
from ops_portal.lib.database import database_clock
from ops_portal.lib.kafka_runner import free_ports
from ops_portal.lib.processes import wait_until
from ops_portal.lib.resilience import Deadline
from tests.api.conftest import Caller
from tests.kafka_fixtures import KAFKA_VAR, unavailable

SUBJECT = "northgate-trades-value"
TRADE = {"type": "record", "name": "Trade", "fields": [{"name": "id", "type": "string"}]}
WITH_VENUE = TRADE | {"fields": [*TRADE["fields"], {"name": "venue", "type": "string"}]}
WITH_DEFAULT = TRADE | {"fields": [*TRADE["fields"], {"name": "venue", "type": "string", "default": ""}]}
pytestmark = [pytest.mark.kafka, pytest.mark.xdist_group("registry"), pytest.mark.timeout(300)]


@dataclass(frozen=True)
class Running:
    url: str
    access_log: Path

    def send(self, method: str, path: str, body: object) -> int:
        """The status of a call that a client makes without the portal."""
        request = urllib.request.Request(  # noqa: S310 - our own loopback
            f"{self.url}{path}",
            orjson.dumps(body),
            {"Content-Type": "application/vnd.schemaregistry.v1+json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=20) as answer:  # noqa: S310
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code

    def register(self, subject: str, schema: object) -> int:
        return self.send("POST", f"/subjects/{subject}/versions", {"schema": orjson.dumps(schema).decode()})


@pytest.fixture(scope="session")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """Apicurio in memory; fetched by Maven on the first run."""
    try:
        found = apicurio.fetch(KAFKA_VAR)
    except apicurio.RegistryUnavailable as reason:
        unavailable(str(reason))
        raise
    directory = tmp_path_factory.mktemp("registry")
    port, management = free_ports(2)
    logs = directory / "logs"
    logs.mkdir()
    child = processes.spawn(found.argv(port, management, logs), log=directory / "out.log", env=dict(os.environ))
    made = Running(f"http://127.0.0.1:{port}/apis/ccompat/v7", logs / "access.log")
    try:
        assert wait_until(lambda: _answers(made.url), seconds=90), (directory / "out.log").read_text()[-2000:]
        yield made
    finally:
        processes.end_all([(child, signal.SIGKILL)], grace_seconds=5)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/subjects", timeout=2) as answer:  # noqa: S310
            return bool(answer.status == 200)
    except OSError:
        return False


@pytest.fixture
def north(db: None, running: Running) -> Cluster:
    """A cluster with the registry, and a subject that must stay backward compatible."""
    client = Client.objects.create(name="Northgate Capital")
    Ownership.objects.create(client=client, kind="topic", glob="northgate-*")
    cluster = Cluster.objects.create(name="north", bootstrap="x:1")
    registry_set(cluster=cluster, url=running.url, acting_user=None)
    assert running.register(SUBJECT, TRADE) == 200
    assert running.send("PUT", f"/config/{SUBJECT}", {"compatibility": "BACKWARD"}) == 200
    return cluster


def poll(cluster: Cluster) -> str:
    source = Source.objects.get(cluster=cluster, kind="schemas")
    return source_run(source_id=source.pk, slot=int(database_clock().now() // source.period_seconds))


def test_subjects_are_read_with_their_rule(north: Cluster, running: Running) -> None:
    running.register("unowned%2Fodd%20name-value", TRADE | {"name": "Other"})
    assert poll(north).endswith("ok.")
    subject = SchemaSubject.objects.get(name=SUBJECT)
    assert (subject.client.name if subject.client else None, subject.compatibility, subject.compatibility_own) == (
        "Northgate Capital", "BACKWARD", True,
    )  # fmt: skip
    assert SchemaSubject.objects.get(name="unowned/odd name-value").client is None
    assert orjson.loads(subject.schema)["name"] == "Trade"
    assert subject.registry.compatibility == "NONE"


def test_a_schema_that_breaks_is_named_by_its_field(north: Cluster) -> None:
    bad = schema_check(cluster=north, subject=SUBJECT, schema=orjson.dumps(WITH_VENUE).decode(), acting_user=None)
    assert not bad.compatible
    assert bad.reasons == ("Field venue is new and has no default: records written before cannot be read.",)
    good = schema_check(cluster=north, subject=SUBJECT, schema=orjson.dumps(WITH_DEFAULT).decode(), acting_user=None)
    assert good.compatible
    new = schema_check(
        cluster=north, subject="northgate-new-value", schema=orjson.dumps(TRADE).decode(), acting_user=None
    )
    assert (new.compatible, new.version) == (True, None)
    assert list(SchemaOffer.objects.order_by("pk").values_list("compatible", flat=True)) == [False, True, True]


def test_what_is_no_schema_is_refused_with_a_reason(north: Cluster) -> None:
    found = schema_check(cluster=north, subject=SUBJECT, schema="{not a schema", acting_user=None)
    assert not found.compatible
    assert found.reasons


def test_a_refused_registration_is_read_from_the_access_log(north: Cluster, running: Running) -> None:
    before = len(read_lines(_lines(running)).rejected)
    assert running.register(SUBJECT, WITH_VENUE) == 409
    assert running.register(SUBJECT, {"type": "nonsense"}) == 422
    assert wait_until(lambda: len(read_lines(_lines(running)).rejected) >= before + 2, seconds=20), _lines(running)[-3:]
    reading = read_lines(_lines(running))
    assert reading.unread == 0
    assert {(one.kind, one.subject, one.host, one.rule[:26]) for one in reading.rejected} >= {
        (Kind.SCHEMA, SUBJECT, "127.0.0.1", "the registry answered 409:"),
        (Kind.SCHEMA, SUBJECT, "127.0.0.1", "the registry answered 422:"),
    }
    lines_ingest(cluster=north, lines=_lines(running))
    assert {row.client.name for row in Rejection.objects.filter(subject=SUBJECT) if row.client} == {"Northgate Capital"}


def test_the_check_over_http_is_for_the_own_subjects(north: Cluster, call_as: Caller) -> None:
    own = Client.objects.get(name="Northgate Capital")
    caller = call_as("client", [own])
    body = {"schema": orjson.dumps(WITH_VENUE).decode()}

    def ask(subject: str) -> tuple[int, dict[str, object]]:
        answer = caller.post(f"/api/v1/schemas/{subject}/check", body, content_type="application/json")
        return answer.status_code, answer.json()

    status, answer = ask(SUBJECT)
    assert (status, answer["compatible"], answer["compatibility"]) == (200, False, "BACKWARD")
    assert "+    " in str(answer["difference"])
    assert ask("southbank-trades-value")[0] == 404


def test_the_command_ends_with_a_code(north: Cluster, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def code(schema: object) -> int:
        (tmp_path / "schema.avsc").write_bytes(orjson.dumps(schema))
        try:
            call_command("check_schema", SUBJECT, str(tmp_path / "schema.avsc"))
        except SystemExit as ended:
            return int(ended.code or 0)
        return 0

    assert code(WITH_DEFAULT) == 0
    assert code(WITH_VENUE) == 1
    out = capsys.readouterr().out
    assert "NOT compatible under BACKWARD" in out
    assert "Give field venue a default." in out


def test_the_server_s_address_is_enough(north: Cluster, running: Running) -> None:
    server = running.url.removesuffix("/apis/ccompat/v7")
    registry_set(cluster=north, url=server, acting_user=None)
    assert poll(north).endswith("ok.")
    result = schema_check(cluster=north, subject=SUBJECT, schema=orjson.dumps(WITH_VENUE).decode(), acting_user=None)
    assert not result.compatible


def test_what_is_no_registry_never_says_that_a_schema_fits(north: Cluster, running: Running) -> None:
    registry_set(cluster=north, url=f"{running.url}/nowhere", acting_user=None)
    with pytest.raises(RegistryFailed):
        schema_check(cluster=north, subject=SUBJECT, schema="{}", acting_user=None)


def test_a_registry_that_is_away_fails_within_its_deadline(db: None) -> None:
    with pytest.raises(RegistryFailed) as failed:
        Registry("http://127.0.0.1:9", Deadline.after(5)).subjects()
    assert failed.value.code == "refused"


def _lines(running: Running) -> list[str]:
    return running.access_log.read_text(encoding="utf-8").splitlines() if running.access_log.exists() else []
