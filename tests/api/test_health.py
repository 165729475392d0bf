"""The health of clusters over HTTP holds the contract (interfaces.md 6)."""

from typing import Any

import pytest

from tests.api.contract import Null
from tests.api.test_contract import problems

pytestmark = pytest.mark.django_db

STATES = {"ok", "warning", "critical", "unknown"}
SIGNAL = {
    "signal": str, "scope": {"cluster", "broker", "listener", "disk"}, "state": STATES, "reason": str, "value": Null(float),
    "unit": str, "warn": Null(float), "critical": Null(float), "query": str, "source": str, "observed_at": Null("time"),
    "age_seconds": Null(float), "stale": bool, "runbook": str, "title": str, "area": str, "entity": str,
    "since": Null("time"), "parts": [{"entity": str, "state": STATES, "value": Null(float)}],
}  # fmt: skip
HEALTH = {"verdict": STATES, "reasons": list, "signals": [SIGNAL]}


def test_health_has_the_fields_of_the_contract(get: Any) -> None:
    body = get("/api/v1/clusters/north/health")

    assert not list(problems(body, HEALTH, "health"))
    down = next(row for row in body["signals"] if row["signal"] == "brokers_down")
    assert down["runbook"] == "/docs/health#brokers_down"
    assert len(body["signals"]) >= 32


def test_health_is_filtered_by_state(get: Any) -> None:
    found = get("/api/v1/clusters/north/health?state=unknown")["signals"]

    assert {row["state"] for row in found} == {"unknown"}


def test_brokers_events_and_targets_are_pages(get: Any) -> None:
    for path in ("brokers", "events", "platform-slos"):
        body = get(f"/api/v1/clusters/north/{path}")
        assert set(body) == {"items", "next_cursor", "total"}
        assert len(body["items"]) == body["total"]
    assert [row["id"] for row in get("/api/v1/clusters/north/brokers?sort=-id")["items"]] == [3, 2, 1]


def test_a_topic_shows_its_partitions(get: Any) -> None:
    body = get("/api/v1/clusters/north/topics/ng-orders")

    assert body["topic"] == "ng-orders"
    assert [row["partition"] for row in body["partitions"]] == [0, 1]
    assert body["settings"]["retention.ms"] == "604800000"


def test_a_signals_history_keeps_to_a_thousand_points(get: Any) -> None:
    body = get("/api/v1/clusters/north/health/brokers_down/history?from=-7d&step=1")

    assert body["columns"] == ["at", "value", "state"]
    assert len(body["points"]) <= 1000
    assert sum(point[1] is not None for point in body["points"]) == 1


def test_the_live_view_shows_verdict_and_signals(get: Any) -> None:
    body = get("/api/v1/views/clusters.health?cluster=north")
    keys = {row[0] for row in body["rows"]}

    assert {"north/", "north/brokers_down", "north/produce_p99"} <= keys
    assert body["schema"]["columns"][:4] == ["cluster", "signal", "scope", "state"]
