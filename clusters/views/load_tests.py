"""Pages of load tests: the list, bringing one in, one run, its figures, and runs compared."""

from collections.abc import Sequence
from typing import Any

from django.contrib import messages
from django.core.exceptions import ValidationError
from django.core.paginator import Paginator
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.guards import requires
from accounts.policies import may
from accounts.roles import Right
from clusters.load_tests.compare import compared_rows
from clusters.load_tests.figures import compared_figure, run_figures
from clusters.load_tests.run import KINDS
from clusters.load_tests.states import Status, Via
from clusters.load_tests.thresholds import DEFAULT_THRESHOLDS, parse
from clusters.load_tests.verdicts import LATENCY_METRICS, RATE_METRICS, Judgement
from clusters.models import LoadTest
from clusters.selectors.load_tests import (
    MOST_COMPARED,
    load_test_by_id,
    load_tests,
    load_tests_compared,
    overall,
    reading,
    recorded_beside,
    why_nothing_beside,
)
from clusters.selectors.polling import cluster_named, clusters_visible
from clusters.services.load_tests import (
    LIMIT_BYTES,
    load_test_begin,
    load_test_cancel,
    load_test_remove,
    uploaded,
)
from clusters.tasks import send_load_test
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock

ROWS_PER_PAGE = 50
TONES = {Judgement.KEPT: "ok", Judgement.MISSED: "critical", Judgement.UNSUPPORTED: "unknown"}
_FORM_FIELDS = ("name", "cluster", "threshold", "files")


@require_safe
@requires(Right.SEE_CLUSTERS)
def load_test_list(request: HttpRequest) -> HttpResponse:
    """Every load test, newest first, with what became of its thresholds."""
    q = request.GET.get("q", "").strip()[:120].replace("\0", "")
    rows = load_tests(request.user, q=q)
    page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("page"))
    context = {
        "items": [(row, *_outcome(row), _figures_of(row)) for row in page.object_list],
        "page": page,
        "q": q,
        "importing": any(row.status == Status.IMPORTING.value for row in page.object_list),
        "may_import": may(request.user, Right.INGEST),
        "most_compared": MOST_COMPARED,
        "docs_url": reverse("docs-page", args=["load-tests"]),
    }
    return render(request, "clusters/load_test_list.html", context)


@require_http_methods(["GET", "HEAD", "POST"])
@requires(Right.SEE_CLUSTERS, Right.INGEST)
def load_test_import(request: HttpRequest) -> HttpResponse:
    """The form, and what it sends. A browser with scripts sends it with progress and reads `location` of the answer."""
    errors: dict[str, list[str]] = {}
    if request.method == "POST":
        name = request.POST.get("cluster", "")
        cluster = cluster_named(request.user, name) if name else None
        try:
            if name and cluster is None:
                raise ValidationError({"cluster": f"There is no cluster named {name}."})
            row = load_test_begin(
                name=request.POST.get("name", "").replace("\0", ""),
                cluster=cluster,
                thresholds=request.POST.get("threshold", "").splitlines(),
                files=[uploaded(upload) for upload in request.FILES.getlist("files") if upload.name],
                acting_user=request.user,  # type: ignore[arg-type]  # signed in: the guard saw to it
                via=Via.PAGE,
                send=send_load_test,
            )
        except ValidationError as error:
            errors = error.message_dict
        else:
            address = reverse("clusters:load-test-detail", args=[row.pk])
            return JsonResponse({"location": address}) if _wants_json(request) else redirect(address)
    if errors and _wants_json(request):
        return JsonResponse({"fields": errors}, status=422)
    context = {
        "errors": errors,
        "given": {field: request.POST.get(field, "") for field in _FORM_FIELDS},
        "clusters": clusters_visible(request.user),
        "defaults": "\n".join(DEFAULT_THRESHOLDS),
        "kinds": [patterns[0] for patterns in KINDS.values()],
        "limit_gb": LIMIT_BYTES // 1_000_000_000,
        "limit_bytes": LIMIT_BYTES,
        "docs_url": reverse("docs-page", args=["load-tests"]),
    }
    return render(request, "clusters/load_test_import.html", context, status=422 if errors else 200)


