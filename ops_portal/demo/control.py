"""The person's end of the demo's command socket."""

import contextlib
import socket
from pathlib import Path
from typing import Any

import orjson

from ops_portal.lib.embedded import runtime_directory


class DemoNotRunning(Exception):
    """Nobody answers on the demo's socket; the text says what to do."""


class CommandRefused(Exception):
    """The demo answered and declined; the text says why."""


def socket_path(var: Path) -> Path:
    """The command socket of the demo on this data directory."""
    return runtime_directory(var) / "demo.sock"


def ask(var: Path, do: str, *, seconds: float = 10, **more: Any) -> str:
    """Send one command to the running demo and return its answer. Raises DemoNotRunning and CommandRefused."""
    try:
        with socket.socket(socket.AF_UNIX) as link:
            link.settimeout(seconds)
            link.connect(str(socket_path(var)))
            link.sendall(orjson.dumps({"do": do, **more}) + b"\n")
            answer = orjson.loads(link.makefile("rb").readline())
    except (OSError, ValueError) as error:
        raise DemoNotRunning(
            f"No demo answers on {var}: start it with `make demo`, or name its directory with PORTAL_VAR."
        ) from error
    if not answer["ok"]:
        raise CommandRefused(answer["text"])
    return str(answer["text"])


def everyone_begun(var: Path) -> bool:
    """True when every producer and group member takes part."""
    with contextlib.suppress(DemoNotRunning, CommandRefused):
        return ask(var, "begun", seconds=2) == ""
    return False
