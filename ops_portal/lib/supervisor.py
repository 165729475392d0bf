"""Runs a set of processes as one: starts them in order, restarts what ends, and leaves nothing behind.

`manage.py run`, `manage.py services` and `manage.py demo` are built on it:

    with Supervisor(var) as supervisor:
        supervisor.start([Child("postgres", argv, tier=SERVICE, ready=answers)])
        supervisor.step("Tables are up to date", [sys.executable, "manage.py", "migrate"])
        supervisor.start([Child("web", argv)])
        supervisor.supervise()

Every child has a process group and a log file of its own (`<var>/log/<name>.log`) and dies with the supervisor, even when
that is killed. Leaving the block stops everything: the portal's processes first, then the services below them.
"""

import contextlib
import errno
import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import IO, Self

from ops_portal.lib import logfiles, processes, rundir

SERVICE = 0  # what others stand on: stopped last
PORTAL = 1
LEAST_FREE_BYTES = 500 * 1024 * 1024
REFUSED = 2  # exit code when the start is refused or fails with one clear sentence

_GRACE_SECONDS = {PORTAL: 5.0, SERVICE: 3.0}  # before SIGKILL; together under the 10 s that a whole stop may take
_FIRST_DELAY_SECONDS, _LONGEST_DELAY_SECONDS, _STEADY_SECONDS = 0.5, 30.0, 30.0
_HOUSEKEEPING_SECONDS = 10.0
_STEP_SECONDS = 0.05


class StartRefused(Exception):
    """The set cannot be started; the text is the one sentence a person needs."""


class StopRequested(Exception):
    """Ctrl-C, SIGTERM or SIGHUP arrived while something was being started."""


@dataclass(frozen=True, slots=True)
class Child:
    """One process to keep running.

    `ready` is asked until it is true (at most `ready_seconds`); without it the child counts as ready when it runs.
    `ready_text` is the progress line. The kernel sends `orphan_signal` when the supervisor is killed.
    """

    name: str
    argv: Sequence[str | Path]
    env: Mapping[str, str] = field(default_factory=dict)
    user: str | None = None
    cwd: Path | None = None
    tier: int = PORTAL
    ready: Callable[[], bool] | None = None
    ready_seconds: float = 60.0
    ready_text: str = ""
    stop_signal: signal.Signals = signal.SIGTERM
    orphan_signal: signal.Signals = signal.SIGKILL


@dataclass(slots=True)
class _Kept:
    child: Child
    process: subprocess.Popen[bytes] | None = None
    started: float = 0.0
    failures: int = 0
    restart_at: float = 0.0
    held: bool = False


@dataclass(slots=True)
class Step:
    """A command begun with `Supervisor.begin`."""

    argv: Sequence[str | Path]
    process: subprocess.Popen[bytes]
    log: Path
    deadline: float


