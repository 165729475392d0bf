"""Slows a broker of the demo down: its process runs a fifth of the time or not at all, or its replica fetchers alone stop.

Each job runs in a process of its own until SIGTERM, and what it held runs freely afterwards, even when it is killed.
"""

import contextlib
import ctypes
import os
import signal
import time
from pathlib import Path

from ops_portal.demo.guests import Steered, rest

STOPPED_SECONDS, RUNNING_SECONDS = 0.8, 0.2  # far from the session timeout of a broker, which is 6 s
_FETCHERS = "ReplicaFetcher"  # how the names of Kafka's threads begin that copy from leaders
_LOOK_SECONDS = 0.2

# ptrace(2) stops one thread of a process; signals stop all of them.
_SEIZE, _INTERRUPT, _DETACH, _ANY_THREAD = 0x4206, 0x4207, 17, 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def hamper(pid: int, steering: Steered, *, frozen: bool) -> None:
    """Stop the process by turns, or for good when `frozen`. Ends with the process."""
    steering.begun()
    try:
        while steering.running():
            os.kill(pid, signal.SIGSTOP)
            time.sleep(STOPPED_SECONDS)
            if not frozen:
                os.kill(pid, signal.SIGCONT)
                time.sleep(RUNNING_SECONDS)
    except ProcessLookupError:
        return
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def hold_replication(pid: int, steering: Steered) -> None:
    """Stop the broker's replica fetchers: it copies nothing, serves what it leads, and stays alive.

    A thread is stopped only while it waits for the network, where the virtual machine does not wait for it.
    """
    held: set[int] = set()
    steering.begun()
    try:
        while steering.running():
            held |= {thread for thread in _fetchers(pid) - held if _stop(pid, thread)}
            rest(_LOOK_SECONDS, steering)
    except FileNotFoundError:  # the broker has ended
        return
    finally:
        for thread in held:
            _ptrace(_DETACH, thread)


def may_hold() -> bool:
    """Whether this system lets one process stop a thread of another (ptrace, Linux)."""
    if not Path("/proc/self/wchan").exists():
        return False
    child = os.fork()
    if child == 0:
        time.sleep(10)
        os._exit(0)
    try:
        return _ptrace(_SEIZE, child)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, _ANY_THREAD)


def _fetchers(pid: int) -> set[int]:
    threads = Path(f"/proc/{pid}/task").iterdir()
    return {int(path.name) for path in threads if _read(path / "comm").startswith(_FETCHERS)}


def _stop(pid: int, thread: int) -> bool:
    """False when the thread was at work; it goes on, and the next look may find it waiting."""
    place = Path(f"/proc/{pid}/task/{thread}")
    call = _call(place)
    if "epoll" not in _read(place / "wchan") or not _ptrace(_SEIZE, thread):
        return False
    _ptrace(_INTERRUPT, thread)
    os.waitpid(thread, _ANY_THREAD)
    if call == _call(place):
        return True
    _ptrace(_DETACH, thread)
    return False


def _call(place: Path) -> str:
    """Number of the system call in which a thread waits."""
    return _read(place / "syscall").partition(" ")[0]


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="ascii", errors="replace")
    except OSError:  # a thread that has just ended
        return ""


def _ptrace(request: int, thread: int) -> bool:
    _libc.ptrace.restype = ctypes.c_long
    return bool(_libc.ptrace(ctypes.c_long(request), ctypes.c_long(thread), ctypes.c_void_p(), ctypes.c_void_p()) == 0)
