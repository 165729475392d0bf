"""A reading that ends before the files do, and what the platform recorded beside a run."""

from datetime import timedelta
from pathlib import Path

import pytest
from django.test import Client

from accounts.models import User
from clusters.health.states import Health
from clusters.models import Cluster
from clusters.selectors.load_tests import overall, recorded_beside
from clusters.services.health_history import samples_store
from clusters.services.load_tests import directory_of, found_at, load_test_read
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from tests.accounts.factories import make_user
from tests.clusters.load_tests.made import START, begun, load_test_made, write_files

pytestmark = pytest.mark.django_db


@pytest.fixture
def cluster() -> Cluster:
    return Cluster.objects.create(name="north", bootstrap="127.0.0.1:1")


@pytest.fixture
def sre() -> User:
    return make_user("sre", "sre")


LONG = "timestamp,latency_ms\n" + f"{START},4\n" * 100_000  # progress is told every megabyte


def test_what_was_read_before_time_was_up_is_kept(tmp_path: Path) -> None:
    write_files(tmp_path)
    (tmp_path / "traces.csv").write_text(LONG)
    row = begun(tmp_path, files=[found_at(path) for path in tmp_path.iterdir()], thresholds=["p95<10", "p99<100"])
    load_test_read(pk=row.pk, seconds=-1)
    row.refresh_from_db()

    assert row.status == "done"
    assert row.series["cut"] == ["traces.csv"]
    assert row.problems[0]["text"].startswith("Stopped after -1 s: the rest is left out. Read until there: ")
    assert 0 < row.series["latency"][0][1] < 100_000
    assert set(row.series["broker_cpu"]) == {"1", "2"}
    by_threshold = {one["threshold"]: one for one in row.verdicts}
    assert by_threshold["p95<10"]["source"] == "summary.json"
    assert (by_threshold["p99<100"]["verdict"], by_threshold["p99<100"]["value"]) == ("unsupported", None)
    assert not row.contradictions
    assert not directory_of(row.directory).exists()


def test_a_part_of_the_samples_keeps_and_misses_nothing(tmp_path: Path) -> None:
    (tmp_path / "traces.csv").write_text(LONG)
    row = begun(tmp_path, files=[found_at(tmp_path / "traces.csv")], thresholds=["p95<10", "p99<1"])
    load_test_read(pk=row.pk, seconds=-1)
    row.refresh_from_db()

    assert [(one["verdict"], one["value"]) for one in row.verdicts] == [("unsupported", 4.0)] * 2
    assert (
        "p(95) of produce_latency is 4 in the part that was read; the rest is not known." in row.verdicts[0]["reason"]
    )
    assert overall(row) == "unsupported"


def test_the_page_says_what_was_not_read_to_its_end(sre: User, tmp_path: Path, client: Client) -> None:
    (tmp_path / "traces.csv").write_text(LONG)
    row = begun(tmp_path, files=[found_at(tmp_path / "traces.csv")])
    load_test_read(pk=row.pk, seconds=-1)
    client.force_login(sre)
    page = client.get(f"/load-tests/{row.pk}").content.decode()
    assert "Not read to its end: traces.csv" in page
    assert "Stopped after -1 s" in page


def test_figures_of_those_minutes_stand_beside_with_their_worst_and_median(
    sre: User, cluster: Cluster, client: Client
) -> None:
    row = load_test_made("North", cluster)
    now = as_datetime(database_clock().now())
    row.run_started_at, row.run_ended_at = now - timedelta(seconds=60), now - timedelta(seconds=40)
    row.save()
    told = ((90, 500.0, Health.CRITICAL), (55, 4.0, Health.OK), (45, 9.0, Health.WARNING), (35, 5.0, Health.OK))
    for ago, value, state in told:
        samples = [("produce_p95", value, state), ("handler_idle", value / 10, Health.OK)]
        samples_store(cluster.pk, now - timedelta(seconds=ago), samples)

    found = {one.source: one for one in recorded_beside(sre, row)}
    latency, idle = found["signal produce_p95"], found["signal handler_idle"]
    assert (latency.worst, latency.typical, latency.state) == (9.0, 5.0, Health.WARNING)
    assert (idle.worst, idle.typical, idle.state) == (0.4, 0.5, Health.OK)
    client.force_login(sre)
    page = client.get(f"/load-tests/{row.pk}").content.decode()
    assert "signal produce_p95" in page
    assert "Not recorded in these minutes: Produce latency, 99 of 100" in page