@require_safe
@requires(Right.SEE_CLUSTERS)
def load_test_detail(request: HttpRequest, pk: int) -> HttpResponse:
    """One run: verdicts first, then series, then the platform's own figures, then what could not be read."""
    row = _or_404(request, pk)
    word, tone = _outcome(row)
    counts = {one: sum(1 for verdict in row.verdicts if verdict["verdict"] == one.value) for one in Judgement}
    context: dict[str, Any] = {
        "row": row,
        "status": Status(row.status),
        "word": word,
        "tone": tone,
        "verdicts": [(verdict, TONES[Judgement(verdict["verdict"])], _unit(row, verdict)) for verdict in row.verdicts],
        "sentence": _sentence(row, counts),
        "red": counts[Judgement.MISSED],
        "may_import": may(request.user, Right.INGEST),
        "figures": _figure_titles(row),
        "cut": ", ".join(row.series.get("cut", [])),
        "figures_url": reverse("clusters:load-test-figures", args=[row.pk]),
        "seconds": (row.run_ended_at - row.run_started_at).total_seconds() if row.run_started_at and row.run_ended_at else None,
        "broker_metrics": row.series.get("broker_metrics", []),
        "broker_metrics_count": row.series.get("broker_metrics_count", 0),
        "docs_url": reverse("docs-page", args=["load-tests"]),
        "printed": as_datetime(database_clock().now()).strftime("%Y-%m-%d %H:%M UTC"),
    }  # fmt: skip
    if row.status == Status.IMPORTING.value:
        context["reading"] = reading(row)
    if row.status == Status.DONE.value:
        beside = recorded_beside(request.user, row)
        context["beside"] = [one for one in beside if one.worst is not None]
        context["not_recorded"] = [one.title for one in beside if one.worst is None]
        context["why_nothing"] = why_nothing_beside(row)
    return render(request, "clusters/load_test_detail.html", context)


@require_safe
@requires(Right.SEE_CLUSTERS)
def load_test_progress(request: HttpRequest, pk: int) -> HttpResponse:
    """How far the reading is, asked for every second; once it is over the page is to be loaded again."""
    row = _or_404(request, pk)
    if row.status != Status.IMPORTING.value:
        return HttpResponse(status=204, headers={"HX-Refresh": "true"})
    context = {"row": row, "reading": reading(row), "may_import": may(request.user, Right.INGEST)}
    return render(request, "clusters/_load_test_progress.html", context)


@require_safe
@requires(Right.SEE_CLUSTERS)
def load_test_figures(request: HttpRequest, pk: int) -> JsonResponse:
    """{name: Plotly figure} of the run's series."""
    row = _or_404(request, pk)
    return JsonResponse(run_figures(row.series, _bounds(row)))


@require_POST
@requires(Right.SEE_CLUSTERS, Right.INGEST)
def load_test_cancel_view(request: HttpRequest, pk: int) -> HttpResponse:
    """End the reading."""
    row = _or_404(request, pk)
    load_test_cancel(load_test=row, acting_user=request.user)  # type: ignore[arg-type]  # signed in
    return redirect("clusters:load-test-detail", pk=row.pk)


@require_POST
@requires(Right.SEE_CLUSTERS, Right.INGEST)
def load_test_remove_view(request: HttpRequest, pk: int) -> HttpResponse:
    """Remove a load test; its name has to be typed."""
    row = _or_404(request, pk)
    if request.POST.get("name", "").strip() != row.name:
        messages.error(request, "The name was not typed as it is; nothing was removed.")
        return redirect("clusters:load-test-detail", pk=row.pk)
    try:
        load_test_remove(load_test=row, acting_user=request.user)  # type: ignore[arg-type]  # signed in
    except ValidationError as error:
        messages.error(request, " ".join(error.messages))
        return redirect("clusters:load-test-detail", pk=row.pk)
    messages.success(request, f"{row.name} was removed.")
    return redirect("clusters:load-tests")


@require_safe
@requires(Right.SEE_CLUSTERS)
def load_test_compare(request: HttpRequest) -> HttpResponse:
    """Two to six runs side by side: figures, verdicts, and their series over each other."""
    rows = load_tests_compared(request.user, _ids(request))
    context = {
        "rows": [(row, *_outcome(row)) for row in rows],
        "table": compared_rows([(row.metrics, row.verdicts) for row in rows]) if len(rows) > 1 else [],
        "figures_url": f"{reverse('clusters:load-test-compare-figures')}?{request.GET.urlencode()}",
        "enough": len(rows) > 1,
    }
    return render(request, "clusters/load_test_compare.html", context)


