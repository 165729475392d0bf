"""Owners of principals, topics and subjects on a cluster, by the rules of accounts."""

from collections.abc import Callable
from dataclasses import dataclass

from accounts.selectors import ownership_matcher
from clusters.models import Cluster
from clusters.rejections.owners import client_of, subject_client
from clusters.rejections.types import Rejected


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose things are, as the rules stand now. What two clients claim is nobody's."""

    principal: Callable[[str], int | None]
    topic: Callable[[str], int | None]

    def of(self, rejected: Rejected) -> int | None:
        return client_of(rejected, self.principal, self.topic)

    def of_subject(self, subject: str) -> int | None:
        return subject_client(subject, self.topic)


def owners_on(cluster: Cluster | None) -> Owners:
    """Owners on one cluster; without one, by the rules that hold on every cluster."""
    name = "" if cluster is None else cluster.name
    principals, topics = ownership_matcher("principal", name), ownership_matcher("topic", name)
    return Owners(lambda text: principals.owner(text).client_id, lambda text: topics.owner(text).client_id)
