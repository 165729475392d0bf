"""The page of what was found."""

from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.roles import Right
from clusters import selectors

FINDINGS_PER_PAGE = 50


@require_safe
@requires(Right.SEE_FINDINGS)
def finding_list(request: HttpRequest) -> HttpResponse:
    """Findings, open ones by default, newest first."""
    shown = request.GET.get("shown", "open")
    rows = selectors.findings(request.user, still_open={"open": True, "closed": False}.get(shown))
    page = Paginator(rows, FINDINGS_PER_PAGE).get_page(request.GET.get("page"))
    open_count = selectors.findings(request.user, still_open=True).count()
    context = {"rows": selectors.finding_rows(page.object_list), "page": page, "shown": shown, "open_count": open_count}
    return render(request, "clusters/finding_list.html", context)
