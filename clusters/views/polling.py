"""Pages of sources: what is read and how it went."""

from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.roles import Right
from clusters import selectors
from clusters.selectors import SourceRow
from clusters.states import SourceState

RUNS_SHOWN = 60


@require_safe
@requires(Right.SEE_SOURCES)
def source_list(request: HttpRequest) -> HttpResponse:
    """Every source of every cluster with its age, error and breaker; the figures go on by push."""
    rows = selectors.sources(request.user)
    panels = [(row, list(reversed(selectors.source_runs(request.user, row.id, RUNS_SHOWN)))) for row in rows]
    return render(request, "clusters/source_list.html", {"panels": panels, "sentence": _sentence(rows)})


@require_safe
@requires(Right.SEE_SOURCES)
def source_detail(request: HttpRequest, cluster: str, kind: str) -> HttpResponse:
    """One source with its last runs and every entity that failed."""
    row = selectors.source_named(request.user, cluster, kind)
    if row is None:
        raise Http404("no such source")
    runs = selectors.source_runs(request.user, row.id, 100)
    return render(request, "clusters/source_detail.html", {"row": row, "runs": runs})


def _sentence(rows: list[SourceRow]) -> str:
    if not rows:
        return "Nothing is read yet."
    bad = [row for row in rows if row.state not in (SourceState.OK, SourceState.DISABLED, SourceState.WAITING)]
    total = f"{len(rows)} source{'' if len(rows) == 1 else 's'}"
    if not bad:
        return "The only source answers." if len(rows) == 1 else f"All {total} answer."
    words = ", ".join(f"{row.kind} of {row.cluster} is {row.state.label}" for row in bad[:3])
    return f"{len(bad)} of {total} {'needs' if len(bad) == 1 else 'need'} attention: {words}."
