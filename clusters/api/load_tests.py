"""Load tests over HTTP (interfaces.md 6): the list, one, and bringing one in."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from django.core.exceptions import ValidationError
from django.db.models import F
from django.http import HttpRequest, HttpResponse
from ninja import Field, Router

from accounts.guards import operation
from accounts.roles import Right
from clusters import selectors
from clusters.load_tests.states import Status, Via
from clusters.load_tests.verdicts import Judgement
from clusters.models import LoadTest
from clusters.selectors.load_tests import load_test_by_id, load_tests, overall, recorded_beside
from clusters.services.load_tests import load_test_begin, uploaded
from clusters.tasks import send_load_test
from ops_portal.lib import cursor as cursors
from ops_portal.lib.api import (
    DEFAULT_LIMIT,
    Contract,
    Cursor,
    Limit,
    Listed,
    Repeated,
    Search,
    one_of,
    reply,
    reply_list,
    sort_field,
)
from ops_portal.lib.problems import Problem, invalid

if TYPE_CHECKING:
    from accounts.callers import ApiRequest

router = Router(tags=["load tests"])

SORTS = {  # field of the contract -> field of the row
    "created_at": "created_at", "name": "name", "cluster": "cluster__name", "status": "status",
    "started_at": "run_started_at",
}  # fmt: skip

_FILES_BODY = {
    "requestBody": {
        "required": True,
        "content": {
            "multipart/form-data": {
                "schema": {
                    "type": "object",
                    "required": ["files"],
                    "properties": {
                        "files": {"type": "array", "items": {"type": "string", "format": "binary"}},
                        "name": {"type": "string", "maxLength": 120},
                        "cluster": {"type": "string", "maxLength": 63},
                        "threshold": {"type": "array", "items": {"type": "string"}, "example": ["p95<10"]},
                    },
                }
            }
        },
    }
}


class LoadTestVerdict(Contract):
    threshold: str
    metric: str | None
    verdict: Judgement
    value: float | None
    source: str | None = Field(description="The file that the figure comes from.")
    reason: str
    stated: bool | None = Field(description="What the summary itself says; null where it says nothing.")


class LoadTestItem(Contract):
    """A load test without its series."""

    id: int
    name: str
    cluster: str | None
    status: Status
    error: str | None
    brought_by: str
    via: Via
    created_at: datetime
    step: str | None = Field(description="The file that is being read, or was when the reading ended early.")
    bytes_read: int
    bytes_total: int
    started_at: datetime | None = Field(description="Of the run, as its files tell.")
    ended_at: datetime | None
    verdict: Judgement | None = Field(description="The worst of `verdicts`.")
    verdicts: list[LoadTestVerdict]
    contradictions: int = Field(description="Stated figures that the samples do not bear out.")
    problems: int = Field(description="Lines and files that could not be read.")


class LoadTestContradiction(Contract):
    metric: str
    aggregate: str
    stated: float
    measured: float


class LoadTestProblem(Contract):
    file: str
    line: int | None
    text: str


class LoadTestMetric(Contract):
    name: str
    kind: str
    unit: str
    values: dict[str, float]
    source: str


class LoadTestFile(Contract):
    name: str
    kind: str | None
    bytes: int


class LoadTestRecorded(Contract):
    title: str
    unit: str
    worst: float | None = Field(description="Null = not recorded.")
    typical: float | None
    state: str | None
    source: str


class LoadTestDetail(LoadTestItem):
    """Everything about one load test. Series are [seconds since the epoch, values...]."""

    files: list[LoadTestFile]
    thresholds: list[str]
    contradiction_list: list[LoadTestContradiction]
    problem_list: list[LoadTestProblem]
    metrics: list[LoadTestMetric]
    throughput: list[list[float]]
    latency: list[list[float | None]] = Field(description="[at, samples, p50, p95, p99, p99.9], milliseconds.")
    broker_cpu: dict[str, list[list[float]]]
    replication_lag: list[list[float]]
    replication_unit: str | None
    platform: list[LoadTestRecorded] = Field(description="The platform's own figures of the run's minutes.")


@router.get("/load-tests", response=Listed[LoadTestItem], operation_id="load_tests", summary="Load tests, newest first")
@operation(Right.SEE_CLUSTERS)
def load_test_list(
    request: HttpRequest,
    cluster: Repeated,
    status: Repeated,
    q: Search = "",
    sort: str = "-created_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """Newest first unless sorted otherwise; `q` looks in the name."""
    field, descending = sort_field(sort, tuple(SORTS))
    statuses = one_of("status", status, Status)
    order = F(SORTS[field])
    rows = load_tests(request.user, q=q, clusters=cluster, statuses=statuses).order_by(
        order.desc(nulls_last=True) if descending else order.asc(nulls_last=True), "name", "-pk"
    )
    tied_to = ("load-tests", q, sort, cluster, statuses)
    try:
        first = cursors.offset(cursor, *tied_to)
    except cursors.CursorRefused as error:
        raise invalid(cursor=str(error)) from error
    total, last = rows.count(), first + limit
    items = [item_json(row) for row in rows[first:last]]
    return reply_list(items, cursors.encode(last, *tied_to) if last < total else None, total)


@router.post(
    "/load-tests",
    response={202: LoadTestItem},
    operation_id="load_test_begin",
    summary="Bring in a load test",
    openapi_extra=_FILES_BODY,
)
@operation(Right.INGEST)
def load_test_post(request: HttpRequest) -> HttpResponse:
    """`multipart/form-data` with `files`, 2 GB in all. They are read in the background: ask for the load test again until
    its `status` is no longer `importing`."""
    name = request.POST.get("cluster", "")
    cluster = selectors.cluster_named(request.user, name) if name else None
    if name and cluster is None:
        raise invalid(cluster=f"there is no cluster named {name!r}")
    try:
        row = load_test_begin(
            name=request.POST.get("name", "").replace("\0", ""),
            cluster=cluster,
            thresholds=request.POST.getlist("threshold"),
            files=[uploaded(upload) for upload in request.FILES.getlist("files")],
            acting_user=cast("ApiRequest", request).user,
            via=Via.API,
            send=send_load_test,
        )
    except ValidationError as error:
        raise Problem("invalid", fields=error.message_dict) from error
    response = reply(item_json(row), status=202)
    response["Location"] = f"/api/v1/load-tests/{row.pk}"
    return response


@router.get("/load-tests/{int:load_test}", response=LoadTestDetail, operation_id="load_test", summary="One load test")
@operation(Right.SEE_CLUSTERS)
def load_test_one(request: HttpRequest, load_test: int) -> HttpResponse:
    """Figures, series, verdicts, and what the platform recorded of itself meanwhile."""
    row = load_test_by_id(request.user, load_test)
    if row is None:
        raise Problem("not_found")
    series = row.series
    return reply(
        item_json(row)
        | {
            "files": row.files,
            "thresholds": row.thresholds,
            "contradiction_list": row.contradictions,
            "problem_list": row.problems,
            "metrics": row.metrics,
            "throughput": series.get("throughput", []),
            "latency": series.get("latency", []),
            "broker_cpu": series.get("broker_cpu", {}),
            "replication_lag": series.get("replication_lag", []),
            "replication_unit": series.get("replication_unit") or None,
            "platform": [
                {
                    "title": one.title,
                    "unit": one.unit,
                    "worst": one.worst,
                    "typical": one.typical,
                    "state": one.state.value if one.state else None,
                    "source": one.source,
                }
                for one in recorded_beside(request.user, row)
            ],
        }
    )


def item_json(row: LoadTest) -> dict[str, Any]:
    """The item of the contract."""
    return {
        "id": row.pk,
        "name": row.name,
        "cluster": row.cluster.name if row.cluster else None,
        "status": row.status,
        "error": row.error or None,
        "brought_by": row.brought_by_name,
        "via": row.via,
        "created_at": row.created_at,
        "step": None if row.status == Status.DONE else row.step or None,
        "bytes_read": row.bytes_read,
        "bytes_total": row.bytes_total,
        "started_at": row.run_started_at,
        "ended_at": row.run_ended_at,
        "verdict": overall(row),
        "verdicts": [one | {"source": one["source"] or None} for one in row.verdicts],
        "contradictions": len(row.contradictions),
        "problems": row.problem_count,
    }
