"""SLOs: made and changed by people, judged in every poll. A breach is a finding and an event of the group."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Any

from django.db import transaction

from accounts.models import Client, User
from accounts.services import audit_record
from clusters.models import Cluster
from clusters.services.findings import finding_close, finding_open
from lag.compute.slo import Promise, Reading, Standing, Step, promised_seconds, step
from lag.compute.types import GroupEvent
from lag.cycle import Cycle
from lag.known import Known
from lag.models import GroupSetting, Slo, SloState
from lag.selectors.settings import longest_match
from lag.services.settings import breach_key
from lag.verdicts import EventKind
from ops_portal.lib.bulk import ran, staged
from ops_portal.lib.clock import as_datetime

STANDING_SECONDS = 30.0  # counted time of a quiet standing is stored this often


# --- people ----------------------------------------------------------------------------------------------------------------
@transaction.atomic(durable=True)
def slo_add(
    *, cluster: Cluster, name: str, glob: str, acting_user: User | None, client: Client | None = None, **limits: Any
) -> Slo:
    """Add a promise. `limits`: max_records, max_seconds, for_seconds, objective, severity, enabled. Raises ValidationError."""
    slo = Slo(cluster=cluster, name=name, glob=glob, client=client, **limits)
    slo.full_clean(exclude=["cluster", "client"])
    slo.save()
    _audit("lag.slo_added", slo, None, _plain(slo), acting_user)
    return slo


@transaction.atomic(durable=True)
def slo_change(*, slo: Slo, acting_user: User | None, **changes: Any) -> Slo:
    """Change any field of a promise; what it has counted so far stays. Raises ValidationError."""
    slo = Slo.objects.select_for_update(of=("self",)).select_related("cluster", "client").get(pk=slo.pk)
    before = _plain(slo)
    for field_name, value in changes.items():
        setattr(slo, field_name, value)
    slo.full_clean(exclude=["cluster", "client"])
    slo.save()
    if not slo.enabled:
        _close_all(slo)
    _audit("lag.slo_changed", slo, before, _plain(slo), acting_user)
    return slo


@transaction.atomic(durable=True)
def slo_remove(*, slo: Slo, acting_user: User | None) -> None:
    """Remove a promise and what it has counted; its open breaches are closed."""
    _close_all(slo)
    before = _plain(slo)
    _audit("lag.slo_removed", slo, before, None, acting_user)
    slo.delete()


def _close_all(slo: Slo) -> None:
    for state in slo.states.filter(breached_at__isnull=False):
        finding_close(dedupe_key=breach_key(slo.pk, state.group_id))
    slo.states.update(breached_at=None, over_since=None, within_since=None)


def _plain(slo: Slo) -> dict[str, Any]:
    names = ("name", "glob", "max_records", "max_seconds", "for_seconds", "objective", "severity", "enabled")
    return {name: getattr(slo, name) for name in names} | {"client": slo.client.name if slo.client else None}


def _audit(action: str, slo: Slo, before: Any, after: Any, acting_user: User | None) -> None:
    audit_record(
        action=action, entity=f"slo {slo.name} on {slo.cluster.name}", before=before, after=after, acting_user=acting_user,
        client=slo.client,
    )  # fmt: skip


# --- every poll --------------------------------------------------------------------------------------------------------------
@dataclass(slots=True)
class Judged:
    """Events of one poll as (group row id, event), and standings to store."""

    events: list[tuple[int, GroupEvent]] = field(default_factory=list)
    rows: list[tuple[Any, ...]] = field(default_factory=list)


def slos_judge(known: Known, cluster: Cluster, cycle: Cycle) -> list[tuple[int, GroupEvent]]:
    """Hold every group against the SLOs that match it; opens and closes findings. Runs in the poll's transaction."""
    slos = list(Slo.objects.filter(cluster=cluster, enabled=True).select_related("client"))
    _load(known, slos)
    if not slos:
        return []
    mutes = sorted(
        GroupSetting.objects.filter(cluster=cluster, muted_until__gt=as_datetime(cycle.at)),
        key=lambda row: -len(row.glob),
    )
    judged = Judged()
    for slo in slos:
        for name in cycle.results:
            if fnmatchcase(name, slo.glob):
                _judge(known, cluster, cycle, slo, name, longest_match(mutes, name) is not None, judged)
    _leave(known, cluster, cycle, {slo.pk: slo for slo in slos})
    _store(judged.rows)
    return judged.events


def _load(known: Known, slos: list[Slo]) -> None:
    """Standings out of the database when another worker, or a person, may have changed them."""
    mark = tuple(sorted((slo.pk, slo.glob) for slo in slos))
    if known.standings_of == (known.version, mark):
        known.standings_of = (known.version + 1, mark)  # this poll writes the next version
        return
    states = SloState.objects.filter(slo__cluster_id=known.cluster_id, slo__in=slos)
    known.standings = {(state.slo_id, state.group_id): _standing(state) for state in states}
    known.standings_stored = {}
    known.standings_of = (known.version + 1, mark)


