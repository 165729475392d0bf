"""Log lines out of whatever a log shipper posts: text, JSON lines, a JSON array or an object with `lines`."""

from typing import Any

import orjson

MOST_LINES = 50_000
_FIELDS = ("message", "log", "line", "msg")  # where shippers put the text of a line


class BodyRefused(Exception):
    """The body holds no lines; the text says why."""


def lines_of(body: bytes, content_type: str) -> list[str]:
    """The lines of a posted body. Raises BodyRefused."""
    kind = content_type.partition(";")[0].strip().lower()
    if kind == "application/json":
        lines = _json_lines(body)
    elif kind in {"application/x-ndjson", "application/jsonl", "application/stream+json"}:
        lines = [_line(_loads(line)) for line in body.splitlines() if line.strip()]
    else:
        lines = [text for raw in body.split(b"\n") if (text := decoded(raw.rstrip(b"\r")))]
    if len(lines) > MOST_LINES:
        raise BodyRefused(f"A batch has at most {MOST_LINES:,} lines.")
    return lines


def decoded(raw: bytes) -> str:
    """A line as text: UTF-8, else Latin-1, in which every byte is some character. What UTF-16 leaves is dropped."""
    if b"\0" in raw:
        raw = raw.replace(b"\0", b"")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")


def _json_lines(body: bytes) -> list[str]:
    found = _loads(body)
    if isinstance(found, dict) and isinstance(found.get("lines"), list):
        found = found["lines"]
    if not isinstance(found, list):
        raise BodyRefused('The body is neither a JSON array nor an object with "lines".')
    return [_line(item) for item in found]


def _line(item: Any) -> str:
    if isinstance(item, str):
        return item.replace("\0", "")
    if isinstance(item, dict):
        text = next((item[name] for name in _FIELDS if isinstance(item.get(name), str)), None)
        if text is not None:
            return str(text).replace("\0", "")
    raise BodyRefused(f"A line is neither a text nor an object with one of {', '.join(_FIELDS)}.")


def _loads(raw: bytes) -> Any:
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise BodyRefused(f"The body is not JSON: {error}") from error
