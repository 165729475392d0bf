"""Log files of child processes: numbered at each start, cut when they grow too long, read for their last words."""

import contextlib
import os
import shutil
from pathlib import Path

KEPT = 5
LIMIT_BYTES = 20 * 1024 * 1024
_TAIL_BYTES = 8192


def rotate(log: Path, *, kept: int = KEPT) -> None:
    """Number the old logs: `x.log` becomes `x.log.1` and so on; the oldest goes. An empty log stays."""
    if not log.exists() or log.stat().st_size == 0:
        return
    for number in range(kept - 1, 0, -1):
        older = _numbered(log, number)
        if older.exists():
            older.replace(_numbered(log, number + 1))
    log.replace(_numbered(log, 1))


def cut_when_long(log: Path, *, limit_bytes: int = LIMIT_BYTES) -> None:
    """Move what a running child has written to `x.log.1`. It appends, so cutting the file under it is safe."""
    with contextlib.suppress(OSError):
        if log.stat().st_size > limit_bytes:
            shutil.copyfile(log, _numbered(log, 1))
            os.truncate(log, 0)


def last_line(log: Path) -> str:
    """The last line that is not empty."""
    try:
        with log.open("rb") as lines:
            lines.seek(max(0, log.stat().st_size - _TAIL_BYTES))
            return last_line_of(lines.read().decode("utf-8", "replace"))
    except OSError:
        return last_line_of("")


def last_line_of(text: str) -> str:
    """The last line of a text that is not empty."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "it printed nothing"


def _numbered(log: Path, number: int) -> Path:
    return log.with_name(f"{log.name}.{number}")
