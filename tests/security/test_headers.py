"""Every answer carries the headers that keep it from being framed, sniffed, cached or scripted by strangers."""

import re

import pytest
import redis
from django.test import Client
from django.urls import reverse

from tests.accounts.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
PATHS = [
    "/sign-in",
    "/",
    "/admin/users",
    "/nothing",
    "/api/v1/clients",
    "/api/v1/nothing",
    "/healthz",
    "/metrics",
    "/api/v1/docs",
]


@pytest.fixture
def browser(valkey: redis.Redis) -> Client:
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("signed_in", [False, True])
@pytest.mark.parametrize("path", PATHS)
def test_every_answer_carries_its_headers(path: str, signed_in: bool, browser: Client) -> None:
    if signed_in:
        browser.force_login(make_user("admin"))

    headers = browser.get(path).headers

    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert re.fullmatch(r"[0-9a-f]{32}", headers["X-Request-ID"])
    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize("path", ["/sign-in", "/account", "/api/v1/clients", "/admin/users/add"])
def test_what_holds_secrets_is_not_cached(path: str, browser: Client) -> None:
    browser.force_login(make_user("admin"))
    assert "no-store" in browser.get(path)["Cache-Control"]


def test_the_session_cookie_is_out_of_reach_of_scripts_and_other_sites(browser: Client) -> None:
    make_user("sre")
    browser.post(reverse("accounts:sign-in"), {"username": "sre-person", "password": PASSWORD})

    cookie = browser.cookies["ops_session"]
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"


def test_signing_in_makes_a_new_session_key(browser: Client) -> None:
    """A key that somebody planted before is worth nothing after."""
    make_user("sre")
    browser.cookies["ops_session"] = "planted"
    browser.post(reverse("accounts:sign-in"), {"username": "sre-person", "password": PASSWORD})

    assert browser.cookies["ops_session"].value != "planted"
    stranger = Client()
    stranger.cookies["ops_session"] = "planted"
    assert stranger.get(reverse("accounts:profile")).status_code == 302


def test_a_page_in_error_names_no_template_setting_or_host(browser: Client) -> None:
    page = browser.get("/nothing/<script>alert(1)</script>").content.decode()
    assert "<script>alert(1)" not in page
    assert "Traceback" not in page
    assert "urlconf" not in page.lower()
