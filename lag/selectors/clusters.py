"""Clusters and topics as lag sees them."""

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

from django.db import connection

from accounts.policies import Person, Scope, may, scope_of
from accounts.roles import Right
from clusters.models import Cluster
from lag.rows import ClusterSummary, TopicConsumer, TopicSummary
from lag.selectors.board import seconds_between
from lag.selectors.freshness import Freshness, freshness_of
from lag.verdicts import Flag, Verdict


def clusters_visible(user: Person) -> list[Cluster]:
    """Clusters the user may see, by name: all, or those that hold a group of the user's clients."""
    return clusters_in(scope_of(user))


def clusters_in(scope: Scope) -> list[Cluster]:
    """As `clusters_visible`, for live views."""
    clusters = Cluster.objects.filter(removed_at__isnull=True).order_by("name")
    if not scope.everything:
        clusters = clusters.filter(groups__client_id__in=scope.client_ids, groups__vanished_at__isnull=True).distinct()
    return list(clusters)


def cluster_named(user: Person, name: str) -> Cluster | None:
    """The cluster of that name if the user may see it."""
    return next((cluster for cluster in clusters_visible(user) if cluster.name == name), None)


def cluster_summaries(user: Person) -> tuple[ClusterSummary, ...]:
    """Every cluster the user may see with counts, sums and age over the groups the user may see."""
    scope, clusters = scope_of(user), clusters_visible(user)
    fresh = freshness_of([cluster.pk for cluster in clusters])
    sums = _sums(scope, fresh)
    see_brokers = may(user, Right.SEE_CLUSTERS)
    return tuple(_summary(cluster, fresh[cluster.pk], sums.get(cluster.pk), see_brokers) for cluster in clusters)


def _sums(scope: Scope, fresh: dict[int, Freshness]) -> dict[int, dict[str, Any]]:
    """Per cluster: groups by verdict, sum of records, worst seconds; groups that are stale by themselves are unknown."""
    found: dict[int, dict[str, Any]] = {}
    with connection.cursor() as cursor:
        for pk, of in fresh.items():
            cursor.execute(
                "SELECT CASE WHEN %(stale)s OR NOT fresh AND observed_at < %(cutoff)s THEN 'unknown' ELSE verdict END AS effective,"
                " count(*), sum(lag_records)::bigint, max(CASE WHEN lag_seconds_method = 'caught_up' THEN 0"
                " ELSE extract(epoch FROM CASE WHEN fresh THEN %(at)s ELSE observed_at END - unread_since) END)::float8"
                " FROM lag_consumergroup WHERE cluster_id = %(cluster)s AND vanished_at IS NULL"
                " AND (%(all)s OR client_id = ANY(%(clients)s)) GROUP BY effective",
                {
                    "stale": of.stale, "cutoff": of.cutoff, "at": of.observed_at, "cluster": pk,
                    "all": scope.everything, "clients": sorted(scope.client_ids),
                },
            )  # fmt: skip
            rows = cursor.fetchall()
            counts = {row[0]: row[1] for row in rows}
            found[pk] = {
                "verdicts": {verdict.value: counts.get(verdict.value, 0) for verdict in Verdict},
                "groups": sum(counts.values()),
                "records": _total(row[2] for row in rows),
                "seconds": max((max(0.0, row[3]) for row in rows if row[3] is not None), default=None),
            }
    return found


def _total(values: Iterable[int | None]) -> int | None:
    known = [value for value in values if value is not None]
    return sum(known) if known else None


def _summary(cluster: Cluster, fresh: Freshness, sums: dict[str, Any] | None, see_brokers: bool) -> ClusterSummary:
    known = sums or {"verdicts": {}, "groups": 0, "records": None, "seconds": None}
    never = fresh.observed_at is None
    return ClusterSummary(
        id=cluster.pk,
        cluster=cluster.name,
        state="unknown" if never else "stale" if fresh.stale else "ok",
        reason=fresh.reason(with_error=see_brokers) if fresh.stale else "",
        brokers=len(cluster.brokers) if see_brokers and cluster.brokers else None,
        groups=known["groups"],
        verdicts=known["verdicts"],
        lag_records=known["records"],
        lag_seconds=known["seconds"],
        observed_at=fresh.observed_at,
        age_seconds=fresh.age(fresh.observed_at),
        stale=fresh.stale,
    )


