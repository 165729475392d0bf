"""The source kind `prometheus`: the health that brokers' exporters tell, through a Prometheus-compatible server.

Which words the exporter uses, and which label sets this cluster apart, is found out by a query and kept for a while.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from django.db import transaction

from clusters.gateways.prometheus import Answered, Prometheus, PrometheusFailed, Sample
from clusters.health import metrics
from clusters.health.events import Event
from clusters.health.judge import Reading
from clusters.health.metrics import Instances, Known
from clusters.health.performance import BROKER_QUERIES, CLUSTER_QUERIES, TOPIC_QUERIES, broker_figures, performance_of
from clusters.health.slo import SLOS, met
from clusters.health.states import Health, HealthEventKind, Source
from clusters.models import ClusterHealth, HealthSettings
from clusters.ports import EntityError, GatewayFailed
from clusters.promql import Dialect, Target, detection, dialect_of
from clusters.services.health_store import Stored, events_store, health_locked, health_publish, signals_store, slo_count
from clusters.services.health_topics import topic_figures_store
from clusters.signals import BY_ID
from clusters.sources import Outcome, Poll, RunDropped
from ops_portal.lib.clock import as_datetime

DETECT_SECONDS = 300.0
TOPIC_SECONDS = 60.0
GAP_PERIODS = 3.0
_HOSTS = "count by (cluster) (node_filesystem_size_bytes)"


class _NoSeries(Exception):
    """Prometheus has nothing of this cluster; the text says why."""


def poll_prometheus(run: Poll) -> Outcome:
    """One run. Raises GatewayFailed when Prometheus did not answer, RunDropped when none is set."""
    url = run.cluster.prometheus_url
    if not url:
        raise RunDropped("No Prometheus is set for this cluster.")
    health, _ = ClusterHealth.objects.get_or_create(cluster=run.cluster)
    settings = HealthSettings.objects.filter(cluster=run.cluster).first() or HealthSettings(cluster=run.cluster)
    with Prometheus(url, run.deadline) as prometheus:
        try:
            target, detected = _target(run, prometheus, health, settings)
        except PrometheusFailed as failure:
            raise GatewayFailed(failure.code, str(failure)) from failure
        except _NoSeries as reason:
            _store_nothing(run, str(reason))
            return Outcome((EntityError("cluster:series", "not_found", str(reason)),), {"queries": prometheus.requests})
        at = run.clock.now()
        with_topics = at - float(health.performance.get("topics_at") or 0.0) >= TOPIC_SECONDS
        extra = BROKER_QUERIES | CLUSTER_QUERIES | (TOPIC_QUERIES if with_topics else {})
        asked = metrics.asked(target, extra)
        rest = {f"rest:{row['name']}": row["query"] for row in settings.rest_queries}
        answers = prometheus.query_many(asked.queries | rest)
        errors = _errors(answers)
        if answers and len(errors) == len(answers):
            raise GatewayFailed(next(iter(answers.values())).code or "protocol", errors[0].message)
        warnings = list(prometheus.warnings)
        requests = prometheus.requests
    errors += [
        EntityError("cluster:series", "partial", f"Prometheus answered in part: {text}") for text in warnings[:5]
    ]
    _store(run, target, detected, asked, answers, settings, warnings, with_topics=with_topics)
    return Outcome(tuple(errors), {"queries": requests, "series": sum(len(one.samples) for one in answers.values())})


# --- whose series --------------------------------------------------------------------------------------------------------
def _target(run: Poll, prometheus: Prometheus, health: ClusterHealth, settings: HealthSettings) -> tuple[Target, bool]:
    """Dialect and matchers, kept or found out again. Raises PrometheusFailed or _NoSeries."""
    now = run.clock.now()
    kept_at = health.detected_at.timestamp() if health.detected_at else 0.0
    if health.dialect and now - kept_at < DETECT_SECONDS and health.target.get("url") == run.cluster.prometheus_url:
        mine = dict(health.target.get("matchers", {})) if not settings.matchers else settings.matchers
        hosts = dict(health.target.get("host_matchers", {})) if not settings.host_matchers else settings.host_matchers
        return Target(Dialect(health.dialect), mine, hosts), False
    label = next(iter(settings.matchers), "cluster")
    found = prometheus.query(detection(label))
    matchers = dict(settings.matchers) or _matchers(run.cluster.name, found)
    wanted = matchers.get(label, "")
    names: dict[str, float] = {}
    for sample in found:
        if sample.labels.get(label, "") == wanted:
            name = sample.labels.get("__name__", "")
            names[name] = names.get(name, 0.0) + (sample.value or 0.0)
    dialect = dialect_of(names)
    if dialect is None:
        raise _NoSeries(f"Prometheus has no series of Kafka brokers{f' with {label}={wanted}' if wanted else ''}.")
    return Target(dialect, matchers, dict(settings.host_matchers) or _host_matchers(prometheus, matchers)), True


def _matchers(cluster: str, found: Sequence[Sample]) -> dict[str, str]:
    """The label that sets the cluster apart: its own name, or the only one there is. Raises _NoSeries."""
    values = sorted({sample.labels.get("cluster", "") for sample in found})
    if not values:
        raise _NoSeries("Prometheus has no series of Kafka brokers.")
    if cluster in values:
        return {"cluster": cluster}
    if len(values) == 1:
        return {"cluster": values[0]} if values[0] else {}
    raise _NoSeries(
        f"Prometheus has series of several clusters ({', '.join(value or 'without a label' for value in values[:5])}) and none is"
        f" called {cluster}; name the label with manage.py set_health."
    )


def _host_matchers(prometheus: Prometheus, matchers: Mapping[str, str]) -> dict[str, str]:
    """node_exporter's series carry the cluster's label, or none: then hosts tell them apart."""
    try:
        values = {sample.labels.get("cluster", "") for sample in prometheus.query(_HOSTS)}
    except PrometheusFailed:
        return {}
    wanted = matchers.get("cluster", "")
    return {"cluster": wanted} if wanted and wanted in values else {}


# --- storing -------------------------------------------------------------------------------------------------------------
@transaction.atomic
def _store(
    run: Poll,
    target: Target,
    detected: bool,
    asked: metrics.Asked,
    answers: Mapping[str, Answered],
    settings: HealthSettings,
    warnings: list[str],
    *,
    with_topics: bool,
) -> None:
    cluster, at = run.cluster, run.clock.now()
    health = health_locked(cluster)
    before = health.prometheus_at.timestamp() if health.prometheus_at else None
    known = _known(health)
    samples = {name: answer.samples for name, answer in answers.items()}
    instances = metrics.instances_of(samples.get("states", ()), samples.get("ids", ()), known)
    readings = _readings(asked, answers, instances, known, warnings)
    figures = broker_figures(samples, instances, known)
    performance = performance_of(samples, instances, settings.rest_queries, health.performance, at)
    events = _events(health, figures, performance, readings)
    stored = signals_store(cluster=cluster, health=health, source=Source.PROMETHEUS, readings=readings, at=at)
    events_store(cluster, events, before if before is not None else at, at)
    _count(run, before, at, stored)
    if with_topics:
        performance["topics_at"] = at
        topic_figures_store(cluster, _by_topic(samples), at)
    health.performance, health.warnings = performance, warnings
    health.broker_figures = {str(broker): found for broker, found in figures.items()}
    health.instances = dict(instances.of)
    health.prometheus_at = as_datetime(at)
    health.dialect = target.dialect.value
    health.target = {
        "url": cluster.prometheus_url, "matchers": dict(target.matchers), "host_matchers": dict(target.host_matchers)
    }  # fmt: skip
    if detected:
        health.detected_at = as_datetime(at)
    health.save(
        update_fields=[
            "performance", "warnings", "broker_figures", "instances", "prometheus_at", "dialect", "target", "detected_at",
            "verdict", "verdict_since",
        ]
    )  # fmt: skip
    health_publish(cluster)


@transaction.atomic
def _store_nothing(run: Poll, why: str) -> None:
    """Prometheus answers and knows nothing of this cluster: every signal of it is unknown, for that reason."""
    health = health_locked(run.cluster)
    readings = {name: Reading(missing=why) for name, signal in BY_ID.items() if signal.query}
    at = run.clock.now()
    signals_store(cluster=run.cluster, health=health, source=Source.PROMETHEUS, readings=readings, at=at)
    health.dialect, health.detected_at = "", None
    health.save(update_fields=["dialect", "detected_at", "verdict", "verdict_since"])
    health_publish(run.cluster)


def _known(health: ClusterHealth) -> Known:
    return Known(
        {row["id"]: row["host"] for row in health.known_brokers},
        frozenset(row["id"] for row in health.brokers if not row["up"]),
        {int(broker): directories for broker, directories in health.log_dirs.items()},
    )


def _readings(
    asked: metrics.Asked, answers: Mapping[str, Answered], instances: Instances, known: Known, warnings: list[str]
) -> dict[str, Reading]:
    found: dict[str, Reading] = {}
    note = " Prometheus answered in part, some series may be missing." if warnings else ""
    for name, signal in BY_ID.items():
        if name in asked.missing:
            found[name] = Reading(missing=asked.missing[name])
        elif name in asked.queries:
            query, answer = asked.queries[name], answers[name]
            if answer.error:
                found[name] = Reading(missing=f"The query failed: {answer.error}", query=query)
            elif name == "exporters_missing":
                found[name] = metrics.exporters_missing(answer.samples, query, known)
            else:
                found[name] = metrics.reading(signal, query, answer.samples, instances, known)
    if note:
        found = {
            name: Reading(one.values, one.missing, one.absent, f"{one.note}{note}".strip(), one.query)
            for name, one in found.items()
        }
    return found


def _events(
    health: ClusterHealth,
    figures: Mapping[int, Mapping[str, Any]],
    performance: Mapping[str, Any],
    readings: Mapping[str, Reading],
) -> list[Event]:
    """What a comparison with the last run tells: restarts, a new controller, elections that lost records."""
    events = []
    for broker, found in sorted(figures.items()):
        then = health.broker_figures.get(str(broker), {}).get("started_at")
        now = found.get("started_at")
        if then is not None and now is not None and now > then + 1:
            events.append(Event(HealthEventKind.BROKER_RESTARTED, f"Broker {broker} was started anew.", broker))
    was, is_now = health.performance.get("controller"), performance.get("controller")
    if was is not None and is_now is not None and was != is_now:
        events.append(
            Event(HealthEventKind.CONTROLLER_MOVED, f"The active controller moved from {was} to {is_now}.", is_now)
        )
    elections = readings.get("unclean_elections")
    count = max(elections.values.values(), default=0.0) if elections is not None else 0.0
    if count > float(health.performance.get("unclean_elections") or 0.0):
        text = f"{count:.0f} unclean leader elections within ten minutes: records are lost."
        events.append(Event(HealthEventKind.UNCLEAN_ELECTION, text, count=int(count)))
    return events


def _count(run: Poll, before: float | None, at: float, stored: Stored) -> None:
    """Seconds since the last run, for or against each target that a signal decides."""
    if before is None or at <= before:
        return
    unwatched = max(0.0, at - before - GAP_PERIODS * run.period_seconds)
    for slo in SLOS:
        if not slo.signal:
            continue
        signal = stored.signals[slo.signal]
        value = None if signal.state is Health.UNKNOWN else signal.value
        if unwatched:
            slo_count(run.cluster, slo.id, at, unwatched, None, None)
        slo_count(run.cluster, slo.id, at, at - before - unwatched, met(slo, value), value)


def _by_topic(samples: Mapping[str, Sequence[Sample]]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    for key in TOPIC_QUERIES:
        for topic, value in metrics.by_label(samples.get(key, ()), "topic").items():
            found.setdefault(topic, {})[key.removeprefix("topic_")] = value
    return found


def _errors(answers: Mapping[str, Answered]) -> list[EntityError]:
    return [
        EntityError(f"query:{name}", answer.code or "failed", answer.error)
        for name, answer in answers.items()
        if answer.error
    ]
