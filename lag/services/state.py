"""Current state: what a poll found goes into PostgreSQL in one transaction, and comes back into a worker's memory."""

from dataclasses import dataclass

from django.db import transaction

from clusters.models import Cluster
from lag.cycle import Cycle
from lag.history.cycles import cycle_append
from lag.known import Known
from lag.models import LagState
from lag.services.slos import slos_judge
from lag.services.store.events import cycle_events_store
from lag.services.store.groups import group_changed, groups_store, new_groups_store, vanished_store
from lag.services.store.load import groups_load, topics_load
from lag.services.store.memories import knots_store, memories_store
from lag.services.store.partitions import group_topics_store
from lag.services.store.topics import topics_store
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.live.publish import on_commit_publish


class Overtaken(Exception):
    """Another worker has stored a newer poll of this cluster meanwhile; this one is dropped."""


@dataclass(slots=True)
class Stored:
    """What the transaction wrote."""

    groups: int = 0
    group_topics: int = 0
    memories: int = 0
    knots: int = 0
    events: int = 0
    history_bytes: int = 0


def known_refresh(known: Known) -> None:
    """Bring the worker's memory up to what is stored: rows that others have written since, all of them the first time."""
    state, _ = LagState.objects.get_or_create(cluster_id=known.cluster_id)
    if state.version == known.version:
        return
    if state.version < known.version:  # the database was restored
        known.forget()
    known.observed_at = state.observed_at.timestamp() if state.observed_at else None
    topics_load(known, known.version, set(state.unsaved_topics))
    groups_load(known, known.version, set(state.unsaved_groups))
    known.version = state.version


@transaction.atomic
def cycle_store(*, cluster: Cluster, known: Known, cycle: Cycle) -> Stored:
    """Write one poll. Raises Overtaken when a newer one is stored. On any failure the caller must `known.forget()`."""
    version = _claim(known)
    at = as_datetime(cycle.at)
    topics_store(known, cluster, cycle)
    new_groups_store(known, cluster, cycle, version)
    vanished_store(known, cycle, version)
    stored = Stored()
    changed = [name for name in cycle.readings if group_changed(known, cycle, name)]
    stored.groups = groups_store(known, cluster, cycle, changed, version)
    stored.group_topics = group_topics_store(known, cycle, changed, version)
    stored.memories = memories_store(known, cycle, version)
    stored.knots = knots_store(known, cycle, version)
    stored.events = cycle_events_store(known, cluster, cycle, slos_judge(known, cluster, cycle))
    stored.history_bytes = cycle_append(known, cycle, cluster.pk)
    LagState.objects.filter(cluster_id=cluster.pk).update(
        version=version,
        observed_at=at,
        unsaved_topics=sorted(known.topics[name].id for name in known.unsaved_topics if name in known.topics),
        unsaved_groups=sorted(known.unsaved_groups),
        **({"listed_at": at} if cycle.whole_listing else {}),
    )
    known.version, known.observed_at = version, cycle.at
    for name in cycle.vanished:
        del known.groups[name]
    on_commit_publish("lag.board", "lag.group", match=lambda params, _: params["cluster"] == cluster.name)
    return stored


def _claim(known: Known) -> int:
    """The version this poll writes. The row lock makes polls of one cluster follow each other."""
    state = LagState.objects.select_for_update().get(cluster_id=known.cluster_id)
    if state.version != known.version:
        raise Overtaken(f"version {state.version} is stored, this poll began at {known.version}")
    return state.version + 1
