"""Schema subjects over HTTP, and the check before a schema is registered."""

from datetime import datetime
from typing import TYPE_CHECKING, Any, cast

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema
from pydantic import ConfigDict

from accounts.guards import operation
from accounts.policies import may
from accounts.roles import Right
from clusters.gateways.registry import RegistryFailed
from clusters.models import Cluster, SchemaSubject
from clusters.selectors.schemas import clusters_of_subject, subjects
from clusters.services import schemas as services
from clusters.services.schemas import CheckResult
from ops_portal.lib.api import (
    DEFAULT_LIMIT,
    Contract,
    Cursor,
    Limit,
    Listed,
    Repeated,
    Search,
    body_of,
    body_schema,
    reply,
    reply_items,
)
from ops_portal.lib.problems import RETRY_SECONDS, Problem, invalid

if TYPE_CHECKING:
    from accounts.callers import ApiRequest

router = Router(tags=["schemas"])

SORTS = ("cluster", "subject", "client", "version", "schema_type", "compatibility", "read_at")


class SubjectItem(Contract):
    subject: str
    cluster: str
    client: str | None
    version: int | None
    versions: list[int]
    schema_id: int | None
    schema_type: str | None
    compatibility: str | None = Field(description="In force: the subject's own, else the registry's default.")
    read_at: datetime | None


class CheckBody(Schema):
    model_config = ConfigDict(extra="forbid")

    offered_schema: str = Field(alias="schema", max_length=1_000_000, description="The schema's text.")
    schema_type: str = Field(
        "", max_length=20, description="AVRO | JSON | PROTOBUF; the subject's own where not given."
    )
    cluster: str = Field("", max_length=63, description="Needed when several clusters have a registry.")


class CheckedBody(Contract):
    subject: str
    cluster: str
    compatible: bool
    compatibility: str
    version: int | None = Field(description="What it was held against; null for a new subject.")
    schema_type: str
    reasons: list[str] = Field(description="What breaks compatibility.")
    fixes: list[str]
    difference: str | None = Field(description="Unified difference against the accepted schema.")


@router.get("/schemas", response=Listed[SubjectItem], operation_id="schemas", summary="Subjects of schema registries")
@operation(Right.SEE_LAG)
def schemas(
    request: HttpRequest,
    cluster: Repeated,
    q: Search = "",
    sort: str = "cluster",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """By cluster and name unless sorted otherwise; `q` looks in subject and client."""
    found = subjects(request.user, q=q)
    if cluster:
        found = found.filter(registry__cluster__name__in=cluster)
    return reply_items(
        [subject_json(row) for row in found], "subject", "schemas", q, cluster,
        sort=sort, allowed=SORTS, limit=limit, cursor=cursor,
    )  # fmt: skip


@router.post(
    "/schemas/{path:subject}/check",
    response=CheckedBody,
    operation_id="schema_check",
    summary="May this schema be registered?",
    openapi_extra=body_schema(CheckBody),
)
@operation(Right.SEE_LAG)
def schema_check(request: HttpRequest, subject: str) -> HttpResponse:
    """Asks the registry, changes nothing there, and keeps the offer so that a refusal can be explained.

    Whoever sees some clients only may check subjects of theirs, also ones that do not exist yet.
    """
    if not subject or len(subject) > 500 or not clusters_of_subject(request.user, subject):
        raise Problem("not_found")
    body = body_of(request, CheckBody)
    place = _cluster(request, subject, body.cluster)
    try:
        result = services.schema_check(
            cluster=place, subject=subject, schema=body.offered_schema, schema_type=body.schema_type,
            acting_user=cast("ApiRequest", request).user,
        )  # fmt: skip
    except ValidationError as error:
        raise Problem("invalid", fields=error.message_dict) from error
    except RegistryFailed as failure:
        text = failure.message if may(request.user, Right.SEE_CLUSTERS) else "The schema registry does not answer."
        raise Problem("unavailable", text, retry_after=RETRY_SECONDS) from failure
    return reply(check_json(result))


def check_json(result: CheckResult) -> dict[str, Any]:
    """The answer of the contract."""
    lines = None
    if result.found is not None:
        lines = "\n".join(line.text if line.sign == "@" else f"{line.sign}{line.text}" for line in result.found.lines)
    return {
        "subject": result.subject,
        "cluster": result.cluster,
        "compatible": result.compatible,
        "compatibility": result.compatibility,
        "version": result.version,
        "schema_type": result.schema_type,
        "reasons": list(result.reasons),
        "fixes": list(result.fixes),
        "difference": lines,
    }


def subject_json(row: SchemaSubject) -> dict[str, Any]:
    return {
        "subject": row.name,
        "cluster": row.registry.cluster.name,
        "client": row.client.name if row.client else None,
        "version": row.version,
        "versions": row.versions,
        "schema_id": row.schema_id,
        "schema_type": row.schema_type or None,
        "compatibility": row.compatibility or None,
        "read_at": row.read_at,
    }


def _cluster(request: HttpRequest, subject: str, name: str) -> Cluster:
    """The cluster named, else the only one where the subject may be checked."""
    found = clusters_of_subject(request.user, subject)
    if name:
        found = [cluster for cluster in found if cluster.name == name]
        if not found:
            raise invalid(cluster=f"there is no cluster named {name!r} with a schema registry")
    if len(found) > 1:
        raise invalid(cluster="several clusters have a schema registry: name one")
    return found[0]
