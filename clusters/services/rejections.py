"""Counting what was refused: a batch is one transaction, is counted once, and is on the pages when it is committed."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, tzinfo
from typing import Any

from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.models import Client
from clusters.models import Cluster, Finding, Rejection, RejectionFeed
from clusters.rejections.fold import Series, fold
from clusters.rejections.lines import Reading, read_lines
from clusters.rejections.types import Origin, Rejected
from clusters.selectors.rejection_owners import Owners, owners_on
from clusters.selectors.rejections import rejected_of
from clusters.services.findings import OWNERSHIP, ownership_findings, ownership_prefix
from clusters.services.rejection_findings import bursts_open, who_of
from clusters.services.schema_offers import offer_keep
from ops_portal.lib.bulk import ran, staged
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock
from ops_portal.lib.live.publish import on_commit_publish

VIEW = "clusters.rejections"
_PRINCIPAL = "principal"
SKEW_SECONDS = 2.0  # a sender's clock may be off by that much before its times are corrected
_LIMITS = {
    "principal": 1000, "resource_type": 40, "resource": 1000, "pattern": 20, "subject": 500, "host": 255, "listener": 255,
    "operation": 60, "request": 60, "rule": 2000, "client": 120,
}  # fmt: skip

_NEWS_COLUMNS = (
    "key text, cluster_id bigint, origin text, kind text, client_id bigint, client_named boolean, principal text, "
    "resource_type text, resource text, pattern text, subject text, host text, listener text, operation text, request text, "
    "rule text, count bigint, first_at timestamptz, last_at timestamptz"
)
# Rows are locked in the order of their keys, so two batches that meet wait for each other and never in a circle.
_KEEP_SERIES = """
INSERT INTO clusters_rejection
    (key, cluster_id, origin, kind, client_id, client_named, principal, resource_type, resource, pattern, subject, host,
     listener, operation, request, rule, count, first_at, last_at)
SELECT key, cluster_id, origin, kind, client_id, client_named, principal, resource_type, resource, pattern, subject, host,
       listener, operation, request, rule, count, first_at, last_at
FROM rejection_news ORDER BY key
ON CONFLICT (key) DO UPDATE SET count = clusters_rejection.count + excluded.count,
    first_at = least(clusters_rejection.first_at, excluded.first_at),
    last_at = greatest(clusters_rejection.last_at, excluded.last_at), client_id = excluded.client_id
RETURNING id, key, (xmax = 0)
"""
_KEEP_MINUTES = """
INSERT INTO clusters_rejectionminute (rejection_id, at, count)
SELECT rejection_id, at, count FROM rejection_minute_news ORDER BY rejection_id, at
ON CONFLICT (rejection_id, at) DO UPDATE SET count = clusters_rejectionminute.count + excluded.count
"""
_KEEP_TOTAL = """
INSERT INTO clusters_rejectiontotal (cluster_id, client_id, kind, count) VALUES (%s, %s, %s, %s)
ON CONFLICT (cluster_id, client_id, kind) DO UPDATE SET count = clusters_rejectiontotal.count + excluded.count
"""
# A series that a batch has just renewed is locked by it, and then is old no more.
_PRUNE_SERIES = """
WITH old AS (DELETE FROM clusters_rejection WHERE last_at < clock_timestamp() - make_interval(days => %s) RETURNING id)
DELETE FROM clusters_rejectionminute USING old WHERE rejection_id = old.id
"""


@dataclass(frozen=True, slots=True)
class Part:
    """A stretch of a file, in bytes. `stream` names the content of the file, whatever the file is called by now."""

    stream: str
    start: int
    end: int
    label: str = ""


@dataclass(frozen=True, slots=True)
class Report:
    """A refusal that somebody reports, with the schema that was refused where it is known."""

    cluster: Cluster | None
    rejected: Rejected
    offered_schema: str = ""
    schema_type: str = ""


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of a batch. `taken` is False for one that was counted before, or that does not begin at `position`."""

    taken: bool
    position: int | None = None  # of the stream now; None without one
    lines: int = 0
    rejections: int = 0
    new_series: int = 0
    passed: int = 0
    unread: int = 0


