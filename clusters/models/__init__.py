"""What the app keeps: each part has a module of its own."""

from clusters.models.clusters import CLUSTER_NAME, Cluster, PollRun, Source, Topic
from clusters.models.findings import Finding

__all__ = ["CLUSTER_NAME", "Cluster", "Finding", "PollRun", "Source", "Topic"]
