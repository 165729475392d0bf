"""Promises on lag and how they are kept."""

from collections import defaultdict

from accounts.policies import Person, Scope, scope_of
from clusters.models import Cluster
from lag.models import Slo, SloState
from lag.rows import SloRow


def slos(user: Person, cluster: Cluster | None = None) -> tuple[SloRow, ...]:
    """SLOs with their groups' standing, by cluster and name. A scoped user sees those of the user's clients, and in them
    only own groups."""
    scope = scope_of(user)
    found = Slo.objects.filter(cluster__removed_at__isnull=True).select_related("cluster", "client")
    if cluster is not None:
        found = found.filter(cluster=cluster)
    if not scope.everything:
        found = found.filter(client_id__in=scope.client_ids)
    states = _states(scope, [slo.pk for slo in found])
    return tuple(_row(slo, states.get(slo.pk, [])) for slo in found.order_by("cluster__name", "name"))


def slos_of_group(user: Person, group_id: int) -> tuple[SloRow, ...]:
    """The SLOs that hold for one group, with this group's standing only."""
    scope = scope_of(user)
    rows = SloState.objects.filter(group_id=group_id, slo__enabled=True).select_related(
        "slo__cluster", "slo__client", "group"
    )
    if not scope.everything:
        rows = rows.filter(group__client_id__in=scope.client_ids, slo__client_id__in=scope.client_ids)
    return tuple(_row(state.slo, [state]) for state in rows.order_by("slo__name"))


def _states(scope: Scope, slo_ids: list[int]) -> dict[int, list[SloState]]:
    rows = SloState.objects.filter(slo_id__in=slo_ids, group__vanished_at__isnull=True).select_related("group")
    if not scope.everything:
        rows = rows.filter(group__client_id__in=scope.client_ids)
    found: dict[int, list[SloState]] = defaultdict(list)
    for state in rows:
        found[state.slo_id].append(state)
    return found


def _row(slo: Slo, states: list[SloState]) -> SloRow:
    counted = sum(state.counted_seconds for state in states)
    attained = 1 - sum(state.breached_seconds for state in states) / counted if counted > 0 else None
    return SloRow(
        id=slo.pk, cluster=slo.cluster.name, name=slo.name, glob=slo.glob, client=slo.client.name if slo.client else None,
        max_records=slo.max_records, max_seconds=slo.max_seconds, for_seconds=slo.for_seconds, objective=slo.objective,
        severity=slo.severity, enabled=slo.enabled, groups=len(states),
        breached=tuple(sorted(state.group.name for state in states if state.breached_at is not None)),
        attained=attained, budget_left=None if attained is None else 1 - (1 - attained) / (1 - slo.objective),
    )  # fmt: skip


def slo_with_id(pk: int) -> Slo | None:
    """One promise with cluster and client, for those who may change it."""
    return Slo.objects.select_related("cluster", "client").filter(pk=pk, cluster__removed_at__isnull=True).first()
