"""Building blocks of the HTTP API that every app's `api.py` uses: answers, lists, parameters."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Generic, TypeVar

import orjson
from django.http import HttpRequest, HttpResponse
from django.utils.datastructures import MultiValueDict
from ninja import Field, Query, Schema
from ninja.parser import Parser
from pydantic import AfterValidator, BaseModel, ConfigDict, ValidationError

from ops_portal.lib import cursor as cursors
from ops_portal.lib.clock import iso
from ops_portal.lib.problems import Problem, invalid

T = TypeVar("T")
B = TypeVar("B", bound=BaseModel)
DEFAULT_LIMIT = 100
LARGEST_LIMIT = 500
_RELATIVE = re.compile(r"-([0-9]{1,6})([smhdw])")
_UNITS = {
    "s": timedelta(seconds=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}

Limit = Annotated[int, Query(ge=1, le=LARGEST_LIMIT, description="Items per page.")]
Cursor = Annotated[str | None, Query(max_length=2000, description="`next_cursor` of the page before.")]
Repeated = Annotated[list[str], Query(default_factory=list, description="May be given several times, meaning or.")]
Search = Annotated[str, Query(max_length=400, description="Case-insensitive substring.")]


def _storable(text: str) -> str:
    if "\0" in text:
        raise ValueError("holds a character that no name can have")
    return text


Text = Annotated[str, AfterValidator(_storable)]  # of a body: what the database can hold


class Contract(Schema):
    """A JSON object of interfaces.md: every key present, no other. For the OpenAPI document; answers are built by hand."""

    model_config = ConfigDict(extra="forbid")


class Listed(Contract, Generic[T]):
    """A page of a list."""

    items: list[T]
    next_cursor: str | None
    total: int = Field(description="How many there are that the caller may see.")


class ProblemBody(Schema):
    """Every failure."""

    error: str
    message: str
    request_id: str
    retry_after: float | None = Field(None, description="Seconds; absent where waiting does not help.")
    fields: dict[str, list[str]] | None = Field(None, description="Only with `invalid`.")


def dumps(data: Any) -> bytes:
    """JSON of the contract: times in UTC with milliseconds and Z, NaN and infinity as null."""
    return orjson.dumps(data, default=_default, option=orjson.OPT_PASSTHROUGH_DATETIME)


def reply(data: Any, status: int = 200) -> HttpResponse:
    """A JSON answer that no cache keeps."""
    response = HttpResponse(dumps(data), content_type="application/json", status=status)
    response["Cache-Control"] = "no-store"
    return response


def reply_list(items: Iterable[Mapping[str, Any]], next_cursor: str | None, total: int) -> HttpResponse:
    """One page of a list."""
    return reply({"items": list(items), "next_cursor": next_cursor, "total": total})


def fields_of(contract: type[Contract], row: object, *, but: str = "") -> dict[str, Any]:
    """The object of a contract out of a row that has its fields under the same names, all but one."""
    return {name: getattr(row, name) for name in contract.model_fields if name != but}


def reply_sorted(
    rows: Iterable[T],
    shown: Callable[[T], Mapping[str, Any]],
    name: Callable[[T], Any],
    *tied_to: Any,
    sort: str,
    allowed: Sequence[str],
    limit: int,
    cursor: str | None,
) -> HttpResponse:
    """The page of a list in memory, sorted by one of the `allowed` attributes, ties by name. Raises the 422."""
    field, descending = sort_field(sort, allowed)
    found = sorted_rows(rows, lambda row: getattr(row, field), name, descending=descending)
    return reply_page([shown(row) for row in found], limit, cursor, *tied_to, sort)


def reply_items(
    items: Iterable[Mapping[str, Any]],
    name: str,
    *tied_to: Any,
    sort: str,
    allowed: Sequence[str],
    limit: int,
    cursor: str | None,
) -> HttpResponse:
    """As `reply_sorted`, of objects that are made already: sorted by one of their `allowed` fields, ties by the field `name`."""
    field, descending = sort_field(sort, allowed)
    found = sorted_rows(items, lambda item: item[field], lambda item: item[name], descending=descending)
    return reply_page(found, limit, cursor, *tied_to, sort)


def reply_page(items: Sequence[Mapping[str, Any]], limit: int, cursor: str | None, *tied_to: Any) -> HttpResponse:
    """The page of a list in memory that a cursor, tied to filter and sort, asks for. Raises the 422."""
    try:
        page = cursors.page(items, limit, cursor, *tied_to)
    except cursors.CursorRefused as error:
        raise invalid(cursor=str(error)) from error
    return reply_list(page.items, page.next_cursor, page.total)


def sort_field(text: str, allowed: Sequence[str]) -> tuple[str, bool]:
    """Field and whether descending, of `sort=field` or `sort=-field`. Raises the 422."""
    name = text.removeprefix("-")
    if name not in allowed:
        raise invalid(sort=f"{text!r} is not one of {', '.join(allowed)}, each also with - in front")
    return name, text.startswith("-")


def one_of(field: str, values: Iterable[str], allowed: Iterable[str]) -> tuple[str, ...]:
    """The values of a repeated filter, each a known word. Raises the 422."""
    known, given = list(allowed), tuple(dict.fromkeys(values))
    for value in given:
        if value not in known:
            raise invalid(**{field: f"{value!r} is not one of {', '.join(known)}"})
    return given


def body_of(request: HttpRequest, kind: type[B]) -> B:
    """The request's JSON body, read inside the view: only who may call at all learns what is wrong with a body.

    Raises the 400 or the 422. `body_schema` describes it in the OpenAPI document.
    """
    try:
        return kind.model_validate_json(request.body or b"null")
    except ValidationError as error:
        rows = error.errors(include_url=False, include_input=False)
        if any(row["type"] in {"json_invalid", "model_type", "model_attributes_type"} for row in rows):
            raise Problem("bad_request", "The body is not a JSON object.") from error
        fields: dict[str, list[str]] = {}
        for row in rows:
            fields.setdefault(".".join(map(str, row["loc"])) or "body", []).append(str(row["msg"]))
        raise Problem("invalid", fields=fields) from error


def body_schema(kind: type[BaseModel]) -> dict[str, Any]:
    """`openapi_extra` of an operation that reads its body by `body_of`."""
    schema = kind.model_json_schema(mode="validation")
    definitions = schema.pop("$defs", {})
    return {
        "requestBody": {"required": True, "content": {"application/json": {"schema": _inlined(schema, definitions)}}}
    }


def _inlined(value: Any, definitions: Mapping[str, Any]) -> Any:
    """A JSON schema with its references replaced by what they refer to: a document knows them under other names."""
    if isinstance(value, dict):
        if "$ref" in value:
            return _inlined(definitions[value["$ref"].rpartition("/")[2]], definitions)
        return {name: _inlined(item, definitions) for name, item in value.items()}
    return [_inlined(item, definitions) for item in value] if isinstance(value, list) else value


def moment(field: str, text: str, now: datetime) -> datetime:
    """A moment out of a query value: ISO 8601 (UTC unless it says otherwise), `now`, or relative such as -6h. Raises the 422."""
    try:
        if text == "now":
            return now
        if relative := _RELATIVE.fullmatch(text):
            return now - int(relative[1]) * _UNITS[relative[2]]
        found = datetime.fromisoformat(text)
        found = found if found.tzinfo else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        raise invalid(**{field: f"{text!r} is neither ISO 8601 nor relative, such as -6h"}) from None
    if not 1970 < found.year < 2200:
        raise invalid(**{field: "lies outside 1971 to 2199"})
    return found


def sorted_rows(rows: Iterable[T], key: Callable[[T], Any], name: Callable[[T], Any], *, descending: bool) -> list[T]:
    """Rows by key, nulls last whatever the direction, ties by name."""
    by_name = sorted(rows, key=name)
    known = sorted((row for row in by_name if key(row) is not None), key=key, reverse=descending)
    return known + [row for row in by_name if key(row) is None]


class ContractParser(Parser):
    """Bodies by orjson, which refuses deep nesting; a query parameter without a value counts as not given."""

    def parse_body(self, request: HttpRequest) -> dict[str, Any]:
        try:
            body = orjson.loads(request.body)
        except orjson.JSONDecodeError as error:
            raise Problem("bad_request", f"The body is not JSON: {error}") from error
        if not isinstance(body, dict):
            raise Problem("bad_request", "The body is not a JSON object.")
        return body

    def parse_querydict(
        self, data: MultiValueDict[str, Any], list_fields: list[str], request: HttpRequest
    ) -> dict[str, Any]:
        found: dict[str, Any] = {}
        for name in data:
            values = [value for value in data.getlist(name) if value != ""]
            if any("\0" in value for value in values):
                raise invalid(**{name: "holds a character that no name can have"})
            if values:
                found[name] = values if name in list_fields else values[-1]
        return found


def _default(value: Any) -> Any:
    if isinstance(value, datetime):
        return iso(value)
    raise TypeError(f"{type(value).__name__} has no form in the contract")
