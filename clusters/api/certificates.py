"""Certificates over HTTP (interfaces.md 6): list, calendar, table, rotation log and keys."""

from datetime import datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse
from ninja import Field, Router, Schema
from pydantic import ConfigDict

from accounts.guards import operation
from accounts.models import Client
from accounts.policies import scope_of
from accounts.roles import Right
from accounts.selectors import clients_visible
from clusters import exports, selectors
from clusters.chains import ChainVerdict
from clusters.expiry import Band, CertificateKind
from clusters.models import Cluster, Rotation
from clusters.selectors import certificates as reads
from clusters.selectors.certificates import CertificateRow, KeyRow
from clusters.services.certificates import key_record
from ops_portal.lib.api import (
    DEFAULT_LIMIT,
    Contract,
    Cursor,
    Limit,
    Listed,
    Repeated,
    Search,
    Text,
    body_of,
    body_schema,
    one_of,
    reply,
    reply_items,
    reply_page,
    sort_field,
    sorted_rows,
)
from ops_portal.lib.problems import Problem, invalid

router = Router(tags=["certificates"])

SORTS = ("not_after", "subject", "kind", "band", "verdict", "not_before")
ROTATION_SORTS = ("at", "kind", "place", "broker", "subject", "days_early")
KEY_SORTS = ("rotated_at", "due_at", "name", "owner", "client")
_BANDS = list(Band)
_FEED = {
    "responses": {"200": {"description": "The calendar.", "content": {"text/calendar": {"schema": {"type": "string"}}}}}
}
_TABLE = {"responses": {"200": {"description": "The table.", "content": {"text/csv": {"schema": {"type": "string"}}}}}}


class CertificateItem(Contract):
    id: int
    kind: CertificateKind
    subject: str
    issuer: str
    serial: str | None = Field(description="Hexadecimal; null where it is not known.")
    fingerprint_sha256: str | None = Field(description="Null for a certificate that was entered by hand.")
    not_before: datetime
    not_after: datetime
    days_left: float = Field(description="Negative after the end.")
    band: Band
    served_on: list[str] = Field(description="Listeners that send it now, host:port.")
    file: str | None
    drift: str | None = Field(
        description="file_newer | served_newer, of a leaf that is served but not what its file holds."
    )
    verdict: ChainVerdict
    failing_link: str | None = Field(description="The first certificate of the chain that fails.")


class RotationItem(Contract):
    at: datetime
    at_earliest: datetime = Field(description="When the old one was last seen.")
    kind: str
    place: str
    broker: int | None
    subject: str
    old_serial: str
    new_serial: str
    same_key: bool | None = Field(description="True: renewed, not rotated.")
    days_early: float | None
    healthy: bool | None = Field(
        description="No partition was offline, and nothing was worse than in as long a time before. Null: nothing was measured."
    )
    health: list[dict[str, Any]] = Field(
        description="name, text, good (bool or null), and the highest value `during` and `before` in `unit`."
    )


class KeyItem(Contract):
    name: str
    version: str
    rotated_at: datetime
    rotation_days: float
    due_at: datetime
    days_left: float
    band: Band
    manual: bool
    owner: str
    client: str | None


class KeyBody(Schema):
    """A key of the key service, or a rotation of it. Never the key itself."""

    model_config = ConfigDict(extra="forbid")

    name: Text = Field(min_length=1, max_length=200)
    version: Text = Field(
        "", max_length=200, description="As the key service names it; a new one is logged as a rotation."
    )
    rotated_at: datetime
    rotation_days: float = Field(90, ge=1, le=3660)
    manual: bool = Field(False, description="Asymmetric, HMAC and imported keys do not rotate by themselves.")
    owner: Text = Field("", max_length=200)
    client: Text | None = Field(None, max_length=120, description="Not given: the key stays whose it was.")


