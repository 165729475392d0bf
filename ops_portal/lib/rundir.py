"""What a supervisor and other processes tell each other through files in `<var>/supervisor`."""

import contextlib
from pathlib import Path


def hold(var: Path, name: str) -> None:
    """Ask the supervisor of `var` to kill the child and keep it down until `release` (a broker that is to be lost)."""
    path = hold_path(var, name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.touch()


def release(var: Path, name: str) -> None:
    """Let the supervisor of `var` start the child again."""
    hold_path(var, name).unlink(missing_ok=True)


def child_pid(var: Path, name: str) -> int | None:
    """Process id of a child that the supervisor of `var` runs now; None when it is down."""
    with contextlib.suppress(OSError, ValueError):
        return int(pid_path(var, name).read_text())
    return None


def note_address(var: Path, address: str) -> None:
    """Keep where the portal of `var` is served: a command in another terminal may have other settings."""
    (var / "supervisor" / "address").write_text(address, encoding="utf-8")


def address(var: Path) -> str | None:
    """Where the portal of `var` is served, or was served last, without a slash at the end; None when nobody noted it."""
    with contextlib.suppress(OSError):
        return (var / "supervisor" / "address").read_text(encoding="utf-8")
    return None


def hold_path(var: Path, name: str) -> Path:
    return var / "supervisor" / f"{name}.hold"


def pid_path(var: Path, name: str) -> Path:
    return var / "supervisor" / f"{name}.pid"
