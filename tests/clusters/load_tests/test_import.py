"""Bringing in a load test: by page, over HTTP, by command; reading, cancelling, giving up."""

import json
from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from django.test import Client

from accounts.models import AuditEntry, User
from accounts.services import token_create
from clusters.load_tests.states import Status
from clusters.models import Cluster, LoadTest
from clusters.selectors.load_tests import (
    load_test_by_id,
    load_tests,
    load_tests_compared,
    overall,
    reading,
    recorded_beside,
)
from clusters.services import load_tests as services
from clusters.services.load_tests import (
    Offered,
    directory_of,
    found_at,
    load_test_cancel,
    load_test_read,
    load_test_remove,
    load_tests_settle,
)
from clusters.tasks import read_load_test, settle_load_tests
from tests.accounts.factories import make_user
from tests.clusters.load_tests.made import START, begun, load_test_made, write_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.objects.create(name="north", bootstrap="127.0.0.1:1")


@pytest.fixture
def sre() -> User:
    return make_user("sre", "sre")


@pytest.fixture
def read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent to the queue is run there and then."""
    for module in ("views", "api"):
        monkeypatch.setattr(f"clusters.{module}.load_tests.send_load_test", lambda pk: load_test_read(pk=pk))


def upload(name: str, text: str | bytes) -> SimpleUploadedFile:
    return SimpleUploadedFile(name, text.encode() if isinstance(text, str) else text)


TRACES = "timestamp,latency_ms,messages\n" + "".join(f"{START + n},{n % 9},90000\n" for n in range(60))


# --- reading ---------------------------------------------------------------------------------------------------------
def test_a_run_is_read_judged_and_its_files_are_removed(tmp_path: Path, sre: User, cluster: Cluster) -> None:
    row = begun(tmp_path, cluster=cluster, acting_user=sre)
    assert (row.status, row.brought_by_name) == ("importing", "sre")
    assert directory_of(row.directory).is_dir()
    assert load_test_read(pk=row.pk) == f"Load test {row.pk}: done."
    row.refresh_from_db()
    assert not directory_of(row.directory).exists()
    found = {verdict["threshold"]: (verdict["verdict"], verdict["source"]) for verdict in row.verdicts}
    assert found == {"p95<10": ("missed", "traces.csv"), "p99<100": ("kept", "traces.csv"), "rate>80000": ("kept", "traces.csv")}  # fmt: skip
    assert row.verdicts[0]["value"] == pytest.approx(36, rel=0.01)
    assert row.verdicts[0]["stated"] is True
    assert row.contradictions[0]["aggregate"] in {"avg", "p(95)"}
    assert overall(row) == "missed"
    assert row.run_started_at is not None
    assert row.run_started_at.timestamp() == START
    assert set(row.series["broker_cpu"]) == {"1", "2"}
    assert AuditEntry.objects.filter(action="clusters.load_test_begun", actor=sre).count() == 1
    assert (tmp_path / "traces.csv").exists()  # what was found in a directory stays there


def test_a_run_is_read_once_however_often_the_job_comes(tmp_path: Path) -> None:
    row = begun(tmp_path)
    load_test_read(pk=row.pk)
    assert read_load_test(row.pk) == f"Load test {row.pk} is not waiting to be read."


def _hello(target: Path) -> None:
    target.write_text("hello")


def test_files_that_nobody_knows_are_named_as_left_out(tmp_path: Path) -> None:
    files = [*write_files(tmp_path), Offered("notes.txt", 5, _hello)]
    row = begun(tmp_path, files=files)
    assert not (directory_of(row.directory) / "notes.txt").exists()
    load_test_read(pk=row.pk)
    row.refresh_from_db()
    assert row.problems[0] == {
        "file": "notes.txt",
        "line": None,
        "text": "not one of the files of a load test: left out",
    }
    assert row.problem_count == 1


def test_a_reading_without_its_files_fails_and_says_why(tmp_path: Path) -> None:
    row = begun(tmp_path)
    for path in directory_of(row.directory).iterdir():
        path.unlink()
    directory_of(row.directory).rmdir()
    load_test_read(pk=row.pk)
    row.refresh_from_db()
    assert "share the directory" in row.error


def test_a_fault_of_the_reader_is_a_failure_not_an_endless_import(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise ZeroDivisionError("by zero")

    monkeypatch.setattr(services, "read_run", broken)
    row = begun(tmp_path)
    load_test_read(pk=row.pk)
    row.refresh_from_db()
    assert (row.status, row.error) == ("failed", "The files could not be read: ZeroDivisionError: by zero")


# --- progress, cancelling, giving up ---------------------------------------------------------------------------------
def test_progress_is_stored_and_cancelling_ends_the_reading(
    tmp_path: Path, sre: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = begun(tmp_path)
    seen: list[tuple[str, float]] = []
    real = services._Teller.__call__

    def watched(teller: Any, file: str, read: int, whole: int) -> None:
        teller.next = 0.0
        real(teller, file, read, whole)
        fresh = LoadTest.objects.get(pk=row.pk)
        seen.append((fresh.step, reading(fresh).share))
        if file.startswith("broker-2"):
            load_test_cancel(load_test=fresh, acting_user=sre)

    monkeypatch.setattr(services._Teller, "__call__", watched)
    load_test_read(pk=row.pk)
    row.refresh_from_db()
    assert (row.status, row.series, row.verdicts) == ("cancelled", {}, [])
    assert [step for step, _ in seen] == ["broker-1-cpu.csv", "broker-2-cpu.csv"]
    assert 0 < seen[0][1] < seen[1][1] < 1
    assert not directory_of(row.directory).exists()
    assert AuditEntry.objects.filter(action="clusters.load_test_cancelled").count() == 1


def test_what_no_worker_has_taken_is_cancelled_at_once(tmp_path: Path, sre: User) -> None:
    row = begun(tmp_path)
    assert reading(row).waiting
    load_test_cancel(load_test=row, acting_user=sre)
    row.refresh_from_db()
    assert row.status == "cancelled"
    assert not directory_of(row.directory).exists()
    assert load_test_read(pk=row.pk) == f"Load test {row.pk} is not waiting to be read."


def test_a_queue_that_does_not_answer_fails_the_import_and_keeps_no_files(tmp_path: Path) -> None:
    def down(pk: int) -> None:
        raise ConnectionError("no broker")

    row = begun(tmp_path, send=down)
    assert row.status == "failed"
    assert "queue" in row.error
    load_tests_settle()


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"claimed_at": Now(), "told_at": Now() - timedelta(seconds=121)}, "has ended"),
        ({"created_at": Now() - timedelta(seconds=901)}, "No worker"),
    ],
)
def test_a_lost_reading_is_given_up_and_writes_nothing_later(tmp_path: Path, fields: dict[str, Any], why: str) -> None:
    row, other = begun(tmp_path), begun(tmp_path)
    LoadTest.objects.filter(pk=row.pk).update(**fields)
    assert settle_load_tests() == "1 readings of load tests were given up."
    row.refresh_from_db()
    other.refresh_from_db()
    assert (row.status, other.status) == ("failed", "importing")
    assert why in row.error
    assert services._end(row, Status.DONE) == 0


def test_directories_that_nobody_needs_are_removed(tmp_path: Path) -> None:
    import os

    row = begun(tmp_path)
    orphan = directory_of("orphan")
    orphan.mkdir()
    os.utime(orphan, (1, 1))
    os.utime(directory_of(row.directory), (1, 1))
    load_tests_settle()
    assert not orphan.exists()
    assert directory_of(row.directory).exists()


# --- what is refused -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("files", "thresholds", "field", "said"),
    [
        ([], [], "files", "at least one"),
        ([("x.txt", 1)], [], "files", "None of these"),
        ([("traces.csv", 1), ("traces.csv", 1)], [], "files", "same name"),
        (
            [("traces.csv", 2_000_000_001)],
            [],
            "files",
            "larger than 2 GB: 2,000,000,001 bytes, of which traces.csv has",
        ),
        ([(f"broker-{n}-cpu.csv", 1) for n in range(61)], [], "files", "At most 60"),
        ([("traces.csv", 1)], ["p95 below 10"], "threshold", "no threshold"),
        ([("traces.csv", 1)], [f"p95<{n}" for n in range(51)], "threshold", "At most 50"),
    ],
)
def test_what_makes_no_sense_is_refused_before_anything_is_kept(
    tmp_path: Path, files: list[tuple[str, int]], thresholds: list[str], field: str, said: str
) -> None:
    offered = [Offered(name, size, lambda target: None) for name, size in files]
    with pytest.raises(ValidationError) as refused:
        begun(tmp_path, files=offered, thresholds=thresholds)
    assert said in refused.value.message_dict[field][0]
    assert not LoadTest.objects.exists()


def test_the_database_keeps_states_consistent(tmp_path: Path) -> None:
    row = begun(tmp_path)
    for fields in ({"status": "odd"}, {"status": "done"}, {"status": "failed", "ended_at": Now()}, {"ended_at": Now()}):
        with pytest.raises(IntegrityError), transaction.atomic():
            LoadTest.objects.filter(pk=row.pk).update(**fields)


# --- page and API ----------------------------------------------------------------------------------------------------
def test_the_page_takes_files_and_leads_to_the_run(client: Client, sre: User, cluster: Cluster, read_at_once: None) -> None:  # fmt: skip
    client.force_login(sre)
    form = {"files": [upload("traces.csv", TRACES)], "name": "Evening", "cluster": "north", "threshold": "p95<10\r\nrate>80000\r\n"}  # fmt: skip
    answer = client.post("/load-tests/import", form)
    row = LoadTest.objects.get()
    assert (answer.status_code, answer["Location"]) == (302, f"/load-tests/{row.pk}")
    assert (row.name, row.status, row.via, row.thresholds) == ("Evening", "done", "page", ["p95<10", "rate>80000"])
    page = client.get(f"/load-tests/{row.pk}").content.decode()
    assert "2 kept of 2 thresholds." in page
    assert "Nothing was recorded of north in these minutes" in page
    figures = client.get(f"/load-tests/{row.pk}/figures").json()
    assert set(figures) == {"throughput", "latency"}
    assert figures["latency"]["layout"]["shapes"][0]["y0"] == 10
    assert "Evening" in client.get("/load-tests").content.decode()


def test_a_script_gets_the_address_or_what_is_wrong(client: Client, sre: User, read_at_once: None) -> None:
    client.force_login(sre)
    json_please = {"Accept": "application/json"}
    answer = client.post("/load-tests/import", {"files": [upload("traces.csv", TRACES)]}, headers=json_please)
    assert answer.json() == {"location": f"/load-tests/{LoadTest.objects.get().pk}"}
    answer = client.post("/load-tests/import", {"files": [upload("a.txt", "x")]}, headers=json_please)
    assert answer.status_code == 422
    assert "None of these" in answer.json()["fields"]["files"][0]
    answer = client.post("/load-tests/import", {"files": [upload("traces.csv", TRACES)], "cluster": "none"})
    assert answer.status_code == 422
    assert "There is no cluster named none." in answer.content.decode()


def test_the_api_takes_files_and_shows_the_run(client: Client, sre: User, cluster: Cluster, read_at_once: None) -> None:
    token = {"Authorization": f"Bearer {token_create(user=sre, acting_user=sre)[1]}"}
    form = {"files": [upload("traces.csv", TRACES)], "cluster": "north", "threshold": ["p95<10", "p99<100"]}
    answer = client.post("/api/v1/load-tests", form, headers=token)
    assert answer.status_code == 202, answer.content
    body = client.get(answer["Location"], headers=token).json()
    assert (body["status"], body["verdict"], body["cluster"], body["via"]) == ("done", "kept", "north", "api")
    assert [one["verdict"] for one in body["verdicts"]] == ["kept", "kept"]
    assert len(body["throughput"]) == 60
    assert {one["worst"] for one in body["platform"]} == {None}
    assert client.get("/api/v1/load-tests?status=importing", headers=token).json()["total"] == 0
    refused = client.post("/api/v1/load-tests", {"threshold": "p95<10"}, headers=token)
    assert (refused.status_code, refused.json()["error"]) == (422, "invalid")
    assert client.post("/api/v1/load-tests", form | {"cluster": "south"}, headers=token).status_code == 422


@pytest.mark.parametrize("role", ["oncall", "lead", "client", "account-manager"])
def test_only_who_may_bring_in_does(client: Client, cluster: Cluster, role: str) -> None:
    row = load_test_made("North at night", cluster)
    user = make_user(role, role)
    client.force_login(user)
    sees = role in {"oncall", "lead"}
    assert client.get("/load-tests").status_code == (200 if sees else 403)
    assert client.get(f"/load-tests/{row.pk}").status_code == (200 if sees else 403)
    assert client.post("/load-tests/import", {"files": [upload("traces.csv", TRACES)]}).status_code == 403
    assert client.post(f"/load-tests/{row.pk}/remove", {"name": row.name}).status_code == 403
    assert (load_test_by_id(user, row.pk) is not None) == sees
    assert load_tests(user).exists() == sees
    assert bool(load_tests_compared(user, [row.pk])) == sees


def test_every_state_has_its_page(client: Client, sre: User, tmp_path: Path) -> None:
    client.force_login(sre)
    assert "No load test has been brought in" in client.get("/load-tests").content.decode()
    row = begun(tmp_path)
    page = client.get(f"/load-tests/{row.pk}").content.decode()
    assert "Waiting for a worker" in page
    assert "Waiting" in client.get(f"/load-tests/{row.pk}/progress").content.decode()
    assert client.post(f"/load-tests/{row.pk}/cancel").status_code == 302
    assert client.get(f"/load-tests/{row.pk}/progress")["HX-Refresh"] == "true"
    assert "The reading was cancelled" in client.get(f"/load-tests/{row.pk}").content.decode()
    LoadTest.objects.filter(pk=row.pk).update(status="failed", error="The queue is away.")
    assert "The queue is away." in client.get(f"/load-tests/{row.pk}").content.decode()
    assert "The queue is away." in client.get("/load-tests").content.decode()


def test_a_run_is_removed_by_its_name_alone(client: Client, sre: User) -> None:
    client.force_login(sre)
    row = load_test_made("Old", None)
    client.post(f"/load-tests/{row.pk}/remove", {"name": "old"})
    assert LoadTest.objects.exists()
    client.post(f"/load-tests/{row.pk}/remove", {"name": "Old"})
    assert not LoadTest.objects.exists()


def test_what_is_being_read_cannot_be_removed(tmp_path: Path, sre: User) -> None:
    with pytest.raises(ValidationError):
        load_test_remove(load_test=begun(tmp_path), acting_user=sre)


def test_runs_are_compared_figure_by_figure(client: Client, sre: User, cluster: Cluster) -> None:
    client.force_login(sre)
    first, second = load_test_made("Before", cluster), load_test_made("After", cluster, latency_ms=2.0)
    page = client.get(f"/load-tests/compare?id={first.pk}&id={second.pk}").content.decode()
    assert "-50.0 %" in page
    assert "better" in page
    figures = client.get(f"/load-tests/compare/figures?id={first.pk}&id={second.pk}").json()
    assert [trace["x"][0] for trace in figures["latency"]["data"]] == [0.0, 0.0]
    assert "Choose at least two runs" in client.get(f"/load-tests/compare?id={first.pk}").content.decode()


# --- beside the platform's own figures -------------------------------------------------------------------------------
def test_what_the_platform_recorded_stands_beside_and_the_rest_is_not_recorded(sre: User, cluster: Cluster) -> None:
    row = load_test_made("North", cluster)
    found = recorded_beside(sre, row)
    assert {one.worst for one in found} == {None}
    assert all(one.why for one in found)
    assert {"lag history", "signal produce_p99"} <= {one.source for one in found}


# --- the command -----------------------------------------------------------------------------------------------------
def test_the_command_reads_a_directory(tmp_path: Path, cluster: Cluster) -> None:
    write_files(tmp_path)
    (tmp_path / "nested").mkdir()
    said = StringIO()
    call_command("import_load_test", str(tmp_path), cluster="north", name="Nightly", threshold=["p99<100"], stdout=said)
    row = LoadTest.objects.get()
    assert (row.status, row.name, row.via, row.thresholds) == ("done", "Nightly", "command", ["p99<100"])
    assert "kept" in said.getvalue()
    assert f"/load-tests/{row.pk}" in said.getvalue()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"cluster": "none"}, "no cluster named none"),
        ({"threshold": ["fast"]}, "no threshold"),
    ],
)
def test_the_command_says_what_is_wrong(tmp_path: Path, cluster: Cluster, arguments: dict[str, Any], said: str) -> None:
    write_files(tmp_path)
    with pytest.raises(CommandError, match=said):
        call_command("import_load_test", str(tmp_path), **arguments)


def test_the_command_wants_a_directory_with_files_it_knows(tmp_path: Path) -> None:
    with pytest.raises(CommandError, match="at least one"):
        call_command("import_load_test", str(tmp_path))
    with pytest.raises(CommandError, match="no directory"):
        call_command("import_load_test", str(tmp_path / "none"))


def test_files_are_kept_below_the_directory_of_data(tmp_path: Path) -> None:
    assert directory_of("x").is_relative_to(Path(settings.PORTAL_VAR))
    write_files(tmp_path)
    assert found_at(tmp_path / "traces.csv").name == "traces.csv"
    assert json.dumps(begun(tmp_path).files)
