"""Pages of schema subjects: what is accepted, how it may change, and what was refused."""

from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.urls import reverse
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.policies import scope_of
from accounts.roles import Right
from accounts.selectors import clients_visible
from clusters.rejections.difference import difference
from clusters.selectors.polling import source_of
from clusters.selectors.rejections import newest_at, rejection_rows
from clusters.selectors.schemas import (
    offer_of,
    registries,
    subject_by_id,
    subject_offers,
    subject_rejections,
    subject_rows,
    subjects,
)

SUBJECTS_PER_PAGE = 100
PERIOD_SECONDS = 60


@require_safe
@requires(Right.SEE_LAG)
def schema_list(request: HttpRequest) -> HttpResponse:
    """Subjects of every registry, with the newest refusal of each."""
    q = request.GET.get("q", "").strip()[:249].replace("\0", "")
    client = request.GET.get("client", "").replace("\0", "")
    found = subjects(request.user, q=q, client=client)
    page = Paginator(found, SUBJECTS_PER_PAGE).get_page(request.GET.get("page"))
    rows = subject_rows(request.user, list(page.object_list))
    refused = sum(row.rejection is not None for row in rows)
    known = registries(request.user)
    context = {
        "newest_at": newest_at(request.user) or 0.0,
        "rows": rows,
        "page": page,
        "q": q,
        "client": client,
        "client_names": [one.name for one in clients_visible(request.user)],
        "registries": [(one, source_of(one.cluster, "schemas")) for one in known],
        "sentence": _sentence(found.count(), refused),
        "docs_url": reverse("docs-page", args=["schemas"]),
    }
    return render(request, "clusters/schema_list.html", context)


@require_safe
@requires(Right.SEE_LAG)
def schema_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One subject: its accepted schema, its rule, the last refusal and how the offered schema differs."""
    subject = subject_by_id(request.user, pk)
    if subject is None:
        raise Http404("no such subject")
    refusals = subject_rejections(request.user, subject)
    offer = offer_of(request.user, subject, refusals[0].last_at if refusals else None)
    found = None
    if offer is not None:
        accepted = offer.accepted_schema or subject.schema
        found = difference(
            accepted, offer.schema, schema_type=subject.schema_type, compatibility=subject.compatibility
        )  # fmt: skip
    context = {
        "newest_at": newest_at(request.user) or 0.0,
        "subject": subject,
        "refusals": rejection_rows(refusals),
        "offer": offer,
        "offers": subject_offers(request.user, subject)[:20],
        "names_shown": scope_of(request.user).everything,
        "difference": found,
        "period_seconds": PERIOD_SECONDS,
        "api_url": reverse("api:schema_check", kwargs={"subject": subject.name}),
        "docs_url": reverse("docs-page", args=["schemas"]),
    }
    return render(request, "clusters/schema_detail.html", context)


def _sentence(count: int, refused: int) -> str:
    if not count:
        return "No subject is known."
    total = "1 subject" if count == 1 else f"{count} subjects"
    return f"{total}, {refused} of them with refusals on record." if refused else f"{total}, none of them ever refused."