@transaction.atomic(durable=True)
def lines_ingest(
    *,
    cluster: Cluster,
    lines: Sequence[str],
    zone: tzinfo = UTC,
    part: Part | None = None,
    batch: str = "",
    sent_at: float | None = None,
) -> Ingested:
    """Count the refusals in log lines, once.

    A batch with a `part` is taken only if it begins where its stream stands; the sender goes on from `position`. A batch
    with an id is taken only if the id is new. `sent_at` is the sender's clock: times are corrected by its difference.
    """
    if batch and not _batch_is_new(batch):
        return Ingested(taken=False)
    feed = None
    if part is not None:
        feed = _feed(cluster, part)
        if feed.position != part.start:
            return Ingested(taken=False, position=feed.position)
    now = database_clock().now()
    reading = read_lines(lines, zone)
    found = _corrected(reading.rejected, 0.0 if sent_at is None else now - sent_at)
    new_series = series_store(cluster, Origin.LOG, found, now)
    if feed is not None and part is not None:
        _feed_moved(feed, part, reading)
    return Ingested(
        True, None if part is None else part.end, reading.lines, sum(one.times for one in found), new_series,
        reading.passed, reading.unread,
    )  # fmt: skip


@transaction.atomic(durable=True)
def rejections_ingest(*, reports: Sequence[Report], batch: str = "", origin: Origin = Origin.REPORT) -> Ingested:
    """Count refusals that somebody reports, each on its cluster; a batch with an id once."""
    if batch and not _batch_is_new(batch):
        return Ingested(taken=False)
    now = database_clock().now()
    by_cluster: dict[int, list[Report]] = {}
    for report in (replace(one, rejected=_capped(one.rejected)) for one in reports):
        by_cluster.setdefault(0 if report.cluster is None else report.cluster.pk, []).append(report)
    new_series = 0
    for _, found in sorted(by_cluster.items()):
        new_series += series_store(found[0].cluster, origin, [report.rejected for report in found], now)
        for report in found:
            if report.cluster is not None and report.offered_schema and report.rejected.subject:
                offer_keep(
                    cluster=report.cluster, subject=report.rejected.subject, schema=report.offered_schema,
                    schema_type=report.schema_type, reason=report.rejected.rule, client=report.rejected.client,
                )  # fmt: skip
    count = sum(report.rejected.times for report in reports)
    return Ingested(True, lines=len(reports), rejections=count, new_series=new_series)


def _batch_is_new(batch: str) -> bool:
    """Claim the id. A second sender of it waits here until the first has committed, and then is told."""
    return bool(
        ran(
            "INSERT INTO clusters_rejectionbatch (batch) VALUES (%s) ON CONFLICT (batch) DO NOTHING RETURNING id",
            [batch],
        )
    )


def _feed(cluster: Cluster, part: Part) -> RejectionFeed:
    """The stream's row, locked until the batch is committed. One that nobody knows stands at 0: a lost database fills again."""
    RejectionFeed.objects.bulk_create(
        [RejectionFeed(cluster=cluster, stream=part.stream, label=part.label[:400])],
        ignore_conflicts=True,
    )
    return RejectionFeed.objects.select_for_update().get(cluster=cluster, stream=part.stream)


def _feed_moved(feed: RejectionFeed, part: Part, reading: Reading) -> None:
    feed.position = part.end
    feed.lines += reading.lines
    feed.unread += reading.unread
    feed.label = part.label[:400] or feed.label
    if reading.unread_lines:
        feed.unread_line = reading.unread_lines[-1]
    feed.last_at = Now()
    feed.save(update_fields=["position", "lines", "unread", "unread_line", "label", "last_at"])


def _corrected(found: list[Rejected], skew: float) -> list[Rejected]:
    if abs(skew) <= SKEW_SECONDS:
        return found
    return [one if one.at is None else one._replace(at=one.at + skew) for one in found]


def series_store(cluster: Cluster | None, origin: Origin, found: list[Rejected], now: float) -> int:
    """Keep refusals of one cluster; how many series are new. A step of a larger write."""
    scope = f"{'' if cluster is None else cluster.pk}:{origin}"
    folded = fold(scope, map(_capped, found), now=now)
    if not folded:
        return 0
    clients = _clients(cluster, folded)
    staged("rejection_news", _NEWS_COLUMNS, [_row(cluster, origin, one, *clients[one.key]) for one in folded])
    kept = {key: (pk, is_new) for pk, key, is_new in ran(_KEEP_SERIES)}
    staged(
        "rejection_minute_news",
        "rejection_id bigint, at timestamptz, count bigint",
        [(kept[one.key][0], as_datetime(at), count) for one in folded for at, count in one.minutes.items()],
    )
    ran(_KEEP_MINUTES)
    if origin is not Origin.COUNTER:
        _count_totals(cluster, folded, clients)
        bursts_open(cluster=cluster, who=[who_of(one.first) for one in folded])
    _publish(cluster, {client_id for client_id, _ in clients.values()})
    return sum(is_new for _, is_new in kept.values())


