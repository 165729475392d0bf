"""How old a cluster's lag is: one reading of the database's clock, the source's period and the newest poll."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.conf import settings
from django.db import connection

from ops_portal.lib.units import is_stale, stale_after_seconds


@dataclass(frozen=True, slots=True)
class Freshness:
    """`observed_at` of the newest poll that was stored (None = never) against `now`, both of the database's clock."""

    now: datetime
    period_seconds: float
    observed_at: datetime | None
    error: str = ""  # what the source last failed with, if it fails now

    @property
    def stale(self) -> bool:
        return is_stale(self.age(self.observed_at), self.period_seconds)

    @property
    def cutoff(self) -> datetime:
        """What was observed before this is stale."""
        return self.now - timedelta(seconds=stale_after_seconds(self.period_seconds))

    def age(self, at: datetime | None) -> float | None:
        return None if at is None else max(0.0, (self.now - at).total_seconds())

    def reason(self, *, with_error: bool) -> str:
        """Why everything of a stale cluster is unknown. The error may name brokers, which is not for everybody."""
        age = self.age(self.observed_at)
        since = "has never been read" if age is None else f"was last read {age:.0f} s ago"
        return f"The lag of this cluster {since}{': ' + self.error if self.error and with_error else '.'}"


def freshness_of(cluster_ids: list[int]) -> dict[int, Freshness]:
    """By cluster, in one query. A cluster without a lag source has the default period."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT c.id, clock_timestamp(), coalesce(s.period_seconds, %s), l.observed_at, coalesce(s.last_error, '')"
            " FROM clusters_cluster c LEFT JOIN clusters_source s ON s.cluster_id = c.id AND s.kind = 'lag'"
            " LEFT JOIN lag_lagstate l ON l.cluster_id = c.id WHERE c.id = ANY(%s)",
            [settings.LAG_PERIOD_SECONDS, cluster_ids],
        )
        return {pk: Freshness(now, period, at, error) for pk, now, period, at, error in cursor.fetchall()}
