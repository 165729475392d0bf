"""Health: what the process says about itself and about what it needs."""

import re
from typing import Any

import pytest
import structlog
from django.http import HttpRequest, HttpResponse
from django.test import Client, RequestFactory
from pytest_django import Settings

from ops_portal.middleware import RequestIdMiddleware, current_request_id


def test_healthz_touches_neither_database_nor_transport(client: Client, settings: Settings) -> None:
    settings.VALKEY = "unix:///nowhere.sock"
    response = client.get("/healthz")  # without the db fixture any query would raise
    assert (response.status_code, response.content) == (200, b"ok\n")
    assert "no-store" in response["Cache-Control"]


@pytest.mark.django_db
def test_readyz_says_that_both_are_up(client: Client) -> None:
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"database": "up", "transport": "up"})


@pytest.mark.django_db
def test_readyz_stays_200_without_the_transport(client: Client, settings: Settings) -> None:
    settings.VALKEY = "unix:///nowhere.sock"
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (200, {"database": "up", "transport": "down"})


def test_readyz_is_503_without_the_database(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    from django.db import OperationalError

    from ops_portal import views

    class Gone:
        def cursor(self) -> Any:
            raise OperationalError("the server closed the connection")

    monkeypatch.setattr(views, "connection", Gone())
    response = client.get("/readyz")
    assert (response.status_code, response.json()) == (503, {"database": "down", "transport": "up"})
    assert response["Retry-After"] == "5"


@pytest.mark.parametrize("path", ["/healthz", "/readyz"])
def test_health_is_read_only(client: Client, path: str) -> None:
    assert client.post(path).status_code == 405


def answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(current_request_id())


def test_every_answer_carries_the_id_of_its_log_lines() -> None:
    response = RequestIdMiddleware(answer)(RequestFactory().get("/"))
    assert isinstance(response, HttpResponse)
    assert re.fullmatch(r"[0-9a-f]{32}", response["X-Request-ID"])
    assert response.content.decode() == response["X-Request-ID"]
    assert structlog.contextvars.get_contextvars() == {}


@pytest.mark.parametrize(
    ("proxies", "given", "kept"),
    [
        (0, "caller-chose-this", False),
        (1, "from-the-proxy-1", True),
        (1, "bad id\nwith line", False),
        (1, "x" * 65, False),
    ],
)
def test_only_a_trusted_proxy_s_id_is_kept(settings: Settings, proxies: int, given: str, kept: bool) -> None:
    settings.TRUSTED_PROXIES = proxies
    response = RequestIdMiddleware(answer)(RequestFactory().get("/", headers={"X-Request-ID": given}))
    assert isinstance(response, HttpResponse)
    assert (response["X-Request-ID"] == given) is kept


async def _async_answer(request: HttpRequest) -> HttpResponse:
    return HttpResponse(current_request_id())


def test_an_async_view_has_its_id_too() -> None:
    import asyncio
    from collections.abc import Awaitable

    async def run() -> HttpResponse:
        awaited = RequestIdMiddleware(_async_answer)(RequestFactory().get("/"))
        assert isinstance(awaited, Awaitable)
        response = await awaited
        assert isinstance(response, HttpResponse)
        return response

    response = asyncio.run(run())
    assert response.content.decode() == response["X-Request-ID"]


@pytest.mark.django_db
def test_a_served_request_leaves_one_line_with_its_route_and_nothing_of_its_parameters(
    client: Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="ops_portal.middleware"):
        client.get("/sign-in/not-a-link-that-exists?password=hunter22")
        client.get("/healthz")
    (record,) = [record for record in caplog.records if record.name == "ops_portal.middleware"]
    assert record.getMessage() == "web.request_served"
    assert (record.__dict__["method"], record.__dict__["route"]) == ("GET", "sign-in/<str:text>")
    assert "hunter22" not in str(record.__dict__)
    assert "not-a-link" not in str(record.__dict__)
