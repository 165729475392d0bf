"""What a web process tells of itself: requests by kind and outcome, how long they took, current copies, connections."""

import os
from collections.abc import Callable

import pytest
from asgiref.sync import async_to_sync
from django.db import connection
from django.test import AsyncClient, Client
from prometheus_client.parser import text_string_to_metric_families
from pytest_django import Settings

from ops_portal import web_figures
from tests.accounts.factories import make_user
from tests.api.site import Site

pytestmark = pytest.mark.django_db

Figures = dict[tuple[str, ...], float]


def figures() -> Figures:
    """Every sample by its name and the values of its labels, without the process, which is the same in all."""
    found: Figures = {}
    for family in text_string_to_metric_families(web_figures.exposition().decode()):
        for sample in family.samples:
            assert sample.labels.pop("process") == str(os.getpid())
            found[sample.name, *sample.labels.values()] = sample.value
    return found


def grown(act: Callable[[], object]) -> Figures:
    """Counters that an action raised, and by how much; the durations are left out."""
    before = figures()
    act()
    return {
        key: value - before[key]
        for key, value in figures().items()
        if key[0].endswith(("_total", "_count")) and value != before[key]
    }


def test_a_request_is_counted_once_by_kind_and_outcome() -> None:
    assert grown(lambda: Client().get("/no-such-page")) == {
        ("ops_portal_web_requests_total", "page", "4xx"): 1,
        ("ops_portal_web_request_seconds_count", "page"): 1,
    }
    assert grown(lambda: Client().get("/api/v1/clusters")) == {
        ("ops_portal_web_requests_total", "api", "4xx"): 1,
        ("ops_portal_web_request_seconds_count", "api"): 1,
    }


def test_under_asgi_too() -> None:
    ask = async_to_sync(AsyncClient().get)
    assert grown(lambda: ask("/no-such-page"))["ops_portal_web_requests_total", "page", "4xx"] == 1


def test_an_error_of_ours_is_counted_as_one(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("made to fail")

    monkeypatch.setattr("ops_portal.pages.render", broken)
    client = Client(raise_request_exception=False)
    client.force_login(make_user("sre"))
    assert grown(lambda: client.get("/docs"))["ops_portal_web_requests_total", "page", "5xx"] == 1


def test_a_snapshot_asked_again_counts_as_a_current_copy() -> None:
    client = Client()
    client.force_login(Site().users["sre"])
    address = "/api/v1/views/lag.board?cluster=north"

    first = grown(lambda: client.get(address))
    etag = client.get(address)["ETag"]
    again = grown(lambda: client.get(address, headers={"If-None-Match": etag}))

    assert first["ops_portal_web_etag_answers_total", "served"] == 1
    assert first["ops_portal_web_requests_total", "live", "2xx"] == 1
    assert again == {
        ("ops_portal_web_etag_answers_total", "not_modified"): 1,
        ("ops_portal_web_requests_total", "live", "3xx"): 1,
        ("ops_portal_web_request_seconds_count", "live"): 1,
    }


def test_scrapes_and_probes_do_not_count(settings: Settings) -> None:
    settings.METRICS_TOKEN = "scrape me"
    token = {"Authorization": "Bearer scrape me"}
    assert (
        grown(lambda: [Client().get("/healthz"), Client().get("/readyz"), Client().get("/metrics", headers=token)])
        == {}
    )


def test_addresses_never_become_labels() -> None:
    series = len(figures())
    for number in range(20):
        Client().get(f"/made-up-{number}")
        Client().get(f"/api/v1/made-up-{number}")
    assert len(figures()) == series


def test_the_connection_that_this_test_holds_is_in_use() -> None:
    connection.ensure_connection()
    found = figures()
    in_use = found["ops_portal_web_database_connections", "in_use"]
    assert 1 <= in_use <= found["ops_portal_web_database_connections_max",]


def test_the_scrape_carries_them_beside_the_stored_figures(settings: Settings) -> None:
    settings.METRICS_TOKEN = "scrape me"
    Site()
    text = Client().get("/metrics", headers={"Authorization": "Bearer scrape me"}).content.decode()
    names = {family.name for family in text_string_to_metric_families(text)}
    assert {"ops_portal_web_request_seconds", "ops_portal_web_requests", "ops_portal_consumer_group_lag"} <= names