def _judge(known: Known, cluster: Cluster, cycle: Cycle, slo: Slo, name: str, muted: bool, judged: Judged) -> None:
    group_id = known.groups[name].id
    key = (slo.pk, group_id)
    standing = known.standings.get(key, Standing())
    summary = cycle.results[name].summary
    if muted or name in cycle.failed:
        reading = Reading(cycle.at, None, None)
    else:
        reading = Reading(
            cycle.at, summary.lag_records, promised_seconds(cycle.results[name], cycle.at), summary.method
        )
    if muted and standing.breached_at is not None:
        standing = Standing(counted_seconds=standing.counted_seconds, breached_seconds=standing.breached_seconds)
    judgement = step(Promise(slo.max_records, slo.max_seconds, slo.for_seconds, slo.objective), standing, reading)
    known.standings[key] = judgement.standing
    if judgement.opened or judgement.closed:
        _tell(known, cluster, cycle, slo, name, judgement, judged)
    if _differs(standing, judgement.standing) or cycle.at - known.standings_stored.get(key, 0.0) >= STANDING_SECONDS:
        known.standings_stored[key] = cycle.at
        judged.rows.append((*key, *_columns(judgement.standing)))


def _tell(known: Known, cluster: Cluster, cycle: Cycle, slo: Slo, name: str, judgement: Step, judged: Judged) -> None:
    group_id, kind = known.groups[name].id, EventKind.SLO_OPENED if judgement.opened else EventKind.SLO_CLOSED
    before = known.observed_at if known.observed_at is not None else cycle.at
    after = {"slo": slo.name, "reason": judgement.reason}
    judged.events.append((group_id, GroupEvent(kind, min(before, cycle.at), cycle.at, after=after)))
    if judgement.closed:
        finding_close(dedupe_key=breach_key(slo.pk, group_id))
        return
    summary = cycle.results[name].summary
    inputs: Mapping[str, Any] = {
        "lag_records": summary.lag_records, "lag_seconds": summary.seconds_at(cycle.at), "max_records": slo.max_records,
        "max_seconds": slo.max_seconds, "for_seconds": slo.for_seconds,
    }  # fmt: skip
    owner = slo.client_id or cycle.owners.owner(name).client_id
    finding_open(
        dedupe_key=breach_key(slo.pk, group_id), kind="slo_breach", severity=slo.severity, cluster=cluster,
        client=Client.objects.filter(pk=owner).first() if owner else None, entity=f"group {name}",
        title=f"{name} breaks {slo.name}", reason=judgement.reason, inputs=inputs,
    )  # fmt: skip


def _leave(known: Known, cluster: Cluster, cycle: Cycle, slos: Mapping[int, Slo]) -> None:
    """Groups that vanished, or that a changed glob no longer matches, stand against nothing any more."""
    names = {group.id: name for name, group in known.groups.items() if name not in cycle.vanished}
    for slo_id, group_id in list(known.standings):
        name, slo = names.get(group_id), slos.get(slo_id)
        if name is not None and slo is not None and (fnmatchcase(name, slo.glob) or name not in cycle.results):
            continue
        standing = known.standings.pop((slo_id, group_id))
        if standing.breached_at is not None:
            finding_close(dedupe_key=breach_key(slo_id, group_id))
        SloState.objects.filter(slo_id=slo_id, group_id=group_id).delete()


def _standing(state: SloState) -> Standing:
    def seconds(moment: Any) -> float | None:
        return None if moment is None else float(moment.timestamp())

    return Standing(
        seconds(state.over_since), seconds(state.within_since), seconds(state.breached_at), state.counted_seconds,
        state.breached_seconds, seconds(state.counted_until),
    )  # fmt: skip


def _differs(before: Standing, after: Standing) -> bool:
    return (before.over_since, before.within_since, before.breached_at) != (
        after.over_since,
        after.within_since,
        after.breached_at,
    )


def _columns(standing: Standing) -> tuple[Any, ...]:
    def moment(seconds: float | None) -> Any:
        return None if seconds is None else as_datetime(seconds)

    return (
        moment(standing.over_since), moment(standing.within_since), moment(standing.breached_at), standing.counted_seconds,
        min(standing.breached_seconds, standing.counted_seconds), moment(standing.counted_until),
    )  # fmt: skip


def _store(rows: list[tuple[Any, ...]]) -> None:
    if not rows:
        return
    staged(
        "staged_slostate",
        "slo_id bigint, group_id bigint, over_since timestamptz, within_since timestamptz, breached_at timestamptz,"
        " counted_seconds float8, breached_seconds float8, counted_until timestamptz",
        rows,
    )
    ran(
        "INSERT INTO lag_slostate (slo_id, group_id, over_since, within_since, breached_at, counted_seconds, breached_seconds,"
        " counted_until) SELECT * FROM staged_slostate ON CONFLICT (slo_id, group_id) DO UPDATE SET"
        " over_since = excluded.over_since, within_since = excluded.within_since, breached_at = excluded.breached_at,"
        " counted_seconds = excluded.counted_seconds, breached_seconds = excluded.breached_seconds,"
        " counted_until = excluded.counted_until"
    )
