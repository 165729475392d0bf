"""System checks of the settings; each id is explained in docs/operations.md. Errors stop every command, warnings `check --deploy`."""

import base64
import binascii
import ipaddress
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Tags, Warning, register

_SHORTEST_SECRET_KEY = 50
_FIELD_KEY_BYTES = 32


def register_all() -> None:
    """Make the checks known; called once, when the apps are ready."""
    register(check_secret_key, Tags.security)
    register(check_field_keys, Tags.security)
    register(check_demo, Tags.security)
    register(check_production, Tags.security, deploy=True)


def check_secret_key(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    if len(settings.SECRET_KEY) >= _SHORTEST_SECRET_KEY:
        return []
    return [
        Error(
            f"SECRET_KEY has fewer than {_SHORTEST_SECRET_KEY} characters.",
            hint="Make one: python -c 'import secrets; print(secrets.token_urlsafe(64))'",
            id="ops_portal.E001",
        )
    ]


def check_field_keys(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    wrong = [number for number, text in enumerate(settings.FIELD_KEYS, start=1) if not _is_field_key(text)]
    names = [text.partition(":")[0] for text in settings.FIELD_KEYS]
    if not wrong and len(set(names)) == len(names):
        return []
    return [
        Error(
            f"FIELD_KEYS: entry {wrong[0]} is not id:base64url(32 bytes)."
            if wrong
            else "FIELD_KEYS names one id twice.",
            hint="Make one: python -c 'import base64, os; print(\"2026:\" + base64.urlsafe_b64encode(os.urandom(32)).decode())'",
            id="ops_portal.E002",
        )
    ]


def check_demo(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    if not settings.DEMO or (_is_loopback(settings.HOST) and not settings.HTTPS_ONLY):
        return []
    return [
        Error(
            "DEMO=1 opens accounts with a known password: it is refused with HTTPS_ONLY=1 and on any HOST but loopback.",
            hint="Set DEMO=0, or HOST=127.0.0.1 and HTTPS_ONLY=0.",
            id="ops_portal.E003",
        )
    ]


def check_production(app_configs: Sequence[AppConfig] | None, **_: Any) -> list[CheckMessage]:
    """What a production host should set and the embedded default does without."""
    found: list[CheckMessage] = []
    if not (settings.DATABASE_URL and settings.VALKEY_URL):
        found.append(
            Warning(
                "The embedded PostgreSQL or Valkey is in use: one machine, no replica, no backup of its own.",
                hint="Set DATABASE_URL and VALKEY_URL.",
                id="ops_portal.W001",
            )
        )
    if not settings.METRICS_TOKEN:
        found.append(Warning("METRICS_TOKEN is not set: /metrics answers nobody.", id="ops_portal.W002"))
    if "*" in settings.ALLOWED_HOSTS or not settings.CSRF_TRUSTED_ORIGINS:
        found.append(
            Warning(
                "ALLOWED_HOSTS must name the hosts, and CSRF_TRUSTED_ORIGINS the origins that may open sockets.",
                id="ops_portal.W003",
            )
        )
    if settings.SECRETS_FROM_VAR:
        found.append(
            Warning(
                f"{' and '.join(settings.SECRETS_FROM_VAR)} come from files under PORTAL_VAR: each host would make its own.",
                id="ops_portal.W004",
            )
        )
    if not settings.HTTPS_ONLY:
        found.append(Warning("HTTPS_ONLY is 0: cookies travel without TLS.", id="ops_portal.W005"))
    return found


def _is_field_key(text: str) -> bool:
    name, _, key = text.partition(":")
    try:
        return bool(name) and len(base64.urlsafe_b64decode(key)) == _FIELD_KEY_BYTES
    except (binascii.Error, ValueError):
        return False


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
