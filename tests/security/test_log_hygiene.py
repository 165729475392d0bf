"""What people type and send is never logged: planted secrets are looked for in every line that the portal would write."""

import logging

import pytest
import redis
from django.conf import settings
from django.test import Client
from django.urls import reverse

from accounts import selectors, services
from tests.accounts.factories import PASSWORD, make_user

pytestmark = pytest.mark.django_db
SECRETS = {
    "password": "correct horse 7-canary",
    "new password": "another pass phrase canary-8",
    "forged token": "opt_canaryCanaryCanary99",
    "metrics token": "metrics-canary-10",
}


def written(caplog: pytest.LogCaptureFixture) -> str:
    """The captured records as the portal's own handler would write them."""
    handler = next(handler for handler in logging.getLogger().handlers if type(handler).__module__ == "logging")
    return "\n".join(handler.format(record) for record in caplog.records)


@pytest.fixture
def browser(valkey: redis.Redis) -> Client:
    return Client(raise_request_exception=False)


def test_logs_hold_nothing_of_what_people_type_and_send(
    browser: Client, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.WARNING, logger="django.db")
    user = make_user("admin")
    link = services.sign_in_link_create(user=user, acting_user=None)
    _, token = services.token_create(user=user, acting_user=user)

    browser.post(reverse("accounts:sign-in"), {"username": "admin-person", "password": SECRETS["password"]})
    browser.get(reverse("accounts:link-sign-in", args=[link]))
    browser.post(reverse("accounts:link-sign-in", args=[link]))
    new = SECRETS["new password"]
    browser.post(reverse("accounts:password-change"), {"old": "x", "password": new, "again": new})
    browser.get("/api/v1/clients", headers={"Authorization": f"Bearer {SECRETS['forged token']}"})
    browser.get("/metrics", headers={"Authorization": f"Bearer {SECRETS['metrics token']}"})
    browser.post("/api/v1/token/refresh", headers={"Authorization": f"Bearer {token}"})
    monkeypatch.setattr(selectors, "clients_visible", lambda user: 1 / 0)
    browser.get("/api/v1/clients", headers={"Authorization": f"Bearer {token}"})
    browser.get(reverse("accounts:profile"))

    text = written(caplog)
    session = browser.cookies[settings.SESSION_COOKIE_NAME].value
    planted = SECRETS | {"link": link, "token": token, "session": session, "own password": PASSWORD}
    assert [name for name, secret in planted.items() if secret in text] == []
    assert "ZeroDivisionError" in text, "the failure itself is logged"


def test_a_forged_line_stays_on_its_own_line(browser: Client, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    browser.get("/api/v1/x%0d%0a2026-01-01 [error] forged")
    browser.post(reverse("accounts:sign-in"), {"username": "a\r\nforged=1", "password": "x"})

    lines = [
        line for line in written(caplog).splitlines() if line.lstrip().startswith(("2026-01-01 [error]", "forged=1"))
    ]
    assert lines == []
