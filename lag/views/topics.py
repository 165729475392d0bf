"""Topics and who reads them."""

from dataclasses import replace

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.roles import Right
from clusters.selectors.health.topics import topic_name, topic_view
from lag import selectors
from lag.rows import TopicSummary
from lag.views.board import cluster_or_404


@require_safe
@requires(Right.SEE_LAG)
def topic_list(request: HttpRequest) -> HttpResponse:
    """Topics of one cluster, or of all, with the groups that read each."""
    q = request.GET.get("q", "").strip()[:249].replace("\0", "")
    clusters = selectors.clusters_visible(request.user)
    wanted = request.GET.get("cluster", "")
    shown = [cluster for cluster in clusters if not wanted or cluster.name == wanted]
    topics = [_worst_first(topic) for cluster in shown for topic in selectors.topics(request.user, cluster, q=q)]
    only_unread = bool(request.GET.get("unread"))
    if only_unread:
        topics = [topic for topic in topics if not topic.consumers]
    context = {
        "topics": topics,
        "clusters": clusters,
        "wanted": wanted,
        "q": q,
        "only_unread": only_unread,
        "sentence": _sentence(topics),
    }
    return render(request, "lag/topic_list.html", context)


@require_safe
@requires(Right.SEE_LAG)
def topic_detail(request: HttpRequest, cluster: str, topic: str) -> HttpResponse:
    """One topic: who reads it, and for who may see brokers how it is laid out, how large it is, and how it is set."""
    found = cluster_or_404(request.user, cluster)
    name = topic_name(found, topic)
    row = next(iter(selectors.topics(request.user, found, name=name)), None)
    if row is None:
        raise Http404("no such topic")
    context = {"topic": _worst_first(row), "health": topic_view(request.user, found, name)}
    return render(request, "lag/topic_detail.html", context)


def _worst_first(topic: TopicSummary) -> TopicSummary:
    return replace(topic, consumers=tuple(sorted(topic.consumers, key=lambda row: (row.verdict.severity, row.group))))


def _sentence(topics: list[TopicSummary]) -> str:
    if not topics:
        return ""
    lonely = sum(1 for topic in topics if not topic.consumers)
    total = f"{len(topics)} topic{'' if len(topics) == 1 else 's'}"
    return f"{total}, {lonely} that nobody reads." if lonely else f"{total}, each read by at least one group."
