"""Pages of cluster health: all clusters, one cluster, history of a signal, targets of the platform.

Nothing is asked of Kafka or Prometheus here: everything is read from what the polls stored.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.policies import Person, may
from accounts.roles import Right
from clusters import charts
from clusters.health.states import Area, Health, Source, worst
from clusters.models import Cluster
from clusters.selectors.health import (
    BrokerRow,
    ClusterVerdict,
    HealthView,
    SignalRow,
    SourceAge,
    cluster_health,
    cluster_verdicts,
    health_cluster,
    health_clusters,
    health_events,
)
from clusters.selectors.health.history import signal_history
from clusters.selectors.health.lagging import lagging_partitions
from clusters.selectors.health.topics import largest_topics
from clusters.selectors.platform_slos import PlatformSloRow, canary_of, platform_slos
from clusters.signals import BY_ID
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock

EVENTS_SHOWN = 60
LAGGING_SHOWN = 40
TOPICS_SHOWN = 10
RANGES = {"1h": ("1 h", 1), "6h": ("6 h", 6), "24h": ("24 h", 24), "7d": ("7 d", 168), "30d": ("30 d", 720)}
DEFAULT_RANGE = "6h"
PHASES = {
    "requestqueue": ("Waiting for a handler", "this broker is busy"),
    "local": ("Work of the leader", "its disk and page cache"),
    "remote": ("Waiting for followers", "replication"),
    "throttle": ("Throttled", "a quota of the client"),
    "responsequeue": ("Waiting for a network thread", "this broker is busy"),
    "responsesend": ("Sending the answer", "the network, or a slow client"),
}
FIGURES = ("brokers", "brokers_up", "topics", "partitions", "replicas", "in_sync")
THROUGHPUT = (
    "records_in_rate", "bytes_in_rate", "bytes_out_rate", "replication_in_rate", "replication_out_rate", "produce_rate",
    "fetch_rate",
)  # fmt: skip
LATENCY_SIGNALS = {("produce", "p95"): "produce_p95", ("produce", "p99"): "produce_p99"}
_METERED = (
    "leaders", "replicas", "cpu_cores", "memory_bytes", "bytes_in_rate", "bytes_out_rate", "received_rate", "sent_rate",
    "log_bytes",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class AreaRows:
    """The signals of one part of the page."""

    area: Area
    rows: tuple[SignalRow, ...]

    @property
    def state(self) -> Health:
        return worst(row.state for row in self.rows)

    @property
    def bad(self) -> int:
        return sum(row.state in {Health.CRITICAL, Health.WARNING} for row in self.rows)

    @property
    def unknown(self) -> int:
        return sum(row.state is Health.UNKNOWN for row in self.rows)


@require_safe
@requires(Right.SEE_CLUSTERS)
def health_list(request: HttpRequest) -> HttpResponse:
    """Every cluster with its verdict, worst first; a single cluster is shown at once."""
    rows = cluster_verdicts(request.user)
    if len(rows) == 1:
        return redirect("clusters:health-detail", rows[0].cluster)
    context = {
        "rows": rows,
        "sentence": _list_sentence(rows),
        "red": sum(row.verdict is Health.CRITICAL for row in rows),
        "may_administer": may(request.user, Right.ADMINISTER),
    }
    return render(request, "clusters/health_list.html", context)


@require_safe
@requires(Right.SEE_CLUSTERS)
def health_detail(request: HttpRequest, cluster: str) -> HttpResponse:
    """One cluster: verdict and reasons first, then brokers, figures, every signal, events. It goes on by push."""
    found, view = _view_or_404(request.user, cluster)
    lagging, lagging_total = lagging_partitions(request.user, found, limit=LAGGING_SHOWN)
    signals = {row.id: row for row in view.signals}
    brokers_age, prometheus_age = (_age(view, source) for source in (Source.BROKERS, Source.PROMETHEUS))
    context = {
        "view": view,
        "cluster": found,
        "signals": signals,
        "sentence": _sentence(view),
        "red": view.counts[Health.CRITICAL],
        "unknown_count": view.counts[Health.UNKNOWN],
        "why": _why(view),
        "blind": _blind(view),
        "produce_p95": view.latency.get("produce", {}).get("p95"),
        "brokers_age": brokers_age,
        "prometheus_age": prometheus_age,
        "never_read": all(age.observed_at is None for age in view.sources),
        "areas": [AreaRows(area, tuple(row for row in view.signals if row.signal.area is area)) for area in Area],
        "most": _most(view.brokers),
        "figures": _known(view.figures, FIGURES),
        "throughput": _known(view.throughput, THROUGHPUT),
        "isr": _known(view.isr, ("shrink_rate", "expand_rate")),
        "quorum": _known(view.quorum, ("leader", "epoch", "end_offset")),
        "latency": _latency(view, signals),
        "phases": _phases(view),
        "disk_known": signals["disk_forecast"].state is not Health.UNKNOWN,
        "topics": largest_topics(request.user, found, limit=TOPICS_SHOWN),
        "lagging": lagging,
        "lagging_total": lagging_total,
        "events": health_events(request.user, found, limit=EVENTS_SHOWN),
        "ranges": [(word, label) for word, (label, _) in RANGES.items()],
        "clusters": health_clusters(request.user),
        "settings_url": _settings_url(request.user, found),
        "may_see_sources": may(request.user, Right.SEE_SOURCES),
    }
    return render(request, "clusters/cluster_health.html", context)


@require_safe
@requires(Right.SEE_CLUSTERS)
def signal_figure(request: HttpRequest, cluster: str, signal: str) -> JsonResponse:
    """A Plotly figure of a signal over `range` (1h, 6h, 24h, 7d, 30d)."""
    found = _cluster_or_404(request.user, cluster)
    wanted = BY_ID.get(signal)
    hours = RANGES.get(request.GET.get("range", ""), RANGES[DEFAULT_RANGE])[1]
    end = as_datetime(database_clock().now())
    history = (
        signal_history(request.user, found, wanted, end - timedelta(hours=hours), end) if wanted is not None else None
    )
    if wanted is None or history is None:
        raise Http404("no such signal")
    return JsonResponse(charts.signal_figure(wanted, history))


@require_safe
@requires(Right.SEE_CLUSTERS)
def targets(request: HttpRequest) -> HttpResponse:
    """Targets of the platform on every cluster: attained, error budget, burn; and the tier that serves HTTP."""
    panels: list[dict[str, Any]] = []
    for cluster in health_clusters(request.user):
        view = cluster_health(request.user, cluster)
        if view is not None:
            rows = platform_slos(request.user, cluster)
            panels.append(
                {
                    "cluster": cluster,
                    "rows": rows,
                    "canary": canary_of(request.user, cluster),
                    "rest": [_rest(row) for row in view.rest],
                    "age": _age(view, Source.BROKERS),
                    "prometheus_age": _age(view, Source.PROMETHEUS),
                }
            )
    missed = [(panel["cluster"], row) for panel in panels for row in panel["rows"] if row.met is False]
    context = {"panels": panels, "sentence": _targets_sentence(panels, missed), "red": len(missed)}
    return render(request, "clusters/targets.html", context)


# --- what the templates show -----------------------------------------------------------------------------------------------
def _cluster_or_404(user: Person, name: str) -> Cluster:
    found = health_cluster(user, name)
    if found is None:
        raise Http404("no such cluster")
    return found


def _view_or_404(user: Person, name: str) -> tuple[Cluster, HealthView]:
    found = _cluster_or_404(user, name)
    view = cluster_health(user, found)
    if view is None:
        raise Http404("no such cluster")
    return found, view


def _age(view: HealthView, source: Source) -> SourceAge:
    return next(age for age in view.sources if age.source is source)


def _settings_url(user: Person, cluster: Cluster) -> str:
    return reverse("clusters:cluster-detail", args=[cluster.name]) if may(user, Right.ADMINISTER) else ""


def _why(view: HealthView) -> list[SignalRow]:
    """The signals behind the verdict: critical, then warning; what no verdict can do without comes first."""
    bad = [row for row in view.signals if row.state in {Health.CRITICAL, Health.WARNING}]
    return sorted(bad, key=lambda row: (-row.state.rank, not row.signal.essential))


def _blind(view: HealthView) -> list[SignalRow]:
    """Signals that the verdict needs and that cannot be told, though a source of theirs is set."""
    configured = {age.source for age in view.sources if not age.configured}
    return [
        row
        for row in view.signals
        if row.state is Health.UNKNOWN and row.signal.essential and configured.intersection(row.signal.sources)
    ]


def _most(brokers: Iterable[BrokerRow]) -> dict[str, float]:
    """The largest value of each column, against which bars are drawn."""
    rows = list(brokers)
    return {name: max((getattr(row, name) or 0 for row in rows), default=0) for name in _METERED}


def _known(found: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """Every one of the names; None for what is not known."""
    return {name: found.get(name) for name in names}


def _latency(view: HealthView, signals: dict[str, SignalRow]) -> list[dict[str, Any]]:
    rows = []
    for kind, title, note in (("produce", "Produce", ""), ("fetch", "Fetch", "with waiting for new records")):
        found = view.latency.get(kind, {})
        cells = [
            {"value": found.get(name), "signal": signals.get(LATENCY_SIGNALS.get((kind, name), ""))}
            for name in ("p50", "p95", "p99", "p999")
        ]
        rows.append({"title": title, "note": note, "cells": cells})
    return rows


def _phases(view: HealthView) -> dict[str, Any]:
    rows = [{"title": title, "note": note, "value": view.phases.get(name)} for name, (title, note) in PHASES.items()]
    return {"rows": rows, "most": max((row["value"] or 0.0 for row in rows), default=0.0)}


def _rest(row: Any) -> dict[str, Any]:
    """One figure of the REST tier with its state: a missing series is unknown, one without limits has no state."""
    value, warn, critical = row.get("value"), row.get("warn"), row.get("critical")
    state: Health | None = None
    if value is None:
        state = Health.UNKNOWN
    elif warn is not None or critical is not None:
        below = warn is not None and critical is not None and critical < warn
        state = Health.OK
        for limit, named in ((warn, Health.WARNING), (critical, Health.CRITICAL)):
            if limit is not None and (value <= limit if below else value >= limit):
                state = named
    return {**row, "state": state}


def _sentence(view: HealthView) -> str:
    if all(age.observed_at is None for age in view.sources):
        return "Nothing has been read yet."
    critical, warning, unknown = (view.counts[state] for state in (Health.CRITICAL, Health.WARNING, Health.UNKNOWN))
    parts = [
        f"{count} {word}"
        for count, word in ((critical, "critical"), (warning, "warning"), (unknown, "unknown"))
        if count
    ]
    total = len(view.signals)
    if not parts:
        return f"All {total} signals are fine."
    return f"{', '.join(parts)} of {total} signals."


def _list_sentence(rows: tuple[ClusterVerdict, ...]) -> str:
    if not rows:
        return ""
    bad = [row for row in rows if row.verdict is not Health.OK]
    if not bad:
        return f"All {len(rows)} clusters are fine."
    first = f"{bad[0].cluster} is {bad[0].verdict.label}"
    return f"{len(bad)} of {len(rows)} clusters {'needs' if len(bad) == 1 else 'need'} a look; {first}."


def _targets_sentence(panels: list[dict[str, Any]], missed: list[tuple[Cluster, PlatformSloRow]]) -> str:
    total = sum(len(panel["rows"]) for panel in panels)
    if not total:
        return ""
    if missed:
        cluster, row = missed[0]
        return f"{len(missed)} of {total} missed now; {row.slo.title.lower()} on {cluster.name}."
    told = sum(row.met is not None for panel in panels for row in panel["rows"])
    return "No target can be told now." if not told else f"{told} of {total} told, all met now."
