"""The source `certificates`: who has which listeners, what they serve, what the files hold, and the judgement of it all.

A run of the source probes a listener once per period at most, and a person once a minute at most; nothing is dialled that is
not in the inventory.
"""

from collections.abc import Collection, Iterable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, cast
from urllib.parse import urlsplit

from django.conf import settings
from django.db import transaction
from django.db.models import Q, QuerySet

from clusters.expiry import CertificateKind
from clusters.gateways.tls import KeyType, Probed, Speaks, Target, probe_all
from clusters.listeners import KafkaListener, listeners_of
from clusters.models import Cluster, TlsAddress, TlsListener
from clusters.ports import EntityError, GatewayFailed
from clusters.services.certificates.files import Read, files_store, read_places
from clusters.services.certificates.judging import certificates_judge, cluster_hold
from clusters.services.certificates.observe import probes_store
from clusters.sources import Outcome, Poll, register
from ops_portal.lib.clock import Clock, as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.resilience import Deadline, DeadlinePassed

if TYPE_CHECKING:
    from clusters.admin_ports import AdminPort

KIND = "certificates"
LEAST_SECONDS = 60.0  # between two probes of a listener
KAFKA_SECONDS = 8.0
STORE_SECONDS = 4.0  # kept back for storing
GONE_DAYS = 7.0  # a broker that the cluster no longer names is forgotten when its listener has failed for so long


def register_source() -> None:
    """Called once, in `apps.ready`."""
    register(KIND, poll_certificates, lambda: settings.CERTIFICATE_PERIOD_SECONDS)


def poll_certificates(run: Poll) -> Outcome:
    """One run of the source. What fails is told per entity: a cluster that is down still has its listeners looked at."""
    errors: list[EntityError] = []
    named, complete = _named(run, errors)
    at = as_datetime(run.clock.now())
    _inventory_store(run.cluster, named, complete, at)
    period_began = as_datetime(
        at.timestamp() // run.period_seconds * run.period_seconds
    )  # a late run is not in its slot
    rows = TlsListener.objects.filter(cluster=run.cluster, removed_at__isnull=True)
    listeners = _claimed(rows, at, not_since=period_began)
    found = _probed(listeners, Deadline(run.deadline.at - STORE_SECONDS))
    files = read_places(run.cluster)
    observations_store(cluster=run.cluster, found=found, listeners=listeners, files=files, clock=run.clock)
    errors += _errors(found, listeners)
    errors += [EntityError(f"file:{read.name}", read.error, read.message) for read, _ in files if read.error]
    counts = {"listeners": len(listeners), "addresses": sum(map(len, found.values())), "files": len(files)}
    return Outcome(errors, counts)


def observations_store(
    *, cluster: Cluster, found: Mapping[int, tuple[Probed, ...]], listeners: Mapping[int, TlsListener],
    files: Collection[tuple[Read, bool]] | None, clock: Clock,
) -> None:  # fmt: skip
    """Store and judge what was seen, in one transaction. Without `files` those that are stored stay as they are."""
    with transaction.atomic():
        cluster_hold(cluster.pk)
        at = as_datetime(clock.now())
        probes_store(cluster=cluster, found=found, listeners=listeners, at=at)
        if files is not None:
            files_store(cluster=cluster, found=list(files), at=at)
        certificates_judge(cluster=cluster, at=at)


def probe_request(*, listener: TlsListener) -> bool:
    """Claim a probe on demand; False when one was asked for, or made, within the last minute."""
    at = as_datetime(database_clock().now())
    since = at - timedelta(seconds=LEAST_SECONDS)
    quiet = Q(requested_at__isnull=True) | Q(requested_at__lt=since)
    quiet &= Q(probed_at__isnull=True) | Q(probed_at__lt=since)
    rows = TlsListener.objects.filter(quiet, pk=listener.pk, removed_at__isnull=True)
    return rows.update(requested_at=at) == 1


def listeners_probe(*, listener_ids: Iterable[int]) -> int:
    """Probe these listeners now, which `probe_request` has claimed; how many were probed."""
    rows = TlsListener.objects.filter(
        pk__in=list(listener_ids), removed_at__isnull=True, cluster__removed_at__isnull=True
    )
    clock = database_clock()
    at = as_datetime(clock.now())
    listeners = _claimed(rows, at, not_since=at - timedelta(seconds=LEAST_SECONDS))
    found = _probed(listeners, Deadline.after(20))
    for cluster in Cluster.objects.filter(pk__in={one.cluster_id for one in listeners.values()}):
        own = {pk: one for pk, one in listeners.items() if one.cluster_id == cluster.pk}
        mine = {pk: seen for pk, seen in found.items() if pk in own}
        observations_store(cluster=cluster, found=mine, listeners=own, files=None, clock=clock)
    return len(listeners)


