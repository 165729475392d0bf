"""Every change to clusters, sources and findings."""

from clusters.services.clusters import (
    Filters,
    changed_connection_test,
    cluster_add,
    cluster_change,
    cluster_connection_test,
    cluster_name_check,
    cluster_remove,
    cluster_secrets,
    connection_test,
    prometheus_test,
    secrets_rotate,
    source_change,
)
from clusters.services.findings import finding_close, finding_open, finding_touch

__all__ = [
    "Filters",
    "changed_connection_test",
    "cluster_add",
    "cluster_change",
    "cluster_connection_test",
    "cluster_name_check",
    "cluster_remove",
    "cluster_secrets",
    "connection_test",
    "finding_close",
    "finding_open",
    "finding_touch",
    "prometheus_test",
    "secrets_rotate",
    "source_change",
]
