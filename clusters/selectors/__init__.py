"""Reads of clusters: each part of the app has a module of its own, all take the user."""

from clusters.selectors.findings import FindingRow, finding_rows, findings
from clusters.selectors.polling import (
    DatabaseTime,
    SourceRow,
    cluster_named,
    clusters_visible,
    source_named,
    source_of,
    source_rows,
    source_runs,
    sources,
)

__all__ = [
    "DatabaseTime",
    "FindingRow",
    "SourceRow",
    "cluster_named",
    "clusters_visible",
    "finding_rows",
    "findings",
    "source_named",
    "source_of",
    "source_rows",
    "source_runs",
    "sources",
]
