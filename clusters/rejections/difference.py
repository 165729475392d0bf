"""How an offered schema differs from the accepted one, and which part of that breaks compatibility.

For Avro records and JSON Schema the sentences name the fields; for everything else the registry's own words stand, beside
the difference of the texts.
"""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

MOST_LINES = 400
_APICURIO_DIFFS = re.compile(r"list of diff types: \[(.*)\]\s*$", re.DOTALL)
_PREFIX = re.compile(r"^[\w.$]+(?:Exception|Error): ")
# A reader of the new schema must read old records (backward), a reader of the old one new records (forward).
_BACKWARD = ("BACKWARD", "FULL")
_FORWARD = ("FORWARD", "FULL")


@dataclass(frozen=True, slots=True)
class Line:
    """A line of a difference: `sign` is +, -, @ or a space."""

    sign: str
    text: str


@dataclass(frozen=True, slots=True)
class Difference:
    """`reasons` say what breaks compatibility, `fixes` what would mend it; both may be empty. `lines` is a unified difference."""

    reasons: tuple[str, ...]
    fixes: tuple[str, ...]
    lines: tuple[Line, ...]


def difference(accepted: str, offered: str, *, schema_type: str = "", compatibility: str = "") -> Difference:
    """What was offered against what is accepted. Texts that are no JSON are compared as they are."""
    old, new = _loads(accepted), _loads(offered)
    lines = _unified(_pretty(accepted, old), _pretty(offered, new))
    if not isinstance(old, dict) or not isinstance(new, dict):
        return Difference((), (), lines)
    if old.get("type") == "record" or new.get("type") == "record":
        reasons, fixes = _avro(old, new, compatibility.upper())
    elif schema_type.upper() == "JSON" or "properties" in old or "$schema" in old:
        reasons, fixes = _json_schema(old, new, compatibility.upper())
    else:
        reasons, fixes = [], []
    return Difference(tuple(reasons), tuple(fixes), lines)


def registry_words(message: str) -> str:
    """A registry's refusal as a sentence: without class names, its differences first."""
    text = _PREFIX.sub("", message.strip())
    found = _APICURIO_DIFFS.search(text)
    return f"Not compatible: {found[1]}." if found and found[1] else text


def _avro(old: Mapping[str, Any], new: Mapping[str, Any], mode: str) -> tuple[list[str], list[str]]:
    reasons: list[str] = []
    fixes: list[str] = []
    if _full_name(old) != _full_name(new):
        reasons.append(f"The record is named {_full_name(new)}; it was {_full_name(old)}.")
        fixes.append(f"Keep the name {_full_name(old)}.")
    before, after = _fields(old), _fields(new)
    for name in [name for name in after if name not in before]:
        if _covers(mode, _BACKWARD) and "default" not in after[name]:
            reasons.append(f"Field {name} is new and has no default: records written before cannot be read.")
            fixes.append(f"Give field {name} a default.")
    for name in [name for name in before if name not in after]:
        if _covers(mode, _FORWARD) and "default" not in before[name]:
            reasons.append(f"Field {name} is gone and had no default: old readers cannot read new records.")
            fixes.append(f"Keep field {name}.")
    for name in [name for name in before if name in after]:
        was, now = before[name].get("type"), after[name].get("type")
        if was == now:
            continue
        if (_covers(mode, _BACKWARD) and not _readable(was, now)) or (
            _covers(mode, _FORWARD) and not _readable(now, was)
        ):
            reasons.append(f"Field {name} changed its type from {_type_words(was)} to {_type_words(now)}.")
            fixes.append(f"Keep the type {_type_words(was)}, or add a field of another name.")
    return reasons, fixes


def _json_schema(old: Mapping[str, Any], new: Mapping[str, Any], mode: str) -> tuple[list[str], list[str]]:
    reasons: list[str] = []
    fixes: list[str] = []
    needed = [name for name in _words(new.get("required")) if name not in _words(old.get("required"))]
    for name in needed if _covers(mode, _BACKWARD) else []:
        reasons.append(f"Property {name} is required now: records written before may lack it.")
        fixes.append(f"Leave {name} optional.")
    dropped = [name for name in _words(old.get("required")) if name not in _words(new.get("required"))]
    for name in dropped if _covers(mode, _FORWARD) else []:
        reasons.append(f"Property {name} is no longer required: old readers rely on it.")
        fixes.append(f"Keep {name} required.")
    before, after = _mapping(old.get("properties")), _mapping(new.get("properties"))
    for name in [name for name in before if name in after]:
        was, now = _mapping(before[name]).get("type"), _mapping(after[name]).get("type")
        if was != now:
            reasons.append(f"Property {name} changed its type from {_type_words(was)} to {_type_words(now)}.")
            fixes.append(f"Keep the type {_type_words(was)}, or add a property of another name.")
    return reasons, fixes


def _readable(written: Any, reader: Any) -> bool:
    """Whether a reader's Avro type reads what was written with another, as far as primitives and unions go."""
    if isinstance(written, list):
        return all(_readable(one, reader) for one in written)
    if isinstance(reader, list):
        return any(_readable(written, one) for one in reader)
    if isinstance(written, str) and isinstance(reader, str):
        return written == reader or reader in _PROMOTED.get(written, ())
    return bool(written == reader)


_PROMOTED = {
    "int": ("long", "float", "double"), "long": ("float", "double"), "float": ("double",), "string": ("bytes",),
    "bytes": ("string",),
}  # fmt: skip


def _covers(mode: str, wanted: tuple[str, ...]) -> bool:
    """Whether a compatibility mode asks for this direction; an unknown mode asks for both."""
    return not mode or mode.removesuffix("_TRANSITIVE") in wanted


def _fields(record: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    found = record.get("fields")
    fields = found if isinstance(found, list) else []
    return {one["name"]: one for one in fields if isinstance(one, dict) and isinstance(one.get("name"), str)}


def _full_name(record: Mapping[str, Any]) -> str:
    name, space = str(record.get("name", "")), record.get("namespace")
    return f"{space}.{name}" if space and "." not in name else name


def _type_words(kind: Any) -> str:
    if isinstance(kind, str):
        return kind
    if isinstance(kind, list):
        return " or ".join(_type_words(one) for one in kind)
    return str(_mapping(kind).get("type", "unknown")) if kind is not None else "any"


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}


def _words(value: Any) -> list[str]:
    return [word for word in value if isinstance(word, str)] if isinstance(value, list) else []


def _loads(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _pretty(text: str, parsed: Any) -> list[str]:
    return (json.dumps(parsed, indent=2, ensure_ascii=False) if parsed is not None else text).splitlines()


def _unified(old: list[str], new: list[str]) -> tuple[Line, ...]:
    lines = list(difflib.unified_diff(old, new, lineterm="", n=3))[2:]
    found = [Line(line[:1], line if line.startswith("@@") else line[1:]) for line in lines]
    if len(found) > MOST_LINES:
        left = len(found) - MOST_LINES
        return (*found[:MOST_LINES], Line("@", f"@@ {left} more lines differ @@"))
    return tuple(found)
