"""System checks refuse settings that would be unsafe."""

import base64
from collections.abc import Callable
from typing import Any

import pytest
from django.core.checks import CheckMessage
from pytest_django import Settings

from ops_portal import checks
from ops_portal.lib.assets import PickedFilesFinder

GOOD_KEY = "2026:" + base64.urlsafe_b64encode(bytes(32)).decode()
PRODUCTION: dict[str, Any] = {
    "DATABASE_URL": "postgresql://portal@db/portal",
    "VALKEY_URL": "redis://valkey:6379/0",
    "METRICS_TOKEN": "x" * 32,
    "ALLOWED_HOSTS": ["portal.example.com"],
    "CSRF_TRUSTED_ORIGINS": ["https://portal.example.com"],
    "SECRETS_FROM_VAR": [],
    "HTTPS_ONLY": True,
}


def ids(check: Callable[..., list[CheckMessage]]) -> list[str | None]:
    return [message.id for message in check(None)]


@pytest.mark.parametrize(
    ("check", "values", "expected"),
    [
        (checks.check_secret_key, {"SECRET_KEY": "x" * 49}, ["ops_portal.E001"]),
        (checks.check_secret_key, {"SECRET_KEY": "x" * 50}, []),
        (checks.check_field_keys, {"FIELD_KEYS": [GOOD_KEY]}, []),
        (checks.check_field_keys, {"FIELD_KEYS": [GOOD_KEY, "old:c2hvcnQ="]}, ["ops_portal.E002"]),
        (checks.check_field_keys, {"FIELD_KEYS": [GOOD_KEY.partition(":")[2]]}, ["ops_portal.E002"]),
        (checks.check_field_keys, {"FIELD_KEYS": [GOOD_KEY, GOOD_KEY]}, ["ops_portal.E002"]),
        (checks.check_demo, {"DEMO": True, "HOST": "127.0.0.1"}, []),
        (checks.check_demo, {"DEMO": True, "HOST": "::1"}, []),
        (checks.check_demo, {"DEMO": True, "HOST": "0.0.0.0"}, ["ops_portal.E003"]),
        (checks.check_demo, {"DEMO": True, "HOST": "portal.example.com"}, ["ops_portal.E003"]),
        (checks.check_demo, {"DEMO": True, "HOST": "127.0.0.1", "HTTPS_ONLY": True}, ["ops_portal.E003"]),
        (checks.check_demo, {"DEMO": False, "HOST": "0.0.0.0", "HTTPS_ONLY": True}, []),
        (checks.check_production, PRODUCTION, []),
        (checks.check_production, PRODUCTION | {"VALKEY_URL": ""}, ["ops_portal.W001"]),
        (checks.check_production, PRODUCTION | {"METRICS_TOKEN": ""}, ["ops_portal.W002"]),
        (checks.check_production, PRODUCTION | {"ALLOWED_HOSTS": ["*"]}, ["ops_portal.W003"]),
        (checks.check_production, PRODUCTION | {"CSRF_TRUSTED_ORIGINS": []}, ["ops_portal.W003"]),
        (checks.check_production, PRODUCTION | {"SECRETS_FROM_VAR": ["FIELD_KEYS"]}, ["ops_portal.W004"]),
        (checks.check_production, PRODUCTION | {"HTTPS_ONLY": False}, ["ops_portal.W005"]),
    ],
)
def test_check_finds_what_is_wrong_and_nothing_else(
    settings: Settings,
    check: Callable[..., list[CheckMessage]],
    values: dict[str, Any],
    expected: list[str],
) -> None:
    for name, value in values.items():
        setattr(settings, name, value)
    assert ids(check) == expected


def test_missing_front_end_packages_are_named(settings: Settings, tmp_path: Any) -> None:
    settings.VENDOR_FILES = {"vendor/x.js": tmp_path / "x.js"}
    (message,) = PickedFilesFinder().check()
    assert message.id == "ops_portal.E006"
    assert "x.js" in message.msg
