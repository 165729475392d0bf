"""The API's reference page, rendered from the OpenAPI document on the server: no script, nothing from elsewhere."""

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe

from accounts.guards import requires
from accounts.roles import Right
from ops_portal.api import openapi_document
from ops_portal.lib import problems


@dataclass(frozen=True, slots=True)
class Parameter:
    name: str
    place: str
    type: str
    required: bool
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one address, ready for the page."""

    anchor: str
    method: str
    path: str
    summary: str
    text: str
    parameters: list[Parameter]
    answer: str  # name of the schema, or a content type


@require_safe
@requires(Right.USE_API)
def reference(request: HttpRequest) -> HttpResponse:
    """Every operation with its parameters and answer, every object with its fields."""
    document = openapi_document()
    sections: dict[str, list[Operation]] = {}
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            sections.setdefault((found.get("tags") or ["other"])[0], []).append(_operation(path, method, found))
    schemas = {name: _fields(schema) for name, schema in sorted(document["components"]["schemas"].items())}
    codes = [(status, code, problems.DEFAULT_MESSAGES[code]) for code, status in problems.STATUS_OF.items()]
    context = {"document": document["info"], "sections": sections, "schemas": schemas, "codes": codes}
    return render(request, "api_docs.html", context)


def _operation(path: str, method: str, found: dict[str, Any]) -> Operation:
    parameters = [
        Parameter(
            item["name"],
            item["in"],
            _type(item["schema"]),
            item.get("required", False),
            item["schema"].get("description", ""),
        )
        for item in found.get("parameters", [])
    ]
    answers: dict[str, dict[str, Any]] = found["responses"]
    well = next((answer for status, answer in answers.items() if status.startswith("2")), {})
    content = well.get("content", {})
    answer = next((_type(body.get("schema", {})) or kind for kind, body in content.items()), "")
    return Operation(
        found["operationId"], method.upper(), path, found["summary"], found.get("description", ""), parameters, answer
    )


def _fields(schema: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(field, type, meaning) of an object."""
    properties = schema.get("properties", {})
    return [(name, _type(found), found.get("description", "")) for name, found in properties.items()]


def _type(schema: dict[str, Any]) -> str:
    """A type as one reads it: `integer or null`, `list of GroupBody`."""
    if "$ref" in schema:
        return str(schema["$ref"]).rsplit("/", 1)[-1]
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "enum" in schema:
        return " | ".join(str(value) for value in schema["enum"])
    if schema.get("type") == "array":
        items = schema.get("items") or {}
        return f"list of {_type(items) or 'values'}"
    if schema.get("format") == "date-time":
        return "time"
    return str(schema.get("type", "any value" if "title" in schema else ""))
