"""docs/health.md is what the table of signals says."""

from pathlib import Path

from django.conf import settings

from clusters.health.document import printed
from clusters.health.names import METRICS
from clusters.health.performance import BROKER_QUERIES, CLUSTER_QUERIES, TOPIC_QUERIES
from clusters.promql import places
from clusters.selectors.health import RUNBOOK
from clusters.signals import BY_ID, SIGNALS


def test_the_document_is_printed_from_the_table() -> None:
    assert (Path(settings.BASE_DIR) / "docs" / "health.md").read_text() == printed(), (
        "manage.py print_health > docs/health.md"
    )


def test_there_are_more_than_thirty_two_signals_each_once() -> None:
    assert len(SIGNALS) == len(BY_ID) >= 32
    assert all(signal.query or signal.admin for signal in SIGNALS)


def test_no_figure_takes_the_place_of_a_signal() -> None:
    assert BY_ID.keys().isdisjoint(BROKER_QUERIES | CLUSTER_QUERIES | TOPIC_QUERIES)


def test_every_metric_that_a_query_names_is_known() -> None:
    named = {place for signal in SIGNALS for place in places(signal.query)}
    assert named <= METRICS.keys()


def test_every_runbook_link_leads_to_a_heading() -> None:
    text = printed()
    assert RUNBOOK.startswith("/docs/health#")
    assert all(f"\n#### {signal.id}\n" in text for signal in SIGNALS)


def test_percentiles_are_never_averaged_or_summed() -> None:
    for signal in SIGNALS:
        if any(place.endswith(("p95", "p99")) for place in places(signal.query)):
            assert signal.query.startswith("max by (instance)"), signal.id
            assert "avg" not in signal.query, signal.id
