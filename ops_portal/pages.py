"""Pages that belong to no single app: overview, search, documentation, patterns, and the error pages."""

import re
import struct
from typing import Any

import nh3
from django import forms
from django.conf import settings
from django.http import FileResponse, Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.template import loader
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import mark_safe
from django.views.decorators.http import require_safe
from markdown_it import MarkdownIt

from accounts.guards import signed_in
from accounts.policies import may
from accounts.roles import Right
from clusters.health.states import Health
from clusters.selectors.health import cluster_verdicts
from lag import selectors
from lag.selectors.news import recent_events
from lag.verdicts import Verdict
from ops_portal import overview
from ops_portal.icons import ICONS
from ops_portal.middleware import current_request_id

_DOCUMENT_LINK = re.compile(r'href="(?:\.{1,2}/)?(?:docs/)?(?:adr/)?([A-Za-z0-9_-]+)\.md(#[^"]*)?"')
_DOCUMENT_PICTURE = re.compile(r'src="[A-Za-z0-9_/.-]*?([A-Za-z0-9_-]+\.png)"')
_HEADING = re.compile(r"<(h[1-6])>(.*?)</\1>", re.DOTALL)
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@require_safe
@signed_in("shows what the user's scope lets through; empty without clients")
def home(request: HttpRequest) -> HttpResponse:
    """One card per cluster, verdict and reason first; below, what changed in the last hour."""
    verdicts = {row.cluster_id: row for row in cluster_verdicts(request.user)}
    cards = [
        overview.card(request.user, row, verdicts.get(row.id)) for row in selectors.cluster_summaries(request.user)
    ]
    context = {
        "cards": cards,
        "events": recent_events(request.user, limit=16),
        "sentence": overview.sentence([card.row for card in cards]),
        "red": sum(card.red for card in cards) + sum(row.verdict is Health.CRITICAL for row in verdicts.values()),
        "may_administer": may(request.user, Right.ADMINISTER),
        "docs_url": reverse("docs"),
    }
    return render(request, "home.html", context)


@require_safe
@signed_in("finds only what the user may see")
def search(request: HttpRequest) -> HttpResponse:
    """What the palette shows for a few letters: pages, clusters, groups, topics."""
    q = request.GET.get("q", "").strip()[:249].replace("\0", "")
    return render(request, "components/palette_results.html", {"sections": overview.found(request, q), "q": q})


@require_safe
@signed_in("the documentation holds nothing of any client")
def docs(request: HttpRequest, name: str = "README") -> HttpResponse:
    """The documentation that ships with this build, rendered from docs/*.md and docs/adr/*.md."""
    root = settings.BASE_DIR / "docs"
    names = sorted(path.stem for path in root.glob("*.md"))
    files = {path.stem: path for path in root.rglob("*.md")}
    if name == "README":
        path = settings.BASE_DIR / "README.md"
    elif name in files:
        path = files[name]
    else:
        raise Http404("no such document")
    text = path.read_text() if path.exists() else "Nothing is written here yet."
    html = _DOCUMENT_LINK.sub(
        lambda link: f'href="{reverse("docs-page", args=[link[1]])}{link[2] or ""}"', nh3.clean(_MARKDOWN.render(text))
    )
    html = _DOCUMENT_PICTURE.sub(_picture, html)
    body = mark_safe(_HEADING.sub(_with_anchor, html))  # noqa: S308 - cleaned by nh3
    return render(request, "docs.html", {"name": name, "names": names, "body": body})


def _picture(found: re.Match[str]) -> str:
    """The address of a picture that ships with the documents, and its size, so that the text below does not jump."""
    path = settings.BASE_DIR / "docs/images" / found[1]
    address = f'src="{reverse("docs-picture", args=[found[1]])}"'
    if not path.exists():
        return address
    with path.open("rb") as file:
        width, height = struct.unpack(">II", file.read(24)[16:])  # of a PNG's first chunk
    return f'{address} width="{width}" height="{height}"'


def _with_anchor(heading: re.Match[str]) -> str:
    """A heading that can be linked to, by GitHub's rule for names of headings."""
    words = re.sub(r"<[^>]*>|&\w+;", "", heading[2]).lower()
    name = re.sub(r"[^\w -]", "", words).strip().replace(" ", "-")
    return f'<{heading[1]} id="{name}">{heading[2]}</{heading[1]}>'


@require_safe
@signed_in("the pictures of the documentation are taken from the demo")
def docs_picture(request: HttpRequest, name: str) -> FileResponse:
    """A picture that a document shows."""
    found = {path.name: path for path in (settings.BASE_DIR / "docs").rglob("*.png")}.get(name)
    if found is None:
        raise Http404("no such picture")
    return FileResponse(found.open("rb"), content_type="image/png")


class _PatternForm(forms.Form):
    name = forms.CharField(label="Name", help_text="A glob: risk-* matches every group that starts with risk-.")
    limit = forms.IntegerField(label="At most records", min_value=1)
    word = forms.ChoiceField(label="Severity", choices=[("warning", "warning"), ("critical", "critical")])
    note = forms.CharField(label="Note", required=False)
    enabled = forms.BooleanField(label="Enabled", required=False, help_text="Off keeps the promise but counts nothing.")


_STATES = (
    ("empty", "No consumer groups yet", "The cluster answers, but no group has committed or joined. The board fills by itself.", "Check the sources"),
    ("loading", "", "", ""),
    ("partial", "2 of 3 brokers answered", "Partitions led by broker 2 keep their last values, 41 s old.", "See the source"),
    ("stale", "Nothing read for 38 s", "Connection refused by 127.0.0.1:9092. The values below are from 14:01:32.", "See the source"),
    ("error", "The history cannot be read", "The database refused the query after 5 s. The live figures are not affected.", "Try again"),
    ("forbidden", "You may not see this", "Sources are shown to operations. Ask an administrator if you need them.", "Back to the overview"),
    ("not_found", "There is no such group", "It may have been deleted from Kafka, or it belongs to somebody else.", "Open the board"),
)  # fmt: skip


@require_safe
@signed_in("made-up figures only")
def patterns(request: HttpRequest) -> HttpResponse:
    """Every component in every state: what reviewers and screenshots look at."""
    form = _PatternForm({"name": "", "limit": "-1", "word": "critical", "enabled": "on"})
    context: dict[str, Any] = {
        "now": timezone.now(),
        "nothing": None,
        "verdicts": list(Verdict),
        "age_chips": [("fresh", "2 s ago"), ("late", "9 s ago"), ("stale", "41 s ago"), ("unknown", "no data yet")],
        "figures": [0, 7, 999, 1234, 45_678, 999_950, 12_345_678, 0.42, 41.26, 125, 4980, 93_600],
        "form": form,
        "states": [dict(zip(("kind", "title", "text", "action"), row, strict=True)) for row in _STATES],
        "icons": sorted(ICONS),
    }
    return render(request, "patterns.html", context)


def bad_request(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(request, 400)


def permission_denied(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(request, 403, str(exception))


def page_not_found(request: HttpRequest, exception: Exception) -> HttpResponse:
    return _error_page(request, 404)


def server_error(request: HttpRequest) -> HttpResponse:
    """Rendered without the database and without the session: both may be what failed."""
    page = loader.get_template("500.html").render({"request_id": current_request_id()})
    return HttpResponse(page, status=500)


def _error_page(request: HttpRequest, status: int, reason: str = "") -> HttpResponse:
    return render(request, f"{status}.html", {"request_id": current_request_id(), "reason": reason}, status=status)
