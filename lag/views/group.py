"""The page of one group: story, figures, partitions, charts, crash view."""

from datetime import timedelta
from typing import Any

from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.policies import Person, may
from accounts.roles import Right
from clusters.models import Cluster
from lag import charts, selectors
from lag.lanes import lane_diagram
from lag.models import ConsumerGroup
from lag.rows import GroupDetail
from lag.selectors.crashes import group_crashes
from lag.selectors.freshness import freshness_of
from lag.views.board import cluster_or_404, period_of

EVENTS_SHOWN = 60
RANGES = {"1h": ("1 h", 1), "6h": ("6 h", 6), "24h": ("24 h", 24), "7d": ("7 d", 168), "30d": ("30 d", 720)}
# What the inputs of a rule mean, where the word alone does not say it.
_INPUT_LABELS = {
    "lag_seconds": "Behind", "target_seconds": "Target", "lag_records": "Unread records", "members": "Members",
    "seconds_without_progress": "No progress for", "commit_interval": "Set commit interval",
}  # fmt: skip


@require_safe
@requires(Right.SEE_LAG)
def group_detail(request: HttpRequest, cluster: str, group: str) -> HttpResponse:
    """Everything stored about a group; figures and partitions go on by push."""
    found, row = group_or_404(request.user, cluster, group)
    detail = selectors.group_detail(request.user, found, row)
    if detail is None:
        raise Http404("no such group")
    summary = detail.summary
    path = f"~{row.pk}" if group.startswith("~") else group
    context = {
        "cluster": found.name,
        "path": path,
        "group": row,
        "summary": summary,
        "topics": detail.topics,
        "partitions": [(topic.topic, partition) for topic in detail.topics for partition in topic.partitions],
        "worst": _worst_key(detail),
        "members": detail.members,
        "inputs": [input_row(name, value) for name, value in summary.inputs.items()],
        "events": selectors.group_events(request.user, row, limit=EVENTS_SHOWN).items,
        "slos": selectors.slos_of_group(request.user, row.pk),
        "period_seconds": period_of(found),
        "ranges": [(word, label) for word, (label, _) in RANGES.items()],
        "may_set": may(request.user, Right.CHANGE_GROUP_SETTINGS),
        "history_url": reverse("lag:group-history", args=[found.name, path]),
        "api_url": f"/api/v1/clusters/{found.name}/groups/{path}",
    }
    return render(request, "lag/group_detail.html", context)


@require_safe
@requires(Right.SEE_LAG)
def group_history(request: HttpRequest, cluster: str, group: str) -> JsonResponse:
    """A Plotly figure of the group's history over `range` (1h, 6h, 24h, 7d, 30d)."""
    found, row = group_or_404(request.user, cluster, group)
    hours = RANGES.get(request.GET.get("range", ""), RANGES["6h"])[1]
    end = freshness_of([found.pk])[found.pk].now
    history = selectors.group_history(request.user, found, row, end - timedelta(hours=hours), end)
    if history is None:
        raise Http404("no such group")
    events = selectors.group_events(request.user, row, limit=200).items
    return JsonResponse(charts.history_figure(history, events))


@require_safe
@requires(Right.SEE_LAG)
def group_crash(request: HttpRequest, cluster: str, group: str) -> HttpResponse:
    """The crash view, a part of the group page: what followed the last losses of a member."""
    found, row = group_or_404(request.user, cluster, group)
    stories = [{"crash": crash, "lanes": lane_diagram(crash)} for crash in group_crashes(request.user, found, row)]
    return render(request, "lag/_crash.html", {"stories": stories})


def group_or_404(user: Person, cluster: str, path: str) -> tuple[Cluster, ConsumerGroup]:
    """Cluster and group that a path names; hidden and absent look the same."""
    found = cluster_or_404(user, cluster)
    row = selectors.group_by_path(user, found, path)
    if row is None:
        raise Http404("no such group")
    return found, row


def input_row(name: str, value: Any) -> dict[str, Any]:
    """One input of the rule that fired, with what it is measured in told from its name."""
    kind = (
        "seconds" if "seconds" in name or name.endswith("interval") else "rate" if name.endswith("rate") else "figure"
    )
    if not isinstance(value, int | float) or isinstance(value, bool):
        kind = "unknown" if value is None else "text"
    plain = name.removeprefix("seconds_").removesuffix("_seconds").replace("_", " ").capitalize()
    return {"label": _INPUT_LABELS.get(name, plain), "value": value, "kind": kind}


def _worst_key(detail: GroupDetail) -> str:
    """`topic/partition` of the partition that is furthest behind; empty when none is behind."""
    lags = [
        (partition.lag_seconds or 0.0, partition.lag_records or 0, f"{topic.topic}/{partition.partition}")
        for topic in detail.topics
        for partition in topic.partitions
        if partition.lag_records
    ]
    return max(lags)[2] if lags else ""
