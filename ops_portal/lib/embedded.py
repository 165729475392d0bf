"""Addresses of the embedded PostgreSQL and Valkey, and of those that replace them.

Settings import this module, so it must not import Django.
"""

import hashlib
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

_LONGEST_SOCKET_DIRECTORY = 80  # a unix socket path holds 107 bytes, the longest name in it takes 20


def runtime_directory(var: Path) -> Path:
    """Directory of the sockets: `<var>/run`, or a short one under the temporary directory when that path is too long."""
    directory = var / "run"
    if len(str(directory)) <= _LONGEST_SOCKET_DIRECTORY:
        return directory
    digest = hashlib.sha256(str(var).encode()).hexdigest()[:12]
    return Path(tempfile.gettempdir()) / f"ops-portal-{digest}"


def database_settings(url: str, var: Path) -> dict[str, Any]:
    """Django's DATABASES entry for `url`, or for the embedded server when `url` is empty."""
    if not url:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "ops_portal",
            "USER": "postgres",
            "HOST": str(runtime_directory(var)),
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError("DATABASE_URL must start with postgresql://")
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.get("host") or parts.hostname or "",
        "PORT": str(parts.port or ""),
    }


def valkey_url(url: str, var: Path) -> str:
    """URL for redis-py."""
    return url or f"unix://{runtime_directory(var)}/valkey.sock"


def celery_broker_url(url: str) -> str:
    """The same server in kombu's spelling."""
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url