class Supervisor:
    """Owner of a set of children on one data directory; only one at a time per directory."""

    def __init__(self, var: Path, *, say: Callable[[str], None] | None = None) -> None:
        self.var = var
        self.log_directory = var / "log"
        self._say = say or (lambda text: print(text, flush=True))  # noqa: T201 - progress for the person at the terminal
        self._began = time.monotonic()
        self._kept: dict[str, _Kept] = {}
        self._steps: list[Step] = []
        self._lock: IO[str] | None = None
        self._stop_asked = False
        self._handlers: dict[int, object] = {}
        self._next_housekeeping = 0.0
        self._disk_warned = False

    def __enter__(self) -> Self:
        try:
            self._take_directory()
        except OSError as error:
            raise StartRefused(f"{self.var} cannot be used: {_plain(error)}.") from error
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if number != signal.SIGHUP or signal.getsignal(number) is not signal.SIG_IGN:  # nohup ignores it on purpose
                self._handlers[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> bool:
        self.stop()
        for number, handler in self._handlers.items():
            signal.signal(number, handler)  # type: ignore[arg-type]
        if self._lock is not None:
            self._lock.close()
        return isinstance(error, StopRequested)  # a stop that was asked for is no failure

    # --- For those who start things ------------------------------------------------------------------
    def say(self, text: str) -> None:
        """A progress line with the time since the start."""
        self._say(f"{time.monotonic() - self._began:6.1f} s  {text}")

    def start(self, children: Sequence[Child]) -> None:
        """Start all, then wait until each is ready.

        Raises `StartRefused` with the child's last log line when one ends or does not get ready, `StopRequested` on Ctrl-C.
        """
        kept = [self._kept.setdefault(child.name, _Kept(child)) for child in children]
        for one in kept:
            rundir.hold_path(self.var, one.child.name).unlink(missing_ok=True)
            logfiles.rotate(self._log_of(one.child))
            self._spawn(one)
        waiting = list(kept)
        while waiting:
            self.check_stop()
            for one in list(waiting):
                if self._is_ready(one):
                    waiting.remove(one)
                    if one.child.ready_text:
                        self.say(one.child.ready_text)
            time.sleep(_STEP_SECONDS if waiting else 0)

    def begin(
        self,
        name: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        seconds: float = 300.0,
    ) -> "Step":
        """Start a command that will end by itself; `finish` waits for it. Its output goes to `<name>.log`."""
        log = self.log_directory / f"{name}.log"
        logfiles.rotate(log)
        try:
            process = processes.spawn(argv, log=log, env=self._environment(env or {}), cwd=cwd)
        except OSError as error:
            raise StartRefused(f"`{_shown(argv)}` cannot be started: {_plain(error)}.") from error
        step = Step(argv, process, log, time.monotonic() + seconds)
        self._steps.append(step)
        return step

    def finish(self, step: "Step", text: str = "") -> str:
        """Wait for the command to end, say `text` (if any), return what it printed.

        Raises `StartRefused` with its last line when it failed or its time is over, `StopRequested` on Ctrl-C.
        """
        while step.process.poll() is None:
            self.check_stop()
            if time.monotonic() > step.deadline:
                raise StartRefused(f"`{_shown(step.argv)}` did not end in time; see {step.log}.")
            self._tend()  # what runs already must stay up meanwhile
            time.sleep(_STEP_SECONDS)
        self._steps.remove(step)
        output = step.log.read_text(encoding="utf-8", errors="replace")
        if step.process.returncode != 0:
            raise StartRefused(
                f"`{_shown(step.argv)}` failed: {logfiles.last_line_of(output)} (all of it in {step.log})."
            )
        if text:
            self.say(text)
        return output

    def step(
        self,
        text: str,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        seconds: float = 300.0,
        name: str = "setup",
    ) -> str:
        """`begin` and `finish` in one."""
        return self.finish(self.begin(name, argv, env=env, cwd=cwd, seconds=seconds), text)

    def check_stop(self) -> None:
        """Raise `StopRequested` when a signal asked to stop; call it in every loop that waits for something."""
        if self._stop_asked:
            self.say("Stopping.")
            raise StopRequested

    def supervise(self) -> None:
        """Keep everything running until a signal asks to stop."""
        while not self._stop_asked:
            self._tend()
            time.sleep(_STEP_SECONDS * 2)
        self.say("Stopping.")

    def stop(self) -> None:
        """End every child, the portal's first; within 10 s all are gone, if need be by SIGKILL. Safe to call again."""
        self._stop_asked = True
        processes.end_all([(step.process, signal.SIGTERM) for step in self._steps], grace_seconds=1)
        self._steps.clear()
        for tier, grace in sorted(_GRACE_SECONDS.items(), reverse=True):
            stops = [
                (one.process, one.child.stop_signal)
                for one in reversed(self._kept.values())
                if one.process is not None and one.child.tier == tier
            ]
            processes.end_all(stops, grace_seconds=grace)
        for one in self._kept.values():
            rundir.pid_path(self.var, one.child.name).unlink(missing_ok=True)
        self._kept.clear()

    # --- Inside --------------------------------------------------------------------------------------
    def _take_directory(self) -> None:
        self.log_directory.mkdir(parents=True, exist_ok=True)
        (self.var / "supervisor").mkdir(exist_ok=True)
        free = shutil.disk_usage(self.var).free
        if free < LEAST_FREE_BYTES:
            raise StartRefused(
                f"Only {free // 2**20} MB are free at {self.var}; the portal needs {LEAST_FREE_BYTES // 2**20} MB."
            )
        lock = (self.var / "supervisor" / "lock").open("a+", encoding="ascii")
        if not processes.wait_until(lambda: _locked(lock), seconds=1):
            with lock:
                lock.seek(0)
                owner = lock.read().strip() or "?"
            raise StartRefused(
                f"A portal already runs on {self.var} (process {owner}); "
                "stop it first, or choose another directory with PORTAL_VAR."
            )
        lock.truncate(0)
        lock.write(str(os.getpid()))
        lock.flush()
        self._lock = lock

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._stop_asked:  # asked twice: no more patience
            for one in self._kept.values():
                if one.process is not None:
                    processes.signal_group(one.process, signal.SIGKILL)
        self._stop_asked = True

    def _log_of(self, child: Child) -> Path:
        return self.log_directory / f"{child.name}.log"

    def _environment(self, extra: Mapping[str, str]) -> dict[str, str]:
        return {**os.environ, "PYTHONUNBUFFERED": "1", **extra}

    def _spawn(self, one: _Kept) -> None:
        child = one.child
        try:
            one.process = processes.spawn(
                child.argv,
                log=self._log_of(child),
                env=self._environment(child.env),
                user=child.user,
                cwd=child.cwd,
                orphan_signal=child.orphan_signal,
            )
        except (OSError, subprocess.SubprocessError) as error:
            raise StartRefused(f"{child.name} cannot be started: {_plain(error)}.") from error
        one.started = time.monotonic()
        with contextlib.suppress(OSError):  # on a full disk the child is worth more than its file
            rundir.pid_path(self.var, child.name).write_text(str(one.process.pid))

    def _is_ready(self, one: _Kept) -> bool:
        child, log = one.child, self._log_of(one.child)
        if one.process is None or one.process.poll() is not None:
            raise StartRefused(f"{child.name} ended at start: {logfiles.last_line(log)} (all of it in {log}).")
        if child.ready is None or child.ready():
            return True
        if time.monotonic() - one.started > child.ready_seconds:
            raise StartRefused(
                f"{child.name} is not ready after {child.ready_seconds:g} s: {logfiles.last_line(log)} (see {log})."
            )
        return False

    def _tend(self) -> None:
        now = time.monotonic()
        for one in self._kept.values():
            wanted_down = rundir.hold_path(self.var, one.child.name).exists()
            if wanted_down and not one.held:
                self._take_down(one)
            elif one.held and not wanted_down:
                one.held, one.failures, one.restart_at = False, 0, now
                self.say(f"{one.child.name} is started again.")
            if not one.held:
                self._revive(one, now)
        if now >= self._next_housekeeping:
            self._next_housekeeping = now + _HOUSEKEEPING_SECONDS
            self._keep_house()

    def _take_down(self, one: _Kept) -> None:
        one.held = True
        if one.process is not None:
            processes.end_all([(one.process, signal.SIGKILL)], grace_seconds=2)
            one.process = None
        rundir.pid_path(self.var, one.child.name).unlink(missing_ok=True)
        self.say(f"{one.child.name} is held down.")

    def _revive(self, one: _Kept, now: float) -> None:
        if one.process is not None:
            if one.process.poll() is None:
                return
            processes.signal_group(one.process, signal.SIGKILL)  # what it may have left behind
            one.failures = 1 if now - one.started > _STEADY_SECONDS else one.failures + 1
            delay = min(_LONGEST_DELAY_SECONDS, _FIRST_DELAY_SECONDS * 2 ** (one.failures - 1))
            self.say(f"{one.child.name} {_ending(one.process.returncode)}; starting it again in {delay:g} s.")
            one.process, one.restart_at = None, now + delay
            rundir.pid_path(self.var, one.child.name).unlink(missing_ok=True)
        elif now >= one.restart_at:
            try:
                self._spawn(one)
            except StartRefused as refusal:
                one.failures += 1
                one.restart_at = now + _LONGEST_DELAY_SECONDS
                self.say(str(refusal))

    def _keep_house(self) -> None:
        for log in self.log_directory.glob("*.log"):
            logfiles.cut_when_long(log)
        free = shutil.disk_usage(self.var).free
        if free < LEAST_FREE_BYTES and not self._disk_warned:
            self.say(f"Only {free // 2**20} MB are free at {self.var}: history and logs will soon be refused.")
        self._disk_warned = free < LEAST_FREE_BYTES


def _locked(lock: IO[str]) -> bool:
    with contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return True
    return False


def exit_with(refusal: Exception) -> None:
    """Print one sentence to standard error and leave with `REFUSED`."""
    sys.stderr.write(f"{refusal}\n")
    sys.stderr.flush()
    sys.exit(REFUSED)


def _plain(error: Exception) -> str:
    if isinstance(error, OSError) and error.errno == errno.ENOSPC:
        return "the disk is full"
    if isinstance(error, OSError) and error.strerror:
        return f"{error.strerror} ({error.filename})" if error.filename else error.strerror
    return str(error)


def _ending(code: int) -> str:
    return f"was ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


def _shown(argv: Sequence[str | Path]) -> str:
    return " ".join(Path(word).name if index == 0 else str(word) for index, word in enumerate(argv))
