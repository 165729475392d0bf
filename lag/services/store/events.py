"""Events of groups, appended."""

from collections.abc import Iterable

from clusters.models import Cluster
from lag.compute.types import GroupEvent
from lag.cycle import Cycle
from lag.known import Known
from lag.services.store.values import jsonb
from ops_portal.lib.bulk import copied
from ops_portal.lib.clock import as_datetime


def cycle_events_store(known: Known, cluster: Cluster, cycle: Cycle, more: Iterable[tuple[int, GroupEvent]]) -> int:
    """Append what happened in a poll, and `more` as (group row id, event); the number written."""
    found = [(known.groups[name].id, event) for name, result in cycle.results.items() for event in result.events]
    found += [(known.groups[name].id, event) for name, events in cycle.vanished.items() for event in events]
    found += more
    events_store(cluster_id=cluster.pk, rows=found)
    return len(found)


_EVENT_NAMES = "cluster_id, group_id, at_earliest, at, kind, topic, partition, member, before, after, records, seconds"
_EVENT_TYPES = (
    "int8", "int8", "timestamptz", "timestamptz", "varchar", "varchar", "int4", "varchar", "jsonb", "jsonb", "int8", "float8"
)  # fmt: skip


def events_store(*, cluster_id: int, rows: Iterable[tuple[int, GroupEvent]]) -> None:
    """Append events as (group row id, event)."""
    plain = [
        (
            cluster_id,
            group_id,
            as_datetime(min(event.at_earliest, event.at)),
            as_datetime(event.at),
            event.kind.value,
            event.topic or "",
            event.partition,
            (event.member or "")[:400],
            jsonb(event.before),
            jsonb(event.after),
            event.records,
            event.seconds,
        )
        for group_id, event in rows
    ]
    if plain:
        copied("lag_groupevent", _EVENT_NAMES, _EVENT_TYPES, plain)
