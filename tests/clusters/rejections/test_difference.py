"""What breaks compatibility is named by its field; what nobody can explain is shown as it is."""

import json
from typing import Any

import pytest

from clusters.rejections.difference import MOST_LINES, difference, registry_words


def record(*fields: Any, name: str = "Trade") -> str:
    return json.dumps({"type": "record", "name": name, "fields": list(fields)})


def field(name: str, kind: Any = "string", **more: Any) -> dict[str, Any]:
    return {"name": name, "type": kind, **more}


@pytest.mark.parametrize(
    ("mode", "old", "new", "reasons"),
    [
        ("BACKWARD", record(field("a")), record(field("a"), field("b")), ["Field b is new and has no default"]),
        ("BACKWARD", record(field("a")), record(field("a"), field("b", default="")), []),
        ("BACKWARD", record(field("a"), field("b")), record(field("a")), []),
        ("FORWARD", record(field("a"), field("b")), record(field("a")), ["Field b is gone and had no default"]),
        ("FORWARD", record(field("a")), record(field("a"), field("b")), []),
        ("FULL_TRANSITIVE", record(field("a")), record(field("b")), ["Field b is new", "Field a is gone"]),
        ("BACKWARD", record(field("a", "int")), record(field("a", "long")), []),
        ("FORWARD", record(field("a", "int")), record(field("a", "long")), ["Field a changed its type from int to long"]),
        ("BACKWARD", record(field("a")), record(field("a", ["null", "string"])), []),
        ("BACKWARD", record(field("a", ["null", "string"])), record(field("a")), ["from null or string to string"]),
        ("BACKWARD", record(field("a")), record(field("a"), name="Deal"), ["The record is named Deal; it was Trade"]),
        ("NONE", record(field("a")), record(field("b", "int")), []),
    ],
)  # fmt: skip
def test_avro_fields_that_break_are_named(mode: str, old: str, new: str, reasons: list[str]) -> None:
    found = difference(old, new, schema_type="AVRO", compatibility=mode)
    assert len(found.reasons) == len(found.fixes) == len(reasons)
    assert all(part in said for part, said in zip(reasons, found.reasons, strict=True))


def test_json_schema_properties_that_break_are_named() -> None:
    old = json.dumps({"type": "object", "properties": {"a": {"type": "string"}}, "required": []})
    new = json.dumps({"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["b"]})
    found = difference(old, new, schema_type="JSON", compatibility="BACKWARD")
    assert [said.split(":")[0] for said in found.reasons] == [
        "Property b is required now",
        "Property a changed its type from string to integer.",
    ]


def test_what_is_no_json_is_compared_as_text() -> None:
    found = difference("syntax = 'proto3';\nmessage A {}", "syntax = 'proto3';\nmessage B {}", schema_type="PROTOBUF")
    assert found.reasons == ()
    assert [(line.sign, line.text) for line in found.lines[2:]] == [("-", "message A {}"), ("+", "message B {}")]


def test_layout_makes_no_difference() -> None:
    assert difference('{"type":"string"}', '{\n "type": "string"\n}').lines == ()


@pytest.mark.parametrize(
    "text", ["", "null", "[]", "1", '{"fields": 3, "type": "record"}', '{"type": "record", "fields": [1]}', "[" * 9000]
)
def test_no_text_breaks_it(text: str) -> None:
    assert difference(text, record(field("a"))).lines
    assert difference(record(field("a")), text, schema_type="JSON").lines


def test_a_great_difference_is_cut_and_says_so() -> None:
    many = record(*(field(f"f{number}") for number in range(1000)))
    lines = difference(record(), many).lines
    assert len(lines) == MOST_LINES + 1
    assert "more lines differ" in lines[-1].text


def test_a_registry_s_words_are_put_plainly() -> None:
    text = (
        "io.apicurio.registry.rules.violation.RuleViolationException: Incompatible artifact: orders-value [AVRO], num of "
        "incompatible diffs: {1}, list of diff types: [cur at /fields/1]"
    )
    assert registry_words(text) == "Not compatible: cur at /fields/1."
    assert registry_words("Schema being registered is incompatible") == "Schema being registered is incompatible"
