"""One embedded PostgreSQL and Valkey per test run, shared by all workers; each worker has its own database and keys."""

import os
import shutil
from collections.abc import Generator, Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis
from django.conf import settings
from django.db import connection
from pytest_django import DjangoDbBlocker

from ops_portal.lib import embedded

pytest_plugins = ["tests.kafka_fixtures", "tests.secured_kafka"]

_servers: embedded.RunningServers | None = None


def pytest_configure(config: pytest.Config) -> None:
    """Start the servers in the process that starts the run; xdist's workers find them by the inherited PORTAL_TEST_VAR."""
    global _servers
    if os.environ.get("PYTEST_XDIST_WORKER") or config.option.collectonly or config.option.help:
        return
    _servers = embedded.RunningServers(Path(os.environ["PORTAL_TEST_VAR"]))
    _servers.start(durable=False)


def pytest_unconfigure() -> None:
    """Stop the servers and remove what they kept."""
    global _servers
    if _servers is None:
        return
    _servers.stop()
    for directory in {_servers.var, embedded.state_directory(_servers.var), embedded.runtime_directory(_servers.var)}:
        shutil.rmtree(directory, ignore_errors=True)
    _servers = None


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """With CI=true a test that needs Kafka or a browser must run: there, a skip is a failure."""
    report = yield
    must_run = any(item.get_closest_marker(name) for name in ("kafka", "browser", "fault"))
    if os.environ.get("CI") == "true" and report.skipped and must_run and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI=true forbids for this test: {report.longrepr}"
    return report


@pytest.fixture(scope="session")
def django_db_setup(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> None:
    """Let transactional tests empty the tables when they end; the audit trail refuses that elsewhere."""
    if not connection.settings_dict["NAME"].startswith("test_"):
        return  # no test that was chosen has the database
    with django_db_blocker.unblock(), connection.cursor() as cursor:
        cursor.execute("ALTER TABLE accounts_auditentry DISABLE TRIGGER accounts_auditentry_no_truncate")


@pytest.fixture
def valkey() -> Iterator[redis.Redis]:
    """A client of the run's Valkey; every key of this worker is removed after the test."""
    with redis.Redis.from_url(settings.VALKEY, socket_timeout=5) as client:
        yield client
        for key in client.scan_iter(f"{settings.DEPLOYMENT_ID}:*", count=1000):
            client.delete(key)


@pytest.fixture
def process_env(transactional_db: None) -> dict[str, str]:
    """Environment for a real process of the portal (web, worker, command) on this worker's database and keys.

    The process sees only what is committed, so the fixture turns on transactional tests.
    """
    name = connection.settings_dict["NAME"]
    host = quote(connection.settings_dict["HOST"], safe="")
    return os.environ | {
        "DJANGO_SETTINGS_MODULE": "ops_portal.settings.base",
        "DATABASE_URL": f"postgresql://postgres@/{name}?host={host}",
        "VALKEY_URL": settings.VALKEY,
        "DEPLOYMENT_ID": settings.DEPLOYMENT_ID,
        "PORTAL_VAR": str(settings.PORTAL_VAR),
        "SECRET_KEY": settings.SECRET_KEY,
    }
