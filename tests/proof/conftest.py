"""One site per run for the fault tests; every test finds all its processes up."""

from collections.abc import Iterator

import pytest
from django.db import connection
from pytest_django import DjangoDbBlocker

from tests.proof.run_workers import NAMES
from tests.proof.site import Site, running_site


@pytest.fixture(scope="module")
def _site(django_db_setup: None, django_db_blocker: DjangoDbBlocker) -> Iterator[Site]:
    with django_db_blocker.unblock(), running_site() as site:
        yield site


@pytest.fixture
def site(_site: Site) -> Iterator[Site]:
    """The portal's processes, all of them running whatever the test before has left."""
    for name, server in list(_site.servers.items()):
        if server.poll() is not None:
            _site.start(name)
    for name in NAMES:
        _site.release(name)
    assert _site.eventually(lambda: all(_site.pid(name) for name in NAMES)), _site.log("supervisor")
    yield _site
    connection.close()
