"""What the app keeps: each part has a module of its own."""

from clusters.models.certificates import (
    Certificate,
    CertificateFile,
    CertificatePolicy,
    Rotation,
    ServiceKey,
    TlsAddress,
    TlsListener,
)
from clusters.models.clusters import CLUSTER_NAME, Cluster, PollRun, Source, Topic
from clusters.models.findings import Finding
from clusters.models.health import (
    CanaryResult,
    ClusterHealth,
    HealthEvent,
    HealthSettings,
    PlatformSloCount,
    SignalState,
    TopicHealth,
)
from clusters.models.load_tests import LoadTest
from clusters.models.rejections import (
    Rejection,
    RejectionBatch,
    RejectionCounter,
    RejectionFeed,
    RejectionMinute,
    RejectionTotal,
)
from clusters.models.schemas import SchemaOffer, SchemaRegistry, SchemaSubject

__all__ = [
    "CLUSTER_NAME",
    "CanaryResult",
    "Certificate",
    "CertificateFile",
    "CertificatePolicy",
    "Cluster",
    "ClusterHealth",
    "Finding",
    "HealthEvent",
    "HealthSettings",
    "LoadTest",
    "PlatformSloCount",
    "PollRun",
    "Rejection",
    "RejectionBatch",
    "RejectionCounter",
    "RejectionFeed",
    "RejectionMinute",
    "RejectionTotal",
    "Rotation",
    "SchemaOffer",
    "SchemaRegistry",
    "SchemaSubject",
    "ServiceKey",
    "SignalState",
    "Source",
    "TlsAddress",
    "TlsListener",
    "Topic",
    "TopicHealth",
]
