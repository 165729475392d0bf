"""What the overview and the palette say, out of the selectors of the apps."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse

from accounts.policies import Person, may
from accounts.roles import Right
from accounts.selectors import clients_visible
from clusters.selectors.certificates import CertificateRow, nearest_expiry
from clusters.selectors.health import ClusterVerdict
from lag import selectors
from lag.rows import BoardQuery, ClusterSummary
from lag.selectors.freshness import freshness_of
from lag.selectors.news import cluster_produce_rate
from lag.sentences import board_sentence
from lag.verdicts import Tone, Verdict
from ops_portal.context import PLACES, place_entries
from ops_portal.lib.names import path_name

_FOUND = 6  # of each kind


@dataclass(frozen=True, slots=True)
class Card:
    """One cluster as the overview shows it."""

    row: ClusterSummary
    word: str
    tone: str
    sentence: str
    counts: list[dict[str, Any]]
    red: int
    period: float
    produce_rate: float | None
    health: ClusterVerdict | None = None  # None for who may not see brokers
    certificate: CertificateRow | None = None  # the next that ends, told with `health`
    certificates_ended: int = 0

    @property
    def panel(self) -> str:
        return f"cluster-{self.row.id}"


def card(user: Person, row: ClusterSummary, health: ClusterVerdict | None = None) -> Card:
    """The card of one cluster: its word is that of its worst group, unknown while it is stale."""
    counts: list[dict[str, Any]] = [
        {
            "value": verdict.value,
            "label": verdict.label,
            "tone": verdict.tone.value,
            "count": row.verdicts.get(verdict.value, 0),
        }
        for verdict in Verdict
        if row.verdicts.get(verdict.value)
    ]
    worst = next((Verdict(count["value"]) for count in counts), None)
    tone = Tone.UNKNOWN if row.stale or worst is None else worst.tone
    word = "unknown" if row.stale else worst.label if worst else "no groups"
    cluster = selectors.cluster_named(user, row.cluster)
    sentence = row.reason if row.stale else board_sentence(row.verdicts, _worst(user, row))
    red = sum(count["count"] for count in counts if count["tone"] == Tone.CRITICAL)
    period = freshness_of([row.id])[row.id].period_seconds
    rate = cluster_produce_rate(user, cluster) if cluster is not None else None
    certificate, ended = (None, 0) if health is None else nearest_expiry(row.id)
    return Card(row, word, tone.value, sentence, counts, red, period, rate, health, certificate, ended)


def sentence(rows: Iterable[ClusterSummary]) -> str:
    """One sentence over all clusters."""
    counts: dict[str, int] = {}
    for row in rows:
        for word, count in row.verdicts.items():
            counts[word] = counts.get(word, 0) + count
    return board_sentence(counts, None) if counts else ""


def found(request: HttpRequest, q: str) -> list[dict[str, Any]]:
    """Sections of the palette's answer; without letters only pages."""
    user = request.user
    sections = [{"kind": "Pages", "icon": "home", "items": _pages(request, q)}]
    if may(user, Right.SEE_LAG):
        clusters = selectors.clusters_visible(user)
        names = [cluster for cluster in clusters if q.lower() in cluster.name]
        sections.append(
            {
                "kind": "Clusters",
                "icon": "cluster",
                "items": [_item(c.name, "board", reverse("lag:group-board", args=[c.name])) for c in names[:_FOUND]],
            }
        )
        if q:
            groups = [
                row
                for cluster in clusters
                for row in selectors.group_board(user, cluster, BoardQuery(q=q, limit=_FOUND)).items
            ]
            sections.insert(
                0,
                {
                    "kind": "Groups",
                    "icon": "group",
                    "items": [
                        _item(
                            row.group,
                            f"{row.verdict.label}, {row.cluster}",
                            reverse("lag:group-detail", args=[row.cluster, path_name(row.group, row.id)]),
                        )
                        for row in groups[:_FOUND]
                    ],
                },
            )
            topics = [row for cluster in clusters for row in selectors.topics(user, cluster, q=q)[:_FOUND]]
            sections.append(
                {
                    "kind": "Topics",
                    "icon": "topic",
                    "items": [
                        _item(row.topic, row.cluster, reverse("lag:topic-detail", args=[row.cluster, row.topic]))
                        for row in topics[:_FOUND]
                    ],
                }
            )
    if q and may(user, Right.SEE_CLIENTS):
        clients = clients_visible(user).filter(name__icontains=q)[:_FOUND]
        sections.append(
            {
                "kind": "Clients",
                "icon": "client",
                "items": [_item(row.name, "", reverse("lag:client-detail", args=[row.pk])) for row in clients],
            }
        )
    return [section for section in sections if section["items"]]


def _pages(request: HttpRequest, q: str) -> list[dict[str, str]]:
    entries = place_entries(PLACES, request)
    return [_item(entry.word, "page", entry.href, entry.icon) for entry in entries if q.lower() in entry.word.lower()]


def _item(word: str, detail: str, href: str, icon: str = "") -> dict[str, str]:
    return {"word": word, "detail": detail, "href": href, "icon": icon}


def _worst(user: Person, row: ClusterSummary) -> tuple[str, float | None] | None:
    cluster = selectors.cluster_named(user, row.cluster)
    if cluster is None:
        return None
    items = selectors.group_board(user, cluster, BoardQuery(sort="-lag_seconds", limit=1)).items
    return (items[0].group, items[0].lag_seconds) if items else None