def _named(run: Poll, errors: list[EntityError]) -> tuple[list[KafkaListener], set[int]]:
    """Listeners as the brokers name them, and the brokers whose settings were read."""
    deadline = Deadline(min(run.deadline.at, Deadline.after(KAFKA_SECONDS).at))
    try:
        brokers = run.kafka.metadata(deadline).brokers
        configs = cast("AdminPort", run.kafka).broker_configs([one.id for one in brokers], deadline)
    except GatewayFailed as failure:
        errors.append(EntityError("kafka", failure.code, failure.message))
        return [], set()
    except DeadlinePassed:
        errors.append(EntityError("kafka", "timeout", "The cluster did not tell its listeners in time."))
        return [], set()
    errors += configs.errors
    protocol = run.cluster.properties.get("security.protocol", "PLAINTEXT")
    return listeners_of(brokers, configs.found, protocol), {int(one) for one in configs.found}


@transaction.atomic
def _inventory_store(cluster: Cluster, named: Iterable[KafkaListener], complete: Collection[int], at: datetime) -> None:
    """Bring the inventory up to what brokers and settings name. Endpoints entered by hand are left alone."""
    rows = {(row.host, row.port): row for row in TlsListener.objects.filter(cluster=cluster, removed_at__isnull=True)}
    wanted = set()
    for one in named:
        row = rows.get((one.host, one.port)) or TlsListener(cluster=cluster, host=one.host, port=one.port)
        row.origin, row.kind, row.speaks = TlsListener.Origin.KAFKA, CertificateKind.BROKER, Speaks.KAFKA
        row.broker, row.name, row.wants, row.keystore = one.broker, one.name, one.wants, one.keystore
        row.save()
        wanted.add((one.host, one.port))
    for host, port in _of_settings(cluster):
        wanted.add((host, port))
        if (host, port) not in rows:
            TlsListener.objects.create(
                cluster=cluster, host=host, port=port, kind=CertificateKind.ENDPOINT, speaks=Speaks.HTTP,
                origin=TlsListener.Origin.SETTING, name="Prometheus",
            )  # fmt: skip
    dead = set(
        TlsAddress.objects.filter(
            listener__cluster=cluster, failing_since__lt=at - timedelta(days=GONE_DAYS)
        ).values_list("listener_id", flat=True)
    )
    for place, row in rows.items():
        named_no_more = row.origin != TlsListener.Origin.HAND and place not in wanted
        if named_no_more and (row.origin == TlsListener.Origin.SETTING or row.broker in complete or row.pk in dead):
            row.removed_at = at
            row.save(update_fields=["removed_at"])


def _of_settings(cluster: Cluster) -> list[tuple[str, int]]:
    """TLS endpoints that the cluster's other settings name."""
    parts = urlsplit(cluster.prometheus_url)
    if parts.scheme != "https" or not parts.hostname:
        return []
    return [(parts.hostname, parts.port or 443)]


def _claimed(rows: QuerySet[TlsListener], at: datetime, *, not_since: datetime) -> dict[int, TlsListener]:
    """Those of the listeners that were not probed since then; nobody else will now."""
    found: dict[int, TlsListener] = {}
    for row in rows:
        free = TlsListener.objects.filter(Q(probed_at__isnull=True) | Q(probed_at__lt=not_since), pk=row.pk)
        if free.update(probed_at=at):
            found[row.pk] = row
    return found


def _probed(listeners: Mapping[int, TlsListener], deadline: Deadline) -> dict[int, tuple[Probed, ...]]:
    same: dict[Target, list[int]] = {}
    asked = tuple(KeyType) if settings.CERTIFICATE_KEY_TYPES == "both" else ()
    for pk, row in listeners.items():  # two clusters may name one endpoint
        same.setdefault(Target(row.host, row.port, Speaks(row.speaks), key_types=asked), []).append(pk)
    found = probe_all(same, deadline)
    return {pk: found[target] for target, pks in same.items() for pk in pks}


def _errors(found: Mapping[int, tuple[Probed, ...]], listeners: Mapping[int, TlsListener]) -> list[EntityError]:
    return [
        EntityError(f"listener:{listeners[pk]}", one.error, one.message)
        for pk, seen in found.items()
        for one in seen
        if one.error
    ]
