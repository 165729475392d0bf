"""Owners of principals, topics and subjects on a cluster, by the rules of accounts."""

from collections.abc import Callable
from dataclasses import dataclass

from accounts.selectors import ownership_matcher
from clusters.models import Cluster
from clusters.rejections.owners import client_of, spellings, subject_client
from clusters.rejections.types import Rejected


@dataclass(frozen=True, slots=True)
class Owners:
    """Whose things are, as the rules stand now. What two clients claim is nobody's."""

    principal: Callable[[str], int | None]
    topic: Callable[[str], int | None]
    claimed: Callable[[str], bool]  # whether several clients claim the principal

    def of(self, rejected: Rejected) -> int | None:
        return client_of(rejected, self.principal, self.topic)

    def of_subject(self, subject: str) -> int | None:
        return subject_client(subject, self.topic)


def owners_on(cluster: Cluster | None) -> Owners:
    """Owners on one cluster; without one, by the rules that hold on every cluster."""
    name = "" if cluster is None else cluster.name
    principals, topics = ownership_matcher("principal", name), ownership_matcher("topic", name)
    return Owners(
        principal=lambda text: principals.owner_of_any(spellings(text)).client_id,
        topic=lambda text: topics.owner(text).client_id,
        claimed=lambda text: principals.owner_of_any(spellings(text)).conflict,
    )
