"""What people set for groups: read_committed, commit interval, target, mute. Each change leaves an audit row."""

from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any

from django.core.exceptions import ValidationError
from django.db import connection, transaction
from django.db.models.functions import Now

from accounts.models import User
from accounts.services import audit_record
from clusters.models import Cluster
from clusters.services.findings import finding_close
from lag.models import GroupSetting, SloState
from ops_portal.lib.clock import iso
from ops_portal.lib.live.publish import on_commit_publish

_FIELDS = ("read_committed", "commit_interval_seconds", "target_seconds")


@transaction.atomic(durable=True)
def group_setting_set(
    *,
    cluster: Cluster,
    glob: str,
    read_committed: bool | None = None,
    commit_interval_seconds: float | None = None,
    target_seconds: float | None = None,
    acting_user: User | None,
) -> GroupSetting:
    """Set what Kafka does not tell of the groups that match; None leaves a value as it is. Raises ValidationError."""
    wanted = {
        "read_committed": read_committed,
        "commit_interval_seconds": commit_interval_seconds,
        "target_seconds": target_seconds,
    }
    row, before = _row(cluster, glob)
    for name, value in wanted.items():
        if value is not None:
            setattr(row, name, value)
    _save(row, "lag.group_setting_changed", before, acting_user)
    return row


@transaction.atomic(durable=True)
def group_setting_clear(*, setting: GroupSetting, acting_user: User | None) -> None:
    """Back to the portal's defaults for this glob; a mute goes with it."""
    before = _plain(setting)
    entity = _entity(setting)
    setting.delete()
    audit_record(action="lag.group_setting_cleared", entity=entity, before=before, after=None, acting_user=acting_user)


@transaction.atomic(durable=True)
def group_mute(*, cluster: Cluster, glob: str, reason: str, until: datetime, acting_user: User | None) -> GroupSetting:
    """Silence groups known to be dead until then: their SLOs are not judged and open breaches are closed.

    Raises ValidationError without a reason or with an end that is past.
    """
    if not reason.strip():
        raise ValidationError({"reason": ["Say why the group is muted."]})
    if not _is_future(until):
        raise ValidationError({"until": ["The end must lie in the future."]})
    row, before = _row(cluster, glob)
    row.muted_until, row.mute_reason, row.muted_by = until, reason.strip()[:300], acting_user
    _save(row, "lag.group_muted", before, acting_user)
    _close_breaches(cluster, glob)
    on_commit_publish("lag.board", "lag.group", match=lambda params, _: params["cluster"] == cluster.name)
    return row


@transaction.atomic(durable=True)
def group_unmute(*, setting: GroupSetting, acting_user: User | None) -> None:
    """End a mute now."""
    _unmute(setting, "lag.group_unmuted", acting_user)


@transaction.atomic(durable=True)
def expired_mutes_close() -> int:
    """End mutes whose time is over; the portal itself acts. Returns how many."""
    over = list(
        GroupSetting.objects.select_for_update(of=("self",)).select_related("cluster").filter(muted_until__lte=Now())
    )
    for setting in over:
        _unmute(setting, "lag.group_mute_expired", None)
    return len(over)


def _unmute(setting: GroupSetting, action: str, acting_user: User | None) -> None:
    before = _plain(setting)
    setting.muted_until, setting.mute_reason, setting.muted_by = None, "", None
    setting.save(update_fields=["muted_until", "mute_reason", "muted_by"])
    audit_record(action=action, entity=_entity(setting), before=before, after=_plain(setting), acting_user=acting_user)


def _row(cluster: Cluster, glob: str) -> tuple[GroupSetting, dict[str, Any] | None]:
    row = GroupSetting.objects.select_for_update(of=("self",)).filter(cluster=cluster, glob=glob).first()
    return (row, _plain(row)) if row is not None else (GroupSetting(cluster=cluster, glob=glob), None)


def _save(row: GroupSetting, action: str, before: dict[str, Any] | None, acting_user: User | None) -> None:
    row.full_clean(exclude=["cluster", "muted_by"])
    row.save()
    audit_record(action=action, entity=_entity(row), before=before, after=_plain(row), acting_user=acting_user)


def _entity(row: GroupSetting) -> str:
    return f"groups {row.glob} on {row.cluster.name}"


def _plain(row: GroupSetting) -> dict[str, Any]:
    return {name: getattr(row, name) for name in _FIELDS} | {
        "muted_until": iso(row.muted_until),
        "mute_reason": row.mute_reason,
    }


def _is_future(until: datetime) -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT %s > clock_timestamp()", [until])
        return bool(cursor.fetchone()[0])


def _close_breaches(cluster: Cluster, glob: str) -> None:
    open_ones = SloState.objects.filter(slo__cluster=cluster, breached_at__isnull=False).select_related("group")
    for state in open_ones:
        if fnmatchcase(state.group.name, glob):
            finding_close(dedupe_key=breach_key(state.slo_id, state.group_id))
            SloState.objects.filter(pk=state.pk).update(breached_at=None, over_since=None, within_since=None)


def breach_key(slo_id: int, group_id: int) -> str:
    """Dedupe key of the finding of one group's breach of one SLO."""
    return f"slo:{slo_id}:{group_id}"