def _clients(cluster: Cluster | None, folded: list[Series]) -> dict[str, tuple[int | None, bool]]:
    """Key -> (client, whether the report named it). A principal that two clients claim opens a finding."""
    named = {one.first.client for one in folded if one.first.client}
    known = dict(Client.objects.filter(name__in=named).values_list("name", "pk")) if named else {}
    owners = owners_on(cluster)
    claimed = {one.first.principal for one in folded if one.first.principal and owners.claimed(one.first.principal)}
    ownership_findings(cluster, dict.fromkeys(claimed, True), _PRINCIPAL)
    return {
        one.key: (known[one.first.client], True) if one.first.client in known else (owners.of(one.first), False)
        for one in folded
    }


def _row(cluster: Cluster | None, origin: Origin, one: Series, client_id: int | None, named: bool) -> tuple[Any, ...]:
    first = one.first
    return (
        one.key, None if cluster is None else cluster.pk, origin.value, first.kind.value, client_id, named, first.principal,
        first.resource_type, first.resource, first.pattern, first.subject, first.host, first.listener, first.operation,
        first.request, first.rule, one.count, as_datetime(one.first_at), as_datetime(one.last_at),
    )  # fmt: skip


def _count_totals(cluster: Cluster | None, folded: list[Series], clients: dict[str, tuple[int | None, bool]]) -> None:
    totals: Counter[tuple[int, str]] = Counter()
    for one in folded:
        totals[clients[one.key][0] or 0, one.first.kind.value] += one.count
    with connection.cursor() as cursor:
        for (client_id, kind), count in sorted(totals.items()):
            cursor.execute(_KEEP_TOTAL, [None if cluster is None else cluster.pk, client_id or None, kind, count])


def _capped(rejected: Rejected) -> Rejected:
    """The refusal with texts no longer than the columns hold, and without characters that PostgreSQL refuses."""
    short = {
        name: text.replace("\0", "")[:limit]
        for name, limit in _LIMITS.items()
        if len(text := getattr(rejected, name)) > limit or "\0" in text
    }
    return rejected._replace(**short) if short else rejected


def _publish(cluster: Cluster | None, client_ids: set[int | None]) -> None:
    name = None if cluster is None else cluster.name
    scopes = {str(pk) for pk in client_ids if pk is not None}

    def concerns(params: Any, scope: str) -> bool:
        return params["cluster"] in {None, name} and (scope == "all" or not scopes.isdisjoint(scope[1:].split(".")))

    on_commit_publish(VIEW, match=concerns)


@transaction.atomic
def rejection_owners_apply() -> int:
    """Give every rejection to the client that the rules name now; how many changed hands."""
    changed = 0
    for cluster in [*Cluster.objects.filter(removed_at__isnull=True), None]:
        owners = owners_on(cluster)
        principals: set[str] = set()
        rows = Rejection.objects.filter(cluster=cluster, client_named=False).order_by("key")
        for row in rows.iterator(chunk_size=1000):
            principals.add(row.principal)
            client_id = owners.of(rejected_of(row))
            if client_id != row.client_id:
                changed += Rejection.objects.filter(pk=row.pk).update(client_id=client_id)
        _tell_claims(cluster, {name: owners.claimed(name) for name in principals if name}, owners)
    if changed:
        on_commit_publish(VIEW)
    return changed


def _tell_claims(cluster: Cluster | None, claims: dict[str, bool], owners: Owners) -> None:
    """Open findings for principals that two clients claim, close those of principals that they claim no longer."""
    prefix = ownership_prefix(cluster, _PRINCIPAL)
    told = Finding.objects.filter(kind=OWNERSHIP, dedupe_key__startswith=prefix, closed_at__isnull=True)
    open_now = {key.removeprefix(prefix) for key in told.values_list("dedupe_key", flat=True)}
    gone = {name: False for name in open_now if not owners.claimed(name)}
    ownership_findings(cluster, {name: True for name, claimed in claims.items() if claimed} | gone, _PRINCIPAL)


def rejections_prune(*, minute_days: float, event_days: float, batch_days: float = 7) -> int:
    """Delete what is older: minutes, series that ended, ids of batches, streams of files long gone. Totals stay."""
    statements = (
        ("DELETE FROM clusters_rejectionminute WHERE at < clock_timestamp() - make_interval(days => %s)", minute_days),
        (_PRUNE_SERIES, event_days),
        (
            "DELETE FROM clusters_rejectionbatch WHERE received_at < clock_timestamp() - make_interval(days => %s)",
            batch_days,
        ),
        (
            "DELETE FROM clusters_rejectionfeed WHERE last_at < clock_timestamp() - make_interval(days => %s)",
            event_days,
        ),
    )
    deleted = 0
    for statement, days in statements:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(statement, [int(days)])
            deleted += cursor.rowcount
    return deleted
