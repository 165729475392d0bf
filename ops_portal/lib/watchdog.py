"""Ends a process that no longer does its work; whoever started it (supervisor, systemd) starts it again.

Time limits do nothing in a pool of threads, and a thread that hangs in a client library cannot be interrupted. So work that
must end runs inside `watchdog.limit(seconds, "what")`, and a process whose work passes its limit leaves by itself.
"""

import contextlib
import faulthandler
import itertools
import logging
import os
import threading
import time
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)

EXIT_CODE = 70  # as in sysexits.h: a fault inside the program


def leave(reason: str) -> None:
    """Log the reason and every thread's stack, then end this process at once, without waiting for any thread."""
    logger.critical("process.ended_by_watchdog %s", reason)
    with contextlib.suppress(Exception):
        faulthandler.dump_traceback()
        logging.shutdown()
    os._exit(EXIT_CODE)


class Watchdog:
    """Watches limits from a thread of its own. `end` is called with a sentence, once, when the first limit is passed."""

    def __init__(self, *, end: Callable[[str], None] = leave, step_seconds: float = 1.0) -> None:
        self._end = end
        self._step_seconds = step_seconds
        self._limits: dict[int, tuple[float, float, str]] = {}
        self._numbers = itertools.count()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None

    @contextlib.contextmanager
    def limit(self, seconds: float, what: str) -> Iterator[None]:
        """The block must end within `seconds`."""
        number = next(self._numbers)
        with self._lock:
            self._limits[number] = (time.monotonic() + seconds, seconds, what)
            if self._thread is None or not self._thread.is_alive():  # also after a fork, where threads are gone
                self._thread = threading.Thread(target=self._watch, name="watchdog", daemon=True)
                self._thread.start()
        try:
            yield
        finally:
            with self._lock:
                self._limits.pop(number, None)

    def _watch(self) -> None:
        while True:
            time.sleep(self._step_seconds)
            with self._lock:
                now = time.monotonic()
                passed = [(seconds, what) for due, seconds, what in self._limits.values() if due < now]
            if passed:
                seconds, what = passed[0]
                self._end(f"{what} did not end within {seconds:g} s")
                return


class Deafness:
    """Notices a worker that is alive and idle while messages wait for it: it lost its broker without knowing.

    `observe` is called every few seconds and answers whether that has lasted for `seconds`.
    """

    def __init__(self, *, seconds: float = 60.0) -> None:
        self._seconds = seconds
        self._since: float | None = None

    def observe(self, *, now: float, waiting: int, busy: bool) -> bool:
        """`waiting`: messages in the worker's queues; `busy`: it holds or has received a message since the last call."""
        if busy or waiting == 0:
            self._since = None
            return False
        if self._since is None:
            self._since = now
        return now - self._since >= self._seconds


watchdog = Watchdog()
