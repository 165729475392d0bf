"""Health of clusters for pages, API and live views: verdict, signals, brokers, topics, events, history, targets.

Everything here needs the right to see clusters: brokers and other clients' topics are not for everybody. A selector returns
None, or nothing, for who has it not.
"""

from clusters.selectors.health.current import (
    brokers_up,
    cluster_health,
    cluster_verdicts,
    health_cluster,
    health_clusters,
    health_events,
    signals_now,
)
from clusters.selectors.health.rows import (
    RUNBOOK,
    BrokerRow,
    ClusterVerdict,
    HealthView,
    OneSource,
    PartRow,
    SignalRow,
    SourceAge,
)

__all__ = [
    "RUNBOOK",
    "BrokerRow",
    "ClusterVerdict",
    "HealthView",
    "OneSource",
    "PartRow",
    "SignalRow",
    "SourceAge",
    "brokers_up",
    "cluster_health",
    "cluster_verdicts",
    "health_cluster",
    "health_clusters",
    "health_events",
    "signals_now",
]