@require_safe
@requires(Right.SEE_CLUSTERS)
def load_test_compare_figures(request: HttpRequest) -> JsonResponse:
    """{name: Plotly figure} of the runs' series, each from its own begin on."""
    rows = load_tests_compared(request.user, _ids(request))
    named = [(f"{row.name} (#{row.pk})", row.series) for row in rows]
    return JsonResponse(
        {
            "throughput": compared_figure([(name, series.get("throughput", []), 1) for name, series in named], "/s"),
            "latency": compared_figure([(name, series.get("latency", []), 4) for name, series in named], "ms"),
        }
    )


def _or_404(request: HttpRequest, pk: int) -> LoadTest:
    row = load_test_by_id(request.user, pk)
    if row is None:
        raise Http404("no such load test")
    return row


def _ids(request: HttpRequest) -> list[int]:
    return [int(text) for text in request.GET.getlist("id") if text.isascii() and text.isdigit() and len(text) < 16]


def _wants_json(request: HttpRequest) -> bool:
    return "application/json" in request.headers.get("Accept", "")


def _outcome(row: LoadTest) -> tuple[str, str]:
    """Word and tone of the whole."""
    status, verdict = Status(row.status), overall(row)
    if status is not Status.DONE or verdict is None:
        return status.label.lower(), status.tone
    return verdict.value, TONES[verdict]


def _sentence(row: LoadTest, counts: dict[Judgement, int]) -> str:
    status = Status(row.status)
    if status is Status.IMPORTING:
        return "The files are being read."
    if status is not Status.DONE:
        return row.error or "The reading was cancelled; nothing was kept."
    words = {Judgement.KEPT: "kept", Judgement.MISSED: "missed", Judgement.UNSUPPORTED: "without a figure in the data"}
    whole = sum(counts.values())
    parts = [f"{count} {words[one]}" for one, count in counts.items() if count]
    said = f"{', '.join(parts)} of {whole} threshold{'s' if whole != 1 else ''}."
    if row.contradictions:
        count = len(row.contradictions)
        said += f" {count} stated figure{'s are' if count != 1 else ' is'} not borne out by the samples."
    return said[0].upper() + said[1:]


def _unit(row: LoadTest, verdict: dict[str, Any]) -> str:
    """The unit of a verdict's figure: that of its metric, per second for the rate of what is counted."""
    metric = next((one for one in row.metrics if one["name"] == verdict["metric"]), None)
    aggregate = parse(verdict["threshold"]).aggregate
    if metric is None or aggregate == "count":
        return ""
    if aggregate == "rate":
        return "/s" if metric["kind"] == "counter" else ""
    return str(metric["unit"])


def _figure_titles(row: LoadTest) -> list[tuple[str, str, str]]:
    """(figure, title, note) of the series that the run has."""
    series = row.series
    titles = (
        ("throughput", "Throughput", f"{series.get('rate_metric') or ''} per second"),
        ("latency", "Latency", f"{series.get('latency_metric') or ''}, percentiles of each moment, milliseconds"),
        ("broker_cpu", "Broker CPU", "mean of each moment, percent of the machine or as the file states it"),
        ("replication_lag", "Replication lag", f"largest of each moment, {series.get('replication_unit') or 'as stated'}"),
    )  # fmt: skip
    return [one for one in titles if series.get(one[0])]


def _bounds(row: LoadTest) -> dict[str, Sequence[tuple[str, float]]]:
    """Thresholds that can be drawn into a figure: rates, and percentiles of the latency that is shown."""
    found: dict[str, list[tuple[str, float]]] = {"throughput": [], "latency": []}
    for verdict in row.verdicts:
        threshold = parse(verdict["threshold"])
        metric = verdict["metric"]
        if threshold.aggregate == "rate" and metric == row.series.get("rate_metric") and metric in RATE_METRICS:
            found["throughput"].append((verdict["threshold"], threshold.bound))
        elif threshold.aggregate.startswith("p(") and metric == row.series.get("latency_metric") and metric in LATENCY_METRICS:  # fmt: skip
            found["latency"].append((verdict["threshold"], threshold.bound))
    return dict(found)


def _figures_of(row: LoadTest) -> list[tuple[str, dict[str, Any]]]:
    """The three figures that the list shows: of the usual thresholds, as judged."""
    return [(verdict["threshold"], verdict) for verdict in row.verdicts[:3]]