@router.get(
    "/clusters/{cluster}/certificates", response=Listed[CertificateItem], operation_id="certificates",
    summary="Certificates of a cluster",
)  # fmt: skip
@operation(Right.SEE_LAG)
def certificate_list(
    request: HttpRequest,
    cluster: str,
    kind: Repeated,
    band: Repeated,
    verdict: Repeated,
    q: Search = "",
    sort: str = "not_after",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """Certificates in use, those that end first before the others. `q` looks in subject, issuer, serial and fingerprint."""
    field, descending = sort_field(sort, SORTS)
    kinds, bands = one_of("kind", kind, CertificateKind), one_of("band", band, Band)
    verdicts = one_of("verdict", verdict, ChainVerdict)
    found = (
        row
        for row in reads.certificates(request.user, _cluster(request, cluster).name)
        if (not kinds or row.kind in kinds)
        and (not bands or row.band in bands)
        and (not verdicts or row.verdict in verdicts)
        and q.lower() in f"{row.subject} {row.issuer} {row.serial} {row.fingerprint}".lower()
    )

    def key(row: CertificateRow) -> Any:
        return _BANDS.index(row.band) if field == "band" else getattr(row, field)

    rows = sorted_rows(found, key, lambda row: (row.title, row.id), descending=descending)
    return reply_page([reads.contract(row) for row in rows], limit, cursor, "certificates", cluster, q, sort, kinds, bands, verdicts)  # fmt: skip


@router.get("/certificates.ics", operation_id="certificates_ics", summary="Ends and rotation days", openapi_extra=_FEED)
@operation(Right.SEE_LAG)
def certificate_calendar(request: HttpRequest) -> HttpResponse:
    """A calendar to subscribe to, with what the caller may see."""
    response = HttpResponse(exports.certificates_ics(request.user), content_type="text/calendar; charset=utf-8")
    response["Content-Disposition"] = 'inline; filename="certificates.ics"'
    response["Cache-Control"] = "no-store"
    return response


@router.get("/certificates.csv", operation_id="certificates_csv", summary="All certificates", openapi_extra=_TABLE)
@operation(Right.SEE_LAG)
def certificate_table(request: HttpRequest) -> HttpResponse:
    """Every certificate that the caller may see, of all clusters."""
    response = HttpResponse(exports.certificates_csv(request.user), content_type="text/csv; charset=utf-8")
    response["Content-Disposition"] = 'attachment; filename="certificates.csv"'
    response["Cache-Control"] = "no-store"
    return response


@router.get(
    "/clusters/{cluster}/rotations", response=Listed[RotationItem], operation_id="rotations", summary="Rotation log"
)
@operation(Right.SEE_CLUSTERS)
def rotation_list(
    request: HttpRequest,
    cluster: str,
    q: Search = "",
    sort: str = "-at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """What was observed, newest first; the newest 5,000. `q` looks in place, subject and serials."""
    rows = reads.rotations(request.user, _cluster(request, cluster).name, limit=5000)
    items = [
        _rotation(row)
        for row in rows
        if q.lower() in f"{row.place} {row.subject} {row.old_serial} {row.new_serial}".lower()
    ]
    return reply_items(
        items, "place", "rotations", cluster, q, sort=sort, allowed=ROTATION_SORTS, limit=limit, cursor=cursor
    )


@router.get(
    "/clusters/{cluster}/keys", response=Listed[KeyItem], operation_id="keys", summary="Keys of the key service"
)
@operation(Right.SEE_LAG)
def key_list(
    request: HttpRequest,
    cluster: str,
    q: Search = "",
    sort: str = "rotated_at",
    limit: Limit = DEFAULT_LIMIT,
    cursor: Cursor = None,
) -> HttpResponse:
    """Keys and when each is due, the one that was rotated longest ago first. `q` looks in name, owner and client."""
    rows = reads.keys(request.user, _cluster(request, cluster).name)
    items = [_key(row) for row in rows if q.lower() in f"{row.name} {row.owner} {row.client or ''}".lower()]
    return reply_items(items, "name", "keys", cluster, q, sort=sort, allowed=KEY_SORTS, limit=limit, cursor=cursor)


@router.post(
    "/clusters/{cluster}/keys",
    response=KeyItem,
    operation_id="key_record",
    summary="Enter a key or its rotation",
    openapi_extra=body_schema(KeyBody),
)
@operation(Right.INGEST)
def key_enter(request: HttpRequest, cluster: str) -> HttpResponse:
    """The first entry makes the key known; a later `rotated_at` is a rotation and goes into the log."""
    found, body = _cluster(request, cluster), body_of(request, KeyBody)
    if body.rotated_at.tzinfo is None:
        raise invalid(rotated_at="needs a time zone")
    try:
        row = key_record(
            cluster=found, name=body.name, version=body.version, rotated_at=body.rotated_at,
            rotation_days=body.rotation_days, manual=body.manual, owner=body.owner,
            client=_client(request, body.client) if "client" in body.model_fields_set else ...,
            acting_user=request.user,  # type: ignore[arg-type]  # a caller with a right is a User
        )  # fmt: skip
    except ValidationError as error:
        raise Problem("invalid", fields=error.message_dict) from error
    return reply(_key(next(one for one in reads.keys(request.user, found.name) if one.id == row.pk)))


def _cluster(request: HttpRequest, name: str) -> Cluster:
    """The cluster; whoever sees some clients only learns of one by what is theirs there, else it is as good as absent."""
    found = selectors.cluster_named(request.user, name)
    if found is None:
        raise Problem("not_found")
    user = request.user
    if not scope_of(user).everything and not reads.certificates(user, name) and not reads.keys(user, name):
        raise Problem("not_found")
    return found


def _client(request: HttpRequest, name: str | None) -> Client | None:
    if name is None:
        return None
    found = clients_visible(request.user).filter(name=name).first()
    if found is None:
        raise invalid(client=f"There is no client {name!r}.")
    return found


def _rotation(row: Rotation) -> dict[str, Any]:
    return {
        "at": row.at, "at_earliest": row.old_seen_at, "kind": row.kind, "place": row.place, "broker": row.broker,
        "subject": row.subject, "old_serial": row.old_serial, "new_serial": row.new_serial, "same_key": row.same_key,
        "days_early": row.days_early, "healthy": row.healthy, "health": row.health,
    }  # fmt: skip


def _key(row: KeyRow) -> dict[str, Any]:
    return {
        "name": row.name, "version": row.version, "rotated_at": row.rotated_at, "rotation_days": row.rotation_days,
        "due_at": row.due_at, "days_left": round(row.days_left, 3), "band": row.band.value, "manual": row.manual,
        "owner": row.owner, "client": row.client,
    }  # fmt: skip