_TOPICS = """
SELECT t.id, t.name, t.topic_id, tc.name, t.partitions, t.cleanup_policy, t.produce_rate, t.client_id,
       g.id, g.name, gc.name, g.client_id, gt.verdict, gt.lag_records, gt.unread_since, gt.method, gt.consume_rate,
       CASE WHEN g.fresh THEN %(at)s ELSE g.observed_at END,
       %(stale)s OR NOT g.fresh AND g.observed_at < %(cutoff)s
FROM clusters_topic t
LEFT JOIN accounts_client tc ON tc.id = t.client_id
LEFT JOIN lag_grouptopic gt ON gt.topic_id = t.id
LEFT JOIN lag_consumergroup g ON g.id = gt.group_id AND g.vanished_at IS NULL
LEFT JOIN accounts_client gc ON gc.id = g.client_id
WHERE t.cluster_id = %(cluster)s AND t.vanished_at IS NULL AND (%(q)s = '' OR strpos(lower(t.name), lower(%(q)s)) > 0)
  AND (%(name)s::text IS NULL OR t.name = %(name)s)
ORDER BY t.name, g.name
"""


def topics(user: Person, cluster: Cluster, *, q: str = "", name: str | None = None) -> tuple[TopicSummary, ...]:
    """Topics of the cluster, by name, with the groups that read them. A scoped user sees own topics and those that own
    groups read; of topics that other clients share only what is the user's own."""
    scope = scope_of(user)
    fresh = freshness_of([cluster.pk])[cluster.pk]
    params = {
        "at": fresh.observed_at, "stale": fresh.stale, "cutoff": fresh.cutoff, "cluster": cluster.pk, "q": q, "name": name,
    }  # fmt: skip
    with connection.cursor() as cursor:
        cursor.execute(_TOPICS, params)
        rows = cursor.fetchall()
    by_topic: dict[int, list[tuple[Any, ...]]] = defaultdict(list)
    for row in rows:
        by_topic[row[0]].append(row)
    found = (_topic(scope, cluster.name, found) for found in by_topic.values())
    return tuple(topic for topic in found if topic is not None)


def _topic(scope: Scope, cluster: str, rows: list[tuple[Any, ...]]) -> TopicSummary | None:
    pk, name, topic_id, client, partitions, policy, rate, client_id = rows[0][:8]
    readers = [row for row in rows if row[8] is not None]
    shared = False
    if not scope.everything:
        own = [row for row in readers if row[11] in scope.client_ids]
        is_own = client_id in scope.client_ids
        if not own and not is_own:
            return None
        foreign = {row[11] for row in readers if row[11] is not None} | ({client_id} if client_id else set())
        shared = bool(foreign - scope.client_ids)
        readers = own
        client = client if is_own else None
    consumers = tuple(_consumer(row) for row in readers)
    lags = [consumer.lag_records for consumer in consumers if consumer.lag_records is not None]
    return TopicSummary(
        id=pk, cluster=cluster, topic=name, topic_id=topic_id or None, client=client, partitions=partitions,
        cleanup_policy=policy or None, produce_rate=None if shared else rate, lag_records=max(lags, default=None),
        consumers=consumers, flags=(Flag.SHARED_TOPIC.value,) if shared else (),
    )  # fmt: skip


def _consumer(row: tuple[Any, ...]) -> TopicConsumer:
    group_id, group, client, _, verdict, lag, since, method, rate, at, stale = row[8:19]
    return TopicConsumer(
        group_id=group_id, group=group, client=client, verdict=Verdict.UNKNOWN if stale else Verdict(verdict),
        lag_records=lag, lag_seconds=seconds_between(since, method, at), consume_rate=rate,
    )  # fmt: skip
