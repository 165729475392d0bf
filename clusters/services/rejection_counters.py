"""The source kind `rejections`: what Prometheus tells of refusals, every 15 s."""

from collections.abc import Sequence

from django.db import transaction

from clusters import sources
from clusters.gateways.prometheus import Answered, Prometheus
from clusters.models import Cluster, ClusterHealth, RejectionCounter
from clusters.ports import EntityError, GatewayFailed
from clusters.rejections.counters import (
    ERRORS,
    SIGN_INS,
    THROTTLED,
    VALIDATION,
    Counted,
    counted,
    grown,
    is_of,
    queries,
    throttled,
)
from clusters.rejections.types import Origin, Rejected
from clusters.services.rejections import series_store
from clusters.sources import Outcome, Poll, RunDropped
from ops_portal.lib.clock import as_datetime

KIND = "rejections"
PERIOD_SECONDS = 15
_BEGUN = "begun"  # the row that says since when counters are watched: what they counted before is history


def poll_rejections(run: Poll) -> Outcome:
    """One run. Raises GatewayFailed when Prometheus did not answer, RunDropped when none is set."""
    if not run.cluster.prometheus_url:
        raise RunDropped("No Prometheus is set for this cluster.")
    health = ClusterHealth.objects.filter(cluster=run.cluster).first()
    if health is None or not health.dialect:
        raise RunDropped("It is not known yet which series are this cluster's; the source prometheus finds out.")
    with Prometheus(run.cluster.prometheus_url, run.deadline) as prometheus:
        answers = prometheus.query_many(queries(dict(health.target.get("matchers", {}))))
    failed = {key: answer for key, answer in answers.items() if answer.error}
    if len(failed) == len(answers):
        first = next(iter(failed.values()))
        raise GatewayFailed(first.code or "protocol", first.error)
    found = [one for key in (ERRORS, SIGN_INS) for one in counted(key, _pairs(answers[key]))]
    alone = _reads_alone(run.cluster)
    found += counted(
        VALIDATION, [pair for pair in _pairs(answers[VALIDATION]) if is_of(pair[0], run.cluster.name, alone=alone)]
    )
    slow = throttled(_pairs(answers[THROTTLED]))
    count = counters_store(cluster=run.cluster, found=found, throttled=slow, at=run.clock.now())
    errors = [EntityError(f"query:{key}", answer.code or "protocol", answer.error) for key, answer in failed.items()]
    return Outcome(errors, {"counters": len(found), "refusals": count, "throttled": len(slow)})


@transaction.atomic(durable=True)
def counters_store(*, cluster: Cluster, found: Sequence[Counted], throttled: Sequence[Rejected], at: float) -> int:
    """Count what counters grew by since they were read last, and who is throttled now; how many refusals that is.

    The first reading of a cluster counts nothing. From then on a series that is new counts whole, so its first event is
    never missed; a counter that was set back counts from nothing.
    """
    now = as_datetime(at)
    _, first = RejectionCounter.objects.get_or_create(
        cluster=cluster, series=_BEGUN, defaults={"value": 0.0, "seen_at": now}
    )
    rows = RejectionCounter.objects.select_for_update().filter(cluster=cluster).order_by("series")
    before = {row.series: row.value for row in rows}
    by_origin: dict[Origin, list[Rejected]] = {Origin.METRIC: [one._replace(at=at) for one in throttled]}
    for one in found:
        times = 0 if first else grown(one.value, before.get(one.series))
        if times:
            by_origin.setdefault(one.origin, []).append(one.refused._replace(at=at, times=times))
    for origin in sorted(by_origin):
        series_store(cluster, origin, by_origin[origin], at)
    RejectionCounter.objects.bulk_create(
        [
            RejectionCounter(cluster=cluster, series=series, value=value, seen_at=now)
            for series, value in {one.series: one.value for one in found}.items()
        ],
        update_conflicts=True,
        unique_fields=["cluster", "series"],
        update_fields=["value", "seen_at"],
    )
    return sum(one.times for refused in by_origin.values() for one in refused)


def register_source() -> None:
    """Called once, in `apps.ready`."""
    sources.register(KIND, poll_rejections, lambda: PERIOD_SECONDS)


def _pairs(answer: Answered) -> list[tuple[dict[str, str], float | None]]:
    return [(dict(sample.labels), sample.value) for sample in answer.samples]


def _reads_alone(cluster: Cluster) -> bool:
    """Whether this cluster is the one to count series without a label: the first of those that share a Prometheus."""
    same = Cluster.objects.filter(prometheus_url=cluster.prometheus_url, removed_at__isnull=True)
    return same.order_by("name").values_list("pk", flat=True).first() == cluster.pk
