"""Frames of the live protocol, version 1: what comes in is checked here, what goes out is spelled here. Pure.

One JSON text frame holds one message (an object with `type`) or an array of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson

PROTO: Final = 1
HZ: Final = 1  # frames a second of a visible view; 4 for the focused one, one in ten seconds when hidden

MOST_VIEWS = 64
MOST_FRAME_BYTES = 16 * 1024
MESSAGES_PER_SECOND = 10.0
MESSAGE_BURST = 20.0
MOST_SOCKETS_PER_USER = 64
MOST_BAD_FRAMES = 5
LIMITS = {
    "views": MOST_VIEWS,
    "frame_bytes": MOST_FRAME_BYTES,
    "messages_per_second": MESSAGES_PER_SECOND,
    "burst": MESSAGE_BURST,
    "sockets": MOST_SOCKETS_PER_USER,
}

# Close codes: 4000-4399 the browser connects again, 4400-4499 it does not.
DRAIN = 4000
SLOW = 4008
BAD_PROTOCOL = 4400
SESSION_OVER = 4401
FORBIDDEN = 4403
TOO_MUCH = 4429

_LONGEST_ID = 64
_LONGEST_NAME = 100


class BadFrame(Exception):
    """A frame that does not follow the protocol; `code` is for programs, the text for people, `v` the view it was about."""

    def __init__(self, code: str, message: str, v: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.v = v


@dataclass(frozen=True, slots=True)
class Hello:
    proto: int
    tz: str


@dataclass(frozen=True, slots=True)
class Sub:
    id: str
    view: str
    params: dict[str, Any]
    epoch: str | None
    seq: int | None


@dataclass(frozen=True, slots=True)
class Unsub:
    id: str


@dataclass(frozen=True, slots=True)
class Vis:
    hidden: bool
    focus: str | None


@dataclass(frozen=True, slots=True)
class Ping:
    t: float


Message = Hello | Sub | Unsub | Vis | Ping


def parse(text: str) -> list[Message]:
    """The messages of an inbound text frame. Raises BadFrame."""
    try:
        data = orjson.loads(text)
    except ValueError as error:  # orjson's own error is one; its text quotes no content
        raise BadFrame("not_json", "The frame is not valid JSON.") from error
    items = data if isinstance(data, list) else [data]
    if not items:
        raise BadFrame("bad_frame", "The frame holds no message.")
    return [_message(item) for item in items]


def _message(item: Any) -> Message:
    if not isinstance(item, dict):
        raise BadFrame("bad_frame", "A message must be an object with a type.")
    match item.get("type"):
        case "hello":
            return Hello(_integer(item, "proto"), _text(item, "tz", _LONGEST_NAME, default=""))
        case "sub":
            return _sub(item)
        case "unsub":
            return Unsub(_text(item, "id", _LONGEST_ID))
        case "vis":
            hidden, focus = item.get("hidden"), item.get("focus")
            if not isinstance(hidden, bool):
                raise BadFrame("bad_frame", "vis.hidden must be true or false.")
            return Vis(hidden, None if focus is None else _text(item, "focus", _LONGEST_ID))
        case "ping":
            t = item.get("t")
            if isinstance(t, bool) or not isinstance(t, int | float):
                raise BadFrame("bad_frame", "ping.t must be a number.")
            return Ping(t)
    raise BadFrame("unknown_type", "The type must be hello, sub, unsub, vis or ping.")


def _sub(item: dict[str, Any]) -> Sub:
    v = _text(item, "id", _LONGEST_ID)
    params, epoch, seq = item.get("params", {}), item.get("epoch"), item.get("seq")
    if not isinstance(params, dict):
        raise BadFrame("bad_frame", "sub.params must be an object.", v)
    if epoch is not None and not isinstance(epoch, str):
        raise BadFrame("bad_frame", "sub.epoch must be text.", v)
    if seq is not None and (isinstance(seq, bool) or not isinstance(seq, int)):
        raise BadFrame("bad_frame", "sub.seq must be a whole number.", v)
    return Sub(v, _text(item, "view", _LONGEST_NAME), params, epoch, seq)


def _text(item: dict[str, Any], name: str, longest: int, default: str | None = None) -> str:
    value = item.get(name, default)
    if not isinstance(value, str) or len(value) > longest or (not value and default is None):
        raise BadFrame(
            "bad_frame",
            f"{item['type']}.{name} must be text of 1 to {longest} characters.",
        )
    return value


def _integer(item: dict[str, Any], name: str) -> int:
    value = item.get(name)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadFrame("bad_frame", f"{item['type']}.{name} must be a whole number.")
    return value


def encode(kind: str, **fields: Any) -> str:
    """An outbound message."""
    return orjson.dumps({"type": kind, **fields}).decode()


def error(code: str, message: str, v: str | None = None) -> str:
    """What was wrong with a frame, or with the view `v`."""
    return encode("error", v=v, code=code, message=message)


def delta_body(
    seq: int,
    previous: int,
    ts: float | None,
    rows: Sequence[Any],
    deleted: Sequence[str],
) -> str:
    """A delta without its head, so that all sockets share it."""
    return orjson.dumps({"s": seq, "ps": previous, "ts": ts, "rows": rows, "del": deleted}).decode()[1:]


def snapshot_body(
    epoch: str,
    seq: int,
    ts: float | None,
    key: str,
    columns: Sequence[str],
    time: str | None,
    rows: Iterable[Sequence[Any]],
) -> str:
    """A snapshot without its head. Rows are `[key, values...]`."""
    schema = {"key": key, "columns": columns, "time": time}
    return orjson.dumps({"e": epoch, "s": seq, "ts": ts, "schema": schema, "rows": list(rows)}).decode()[1:]


def head(kind: str, v: str) -> str:
    """What stands before a shared body: the socket's own name for the view."""
    return f'{{"type":"{kind}","v":{orjson.dumps(v).decode()},'


def join(messages: Sequence[str]) -> str:
    """One frame of several messages."""
    return messages[0] if len(messages) == 1 else f"[{','.join(messages)}]"
