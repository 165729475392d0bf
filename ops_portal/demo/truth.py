"""Whether the board tells the truth about every group of the demo: what `make demo` waits for before it says Ready."""

import time
from collections.abc import Callable

from accounts.models import User
from clusters.models import Cluster
from clusters.selectors import cluster_named
from lag.rows import BoardQuery, GroupSummary
from lag.selectors.board import group_board
from lag.selectors.detail import group_by_path, group_detail
from lag.verdicts import Verdict
from ops_portal.demo.topology import CLUSTER, GROUPS, GroupSpec, Habit, topic

_STEP_SECONDS = 0.5


def await_truth(user: User, *, seconds: float, say: Callable[[str], None]) -> None:
    """Return when every group is on the board with true values; SystemExit with what is missing after `seconds`."""
    until = time.monotonic() + seconds
    told = ""
    while missing := _missing(user):
        if time.monotonic() > until:
            raise SystemExit(f"The board is not complete after {seconds:.0f} s: {'; '.join(missing)}.")
        if (text := f"{len(GROUPS) - len(missing)} of {len(GROUPS)} groups are on the board") != told:
            told = text
            say(text)
        time.sleep(_STEP_SECONDS)


def _missing(user: User) -> list[str]:
    cluster = cluster_named(user, CLUSTER)
    if cluster is None:
        return ["the cluster"]
    shown = {row.group: row for row in group_board(user, cluster, BoardQuery(limit=500)).items}
    return [f"{spec.name} {why}" for spec in GROUPS if (why := _lack(user, cluster, spec, shown.get(spec.name)))]


def _lack(user: User, cluster: Cluster, spec: GroupSpec, row: GroupSummary | None) -> str:
    """What keeps a group's row from being true and complete; empty when nothing does."""
    if row is None:
        return "is not listed"
    if row.stale:
        return "is stale"
    if spec.habit is Habit.QUEUE:
        return "" if row.type == "unmeasured" else f"has type {row.type}"
    if row.verdict is Verdict.UNKNOWN or row.lag_records is None or row.lag_seconds is None:
        return f"has no figures ({row.reason})"
    members = 0 if spec.habit is Habit.STOPPED else spec.members
    if row.members != members and spec.habit is not Habit.RESTARTING:
        return f"shows {row.members} members instead of {members}"
    found = group_by_path(user, cluster, spec.name)
    detail = group_detail(user, cluster, found) if found else None
    measured = (
        sum(1 for one in detail.topics for part in one.partitions if part.lag_records is not None) if detail else 0
    )
    wanted = topic(spec.topic).partitions
    return "" if measured == wanted else f"has figures for {measured} of {wanted} partitions"
