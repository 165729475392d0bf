"""What the portal alone knows of clusters, in Prometheus' text format (docs/metrics.md). All from stored rows."""

from collections.abc import Callable, Iterator

from accounts.models import Client
from clusters.models import Cluster, RejectionTotal
from clusters.rejections.types import Kind
from clusters.selectors.certificates import certificate_days
from clusters.selectors.health import brokers_up, signals_now
from ops_portal.lib.exposition import labelled

# Name -> type, help text.
METRICS = {
    "ops_portal_broker_up": (
        "gauge",
        "1 for a broker that is up, 0 for one that is down; absent while that is not known.",
    ),
    "ops_portal_cluster_verdict": ("gauge", "1 for the verdict on a cluster that holds now."),
    "ops_portal_health_signal": ("gauge", "1 for the state of a health signal that holds now."),
    "ops_portal_certificate_days_left": (
        "gauge",
        "Days until a certificate ends, negative after it, by the listener that serves it; listener is empty for others.",
    ),
    "ops_portal_certificate_lifetime_days": ("gauge", "Days from the beginning to the end of a certificate."),
    "ops_portal_rejections_total": (
        "counter",
        "Refusals counted for a client; no client = of principals that none owns.",
    ),
}


def exposition() -> bytes:
    """The part of a scrape that this app brings."""
    return "".join(_rendered(name) for name in METRICS).encode()


def _rendered(name: str) -> str:
    kind, text = METRICS[name]
    lines = "".join(_SERIES[name]())
    return f"# HELP {name} {text}\n# TYPE {name} {kind}\n{lines}" if lines else ""


def _rejections() -> Iterator[str]:
    """Every client and kind from the start, at 0 too: a counter that appears with its first event hides it from increase()."""
    totals = {
        (row.cluster_id, row.client_id, row.kind): row.count for row in RejectionTotal.objects.order_by("pk")
    }  # fmt: skip
    clusters = list(Cluster.objects.filter(removed_at__isnull=True).order_by("name").values_list("pk", "name"))
    clients = [*Client.objects.order_by("name").values_list("pk", "name"), (None, "")]
    for cluster_id, cluster in [*clusters, (None, "")]:
        for client_id, client in clients:
            for kind in Kind:
                count = totals.get((cluster_id, client_id, kind.value))
                if count is not None or cluster_id is not None:
                    yield labelled(
                        "ops_portal_rejections_total", count or 0, cluster=cluster, client=client, kind=kind.value
                    )


def _brokers() -> Iterator[str]:
    """Absent while the source is stale: nobody knows then."""
    for cluster, rows in brokers_up():
        for broker, up in rows:
            yield labelled("ops_portal_broker_up", int(up), cluster=cluster, broker=str(broker))


def _verdicts() -> Iterator[str]:
    for cluster, verdict, _, _ in signals_now():
        yield labelled("ops_portal_cluster_verdict", 1, cluster=cluster.name, verdict=verdict.state.value)


def _signals() -> Iterator[str]:
    for cluster, _, signals, _ in signals_now():
        for row in signals:
            yield labelled("ops_portal_health_signal", 1, cluster=cluster.name, signal=row.id, state=row.state.value)


def _certificates() -> Iterator[str]:
    """Every certificate of each chain that is served, and what is known without being served. What was not read lately is absent."""
    for days, _, cluster, listener, serial, kind in certificate_days():
        name = "ops_portal_certificate_days_left"
        yield labelled(name, round(days, 4), cluster=cluster, listener=listener, serial=serial, kind=kind)


def _lifetimes() -> Iterator[str]:
    """The same certificates: a rule must not alarm earlier than a third of the lifetime before the end."""
    for _, lifetime, cluster, listener, serial, kind in certificate_days():
        name = "ops_portal_certificate_lifetime_days"
        yield labelled(name, round(lifetime, 4), cluster=cluster, listener=listener, serial=serial, kind=kind)


_SERIES: dict[str, Callable[[], Iterator[str]]] = {
    "ops_portal_broker_up": _brokers,
    "ops_portal_cluster_verdict": _verdicts,
    "ops_portal_health_signal": _signals,
    "ops_portal_certificate_days_left": _certificates,
    "ops_portal_certificate_lifetime_days": _lifetimes,
    "ops_portal_rejections_total": _rejections,
}
