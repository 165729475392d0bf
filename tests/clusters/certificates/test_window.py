"""The rotation log compares the window of a change with as long a time before: harm is what was worse, or offline at all."""

from datetime import UTC, datetime, timedelta

import pytest

from clusters.health.states import Health
from clusters.models import Cluster
from clusters.services.certificates import window
from clusters.services.certificates.window import window_of
from clusters.services.health_history import samples_store
from ops_portal.lib.formats import THIN

pytestmark = pytest.mark.django_db
ENDS = datetime.now(UTC).replace(microsecond=0)
BEGINS = ENDS - timedelta(minutes=2)
BEFORE = BEGINS - timedelta(minutes=1)


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> Cluster:
    monkeypatch.setattr(window, "_readers", {})
    return Cluster.objects.create(name="north", bootstrap="127.0.0.1:1")


def measured(cluster: Cluster, signal: str, before: float | None, during: float | None) -> None:
    """One sample in each time, one from long ago that must not count."""
    for at, value in ((BEGINS - timedelta(minutes=5), 90_000.0), (BEFORE, before), (ENDS, during)):
        if value is not None:
            samples_store(cluster.pk, at, [(signal, value, Health.OK)])


@pytest.mark.parametrize(
    ("signal", "before", "during", "good", "text"),
    [
        ("offline_partitions", 0, 0, True, "no partition offline"),
        ("offline_partitions", 3, 3, False, "3 partitions offline, 3 before"),
        ("offline_partitions", None, 1, False, "1 partition offline, not measured before"),
        ("under_min_isr", 0, 0, True, "no partition below min ISR"),
        ("under_min_isr", 2, 2, True, "2 partitions below min ISR, 2 before"),
        ("under_min_isr", 1, 2, False, "2 partitions below min ISR, 1 before"),
        ("under_min_isr", None, 2, None, "2 partitions below min ISR, not measured before"),
        ("produce_p99", 12, 90, True, "produce p99 up to 90 ms, 12 ms before"),
        ("produce_p99", 400, 420, True, "produce p99 up to 420 ms, 400 ms before"),
        ("produce_p99", 276, 432, True, "produce p99 up to 432 ms, 276 ms before"),
        ("produce_p99", 40, 420, False, "produce p99 up to 420 ms, 40 ms before"),
        ("produce_p99", 40, 1500, False, f"produce p99 up to 1.5{THIN}s, 40 ms before"),
        ("produce_p99", None, 420, None, "produce p99 up to 420 ms, not measured before"),
    ],
)
def test_a_figure_is_told_with_both_times_and_whether_it_was_worse(
    cluster: Cluster, signal: str, before: float | None, during: float, good: bool | None, text: str
) -> None:
    measured(cluster, signal, before, during)
    healthy, (figure,) = window_of(cluster, BEGINS, ENDS)
    assert (healthy, figure["good"], figure["text"]) == (good, good, text)
    assert (figure["during"], figure["before"]) == (during, before)


def test_one_figure_that_is_worse_is_enough(cluster: Cluster) -> None:
    measured(cluster, "offline_partitions", 0, 0)
    measured(cluster, "produce_p99", 40, 420)
    healthy, figures = window_of(cluster, BEGINS, ENDS)
    assert (healthy, [one["good"] for one in figures]) == (False, [True, False])


def test_where_nothing_was_measured_nothing_is_said(cluster: Cluster) -> None:
    measured(cluster, "produce_p99", 40, None)
    assert window_of(cluster, BEGINS, ENDS) == (None, [])
