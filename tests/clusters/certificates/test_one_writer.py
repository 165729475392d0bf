"""Whoever judges writes the rows of all certificates of a cluster: people and polls take turns, and nobody overwrites what is newer."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from django.db import OperationalError, connection, transaction

from clusters.models import Certificate, Cluster, ServiceKey
from clusters.services import certificates as services
from clusters.services.certificates.judging import cluster_hold
from tests.clusters.certificates.make import root

pytestmark = pytest.mark.django_db(transaction=True)
NOW = datetime.now(UTC)


@pytest.fixture
def cluster() -> Cluster:
    cluster = Cluster.objects.create(name="north", bootstrap="127.0.0.1:1")
    services.file_upload(cluster=cluster, name="ca.pem", data=root().pem, password="", trusted=True, acting_user=None)
    services.key_record(cluster=cluster, name="orders", version="1", rotated_at=NOW, acting_user=None)
    return cluster


def impatient(write: Callable[[], object]) -> list[Exception]:
    """What a write in another session raises that waits for nobody."""
    raised: list[Exception] = []

    def run() -> None:
        try:
            with connection.cursor() as cursor:
                cursor.execute("SET lock_timeout = '100ms'")
            write()
        except Exception as error:  # noqa: BLE001 - handed to the test
            raised.append(error)
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    thread.join(30)
    return raised


def test_people_wait_while_a_poll_stores_what_it_saw(cluster: Cluster) -> None:
    row, key = Certificate.objects.get(), ServiceKey.objects.get()
    writes: list[Callable[[], object]] = [
        lambda: services.certificate_change(row=row, kind="root", owner="x", note="", principal="", acting_user=None),
        lambda: services.key_record(cluster=cluster, name="new", version="1", rotated_at=NOW, acting_user=None),
        lambda: services.key_remove(row=key, acting_user=None),
        lambda: services.policy_change(kind="broker", rotate_days=60, alarm_days=20, acting_user=None),
        lambda: services.certificate_by_hand(
            cluster=cluster, kind="endpoint", subject="lb", owner="x", not_before=NOW, not_after=NOW + timedelta(days=9),
            acting_user=None,
        ),
        lambda: services.file_upload(
            cluster=cluster, name="b.pem", data=root("B").pem, password="", trusted=False, acting_user=None
        ),
    ]  # fmt: skip
    with transaction.atomic():
        cluster_hold(cluster.pk)
        refused = [impatient(write) for write in writes]
    assert [[type(error) for error in errors] for errors in refused] == [[OperationalError]] * len(writes)
    assert [impatient(write) for write in writes] == [[]] * len(writes)
