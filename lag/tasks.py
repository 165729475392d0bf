"""Jobs of lag. Safe to run at any time and twice at once; the beat schedule is in the settings."""

from celery import shared_task

from lag.history.keep import keep_history_partitions, prune_history
from lag.history.pack import pack_history
from lag.history.roll_up import roll_up_history
from lag.history.status import watched
from lag.services import expired_mutes_close


@shared_task(name="lag.pack_history", ignore_result=True, soft_time_limit=50, time_limit=60)
def pack_history_task() -> str:
    """Closed minutes of polls become blocks."""
    with watched("pack") as counts:
        counts.update(pack_history())
    return f"packed {counts['minutes']} minutes"


@shared_task(name="lag.roll_up_history", ignore_result=True, soft_time_limit=540, time_limit=600)
def roll_up_history_task() -> str:
    """Closed hours and days are rolled up."""
    with watched("roll_up") as counts:
        counts.update(roll_up_history())
    return f"rolled up {counts['minute']} hours and {counts['hour']} days"


@shared_task(name="lag.keep_partitions", ignore_result=True, soft_time_limit=110, time_limit=120)
def keep_partitions_task() -> str:
    """Partitions ahead are made, those whose time is over are dropped."""
    with watched("partitions") as counts:
        counts.update(keep_history_partitions())
        counts.update(prune_history())
    return f"made {counts['made']} partitions, dropped {counts['dropped']}"


@shared_task(name="lag.close_expired_mutes", ignore_result=True, soft_time_limit=20, time_limit=30)
def close_expired_mutes_task() -> str:
    """Mutes end when they said they would."""
    return f"ended {expired_mutes_close()} mutes"
