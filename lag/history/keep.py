"""Partitions of history: made ahead, dropped when their time is over."""

from datetime import timedelta

from django.conf import settings

from lag.history.levels import LEVELS, MINUTE, RAW
from lag.history.progress import now
from lag.models import GroupEvent, HistoryCoverage
from ops_portal.lib.partitions import create_partitions, drop_partitions, missing_partitions


class PartitionMissing(Exception):
    """Samples cannot be stored although partitions were just made: somebody keeps removing them."""


def keep_history_partitions() -> dict[str, int]:
    """Make what is missing ahead and drop what is past its retention."""
    made = partitions_make()
    today = now()
    dropped = sum(len(drop_partitions(level.table, before=today - level.keep)) for level in LEVELS)
    missing = [name for level in LEVELS for name in missing_partitions(level.table, ahead=level.ahead, span=level.span)]
    if missing:
        raise PartitionMissing(f"partitions are missing: {', '.join(missing)}")
    return {"made": made, "dropped": dropped}


def partitions_make() -> int:
    """Make the current partitions, one behind and those ahead where they lack."""
    return sum(len(create_partitions(level.table, ahead=level.ahead, behind=1, span=level.span)) for level in LEVELS)


def prune_history() -> dict[str, int]:
    """Remove old coverage and events; in small bites, so that no lock is held long."""
    today = now()
    coverage, _ = HistoryCoverage.objects.filter(
        minute__lt=today - max(MINUTE.keep, RAW.keep) - timedelta(days=1)
    ).delete()
    old = GroupEvent.objects.filter(at__lt=today - timedelta(days=settings.HISTORY_EVENT_DAYS))
    ids = list(old.order_by("pk").values_list("pk", flat=True)[:5000])
    events, _ = GroupEvent.objects.filter(pk__in=ids).delete()
    return {"coverage": coverage, "events": events}
