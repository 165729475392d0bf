"""Children that never outlive their parent: start them, wait for them, end them."""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def spawn(
    argv: Sequence[str | Path],
    *,
    log: Path | None = None,
    env: Mapping[str, str] | None = None,
    user: str | None = None,
    cwd: Path | None = None,
    orphan_signal: signal.Signals = signal.SIGKILL,
) -> subprocess.Popen[bytes]:
    """Start `argv` in a process group of its own, its output appended to `log` (dropped without one).

    The kernel sends `orphan_signal` when the calling thread ends, so call this from a thread that lives as long as the
    child should (Linux only; elsewhere a killed parent leaves it running).
    """
    parent = os.getpid()

    def die_with_parent() -> None:  # runs in the child after the change of user, which would clear the setting
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(orphan_signal), 0, 0, 0)
            if os.getppid() != parent:  # the parent ended before the line above took effect
                os._exit(1)

    with contextlib.ExitStack() as stack:
        output: int = subprocess.DEVNULL
        if log is not None:
            log.parent.mkdir(parents=True, exist_ok=True)
            output = stack.enter_context(log.open("ab")).fileno()
        return subprocess.Popen(  # noqa: S603 - argument lists only, made by this code base
            [str(word) for word in argv],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env=dict(env) if env is not None else None,
            cwd=cwd,
            user=user,
            group=user,
            extra_groups=[] if user else None,
            process_group=0,
            preexec_fn=die_with_parent,  # callers spawn before they start any thread
        )


def signal_group(process: subprocess.Popen[bytes], number: signal.Signals) -> None:
    """Send `number` to the child and whatever it started; nothing happens when all of them are gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, number)


def end_all(stops: Iterable[tuple[subprocess.Popen[bytes], signal.Signals]], *, grace_seconds: float) -> None:
    """Ask every child to stop with its own signal, and kill the groups of those still there after `grace_seconds`."""
    children = list(stops)
    for process, number in children:
        if process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, number)
    deadline = time.monotonic() + grace_seconds
    for process, _ in children:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(max(0.0, deadline - time.monotonic()))
    for process, _ in children:
        signal_group(process, signal.SIGKILL)  # also what a child that did stop may have left behind
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(2)


def wait_until(condition: Callable[[], bool], *, seconds: float, step_seconds: float = 0.02) -> bool:
    """Ask until `condition` holds; False when it did not within `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() >= deadline:
            return False
        time.sleep(step_seconds)
    return True
