"""The demo's traffic: one process that forks every producer and group member, restarts what ends, and takes commands.

`python -m ops_portal.demo.traffic --bootstrap ... --rate ... --socket ... [--secure ... --pki ...] [--registry ...]`. Forked before any Kafka client exists, the
workers share the interpreter's memory, and each is a real process that a scenario can kill.
"""

import argparse
import contextlib
import logging
import os
import selectors
import signal
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson

from ops_portal.demo import ground, guests, producers, schemas, slowness
from ops_portal.demo.access import Doors
from ops_portal.demo.members import Member, run_queue_member
from ops_portal.demo.steering import Command, Steering
from ops_portal.demo.topology import GROUPS, RESTART_PAUSE_SECONDS, SESSION_TIMEOUT_MS, GroupSpec, Habit, group

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.5
_STOP_SECONDS = 3.0
_DEFAULT_SLOW_PACE = 0.3

Job = Callable[[Steering], None]


class Refused(Exception):
    """A command that cannot be carried out; the text says why."""


@dataclass
class Worker:
    """One forked process. `pid` 0 = not running; `begun` = it takes part; `held` = down until `restore`."""

    name: str
    job: Job
    spec: GroupSpec | None = None
    pid: int = 0
    channel: socket.socket | None = None
    begun: bool = False
    held: bool = False
    once: bool = False  # not started again
    start_at: float = 0.0


class Traffic:
    """Owner of the workers and of the command socket."""

    def __init__(self, doors: Doors, mean_rate: float, socket_path: Path, registry: str = "") -> None:
        self.doors, self.mean_rate, self.socket_path = doors, mean_rate, socket_path
        bootstrap = doors.plaintext
        self.stopping = False
        self.paces: dict[str, float] = {}  # ordered by commands; a member started later obeys them too
        self.workers = [
            Worker("feed", lambda steering: producers.produce(bootstrap, mean_rate, steering)),
            Worker("settlement", lambda steering: producers.produce_in_transactions(bootstrap, mean_rate, steering)),
        ]
        for spec in GROUPS:
            members = 0 if spec.habit is Habit.STOPPED else spec.members
            self.workers += [Worker(f"{spec.name}-{i}", self._member_job(spec, i), spec) for i in range(1, members + 1)]
        if doors.secure:
            self.workers += [Worker(name, partial(job, doors)) for name, job in guests.JOBS.items()]
        if registry:
            self.workers.append(Worker("schemas", partial(schemas.register, registry)))

    def run(self) -> None:
        """Lay the ground, start everything, serve commands until SIGTERM."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        wake_reader, wake_writer = socket.socketpair()
        wake_writer.setblocking(False)
        signal.set_wakeup_fd(wake_writer.fileno(), warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only to wake up
        with self._listen() as listener, selectors.DefaultSelector() as selector:
            selector.register(listener, selectors.EVENT_READ, self._serve)
            selector.register(wake_reader, selectors.EVENT_READ, lambda: wake_reader.recv(4096))
            while not self.stopping:
                self._reap()
                self._start_due()
                for key, _ in selector.select(_TICK_SECONDS):
                    key.data()
            signal.set_wakeup_fd(-1)
            self.socket_path.unlink(missing_ok=True)
        self._end_all()

    # --- Workers -------------------------------------------------------------------------------------
    def _member_job(self, spec: GroupSpec, index: int) -> Job:
        def job(steering: Steering) -> None:
            if spec.habit is Habit.QUEUE:
                run_queue_member(spec, index, self.doors.of_group(spec.name), steering)
            else:
                member = Member(spec, index, self.doors.of_group(spec.name), self.mean_rate, steering)
                member.pace.ordered = self.paces.get(spec.name)
                member.run()

        return job

    def _fork(self, worker: Worker) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            code = 1
            try:
                ours.close()
                for (
                    other
                ) in self.workers:  # else a worker would keep its siblings from seeing that this process is gone
                    if other.channel is not None:
                        other.channel.close()
                signal.set_wakeup_fd(-1)
                signal.signal(signal.SIGCHLD, signal.SIG_DFL)
                signal.signal(signal.SIGINT, signal.SIG_IGN)
                worker.job(Steering(theirs))
                code = 0
            except BaseException:
                logger.exception("demo.worker_failed name=%s", worker.name)
            finally:
                logging.shutdown()
                os._exit(code)
        theirs.close()
        worker.pid, worker.channel = pid, ours

    def _start_due(self) -> None:
        now = time.monotonic()
        for worker in self.workers:
            if not worker.pid and not worker.held and now >= worker.start_at:
                self._fork(worker)

    def _reap(self) -> None:
        by_pid = {worker.pid: worker for worker in self.workers if worker.pid}
        while by_pid:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            if (worker := by_pid.get(pid)) is None:
                continue
            pause = RESTART_PAUSE_SECONDS if status == 0 else 2.0
            worker.start_at = time.monotonic() + pause
            worker.pid = 0
            if worker.channel is not None:
                worker.channel.close()
                worker.channel = None
            if worker.once:
                self.workers.remove(worker)

    def _stop(self, *_: object) -> None:
        self.stopping = True

    def _end_all(self) -> None:
        for worker in self.workers:
            if worker.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGTERM)
        until = time.monotonic() + _STOP_SECONDS
        for worker in self.workers:
            worker.held = True
        while any(worker.pid for worker in self.workers) and time.monotonic() < until:
            self._reap()
            time.sleep(0.02)
        for worker in self.workers:
            if worker.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, signal.SIGKILL)
        self._reap()

    # --- Commands ------------------------------------------------------------------------------------
    def _listen(self) -> socket.socket:
        self.socket_path.parent.mkdir(parents=True, exist_ok=True)
        self.socket_path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(str(self.socket_path))
        self.socket_path.chmod(0o600)
        listener.listen(8)
        self._listener = listener
        return listener

    def _serve(self) -> None:
        """One command per connection: a JSON line in, a JSON line out."""
        link, _ = self._listener.accept()
        with link, contextlib.suppress(OSError):
            link.settimeout(2)
            try:
                command = orjson.loads(link.makefile("rb").readline(65_536))
                answer: dict[str, object] = {"ok": True, "text": self._obey(command)}
            except Refused as reason:
                answer = {"ok": False, "text": str(reason)}
            except (ValueError, KeyError, TypeError):
                answer = {"ok": False, "text": "The command was not understood."}
            link.sendall(orjson.dumps(answer) + b"\n")

    def _obey(self, command: Command) -> str:
        match command["do"]:
            case "begun":
                return self._begun()
            case "status":
                return self._status()
            case "crash":
                return self._crash(_known(command["group"]))
            case "slow":
                return self._slow(_known(command["group"]), float(command.get("pace", _DEFAULT_SLOW_PACE)))
            case "rewind":
                return self._rewind(_known(command["group"]), int(command["records"]))
            case "slow_broker":
                return self._slow_broker(int(command["number"]), int(command["pid"]), frozen=bool(command["frozen"]))
            case "hold_replication":
                return self._hold_replication(int(command["number"]), int(command["pid"]))
            case "let_replicate":
                return self._end_once(_holder(int(command["number"])))
            case "restore":
                return self._restore()
        raise Refused(f"There is no command {command['do']!r}.")

    def _members(self, spec: GroupSpec) -> list[Worker]:
        return [worker for worker in self.workers if worker.spec is spec]

    def _tell(self, spec: GroupSpec, command: Command) -> int:
        """Send to every running member; how many there are."""
        lines = [worker.channel for worker in self._members(spec) if worker.pid and worker.channel is not None]
        for line in lines:
            with contextlib.suppress(OSError):
                line.sendall(orjson.dumps(command) + b"\n")
        return len(lines)

    def _begun(self) -> str:
        """Nothing once every worker takes part, else the names of those that do not."""
        for worker in self.workers:
            if worker.channel is not None and not worker.begun:
                with contextlib.suppress(BlockingIOError, OSError):
                    worker.begun = bool(worker.channel.recv(16, socket.MSG_DONTWAIT))
        return " ".join(worker.name for worker in self.workers if not worker.begun and not worker.held)

    def _status(self) -> str:
        lines = []
        for spec in GROUPS:
            members = self._members(spec)
            running = sum(1 for worker in members if worker.pid)
            pace = f", paced at {self.paces[spec.name]:g} of production" if spec.name in self.paces else ""
            lines.append(f"{spec.name}: {running} of {len(members)} members run{pace} ({spec.purpose})")
        return "\n".join(lines)

    def _crash(self, spec: GroupSpec) -> str:
        running = [worker for worker in self._members(spec) if worker.pid]
        if not running:
            raise Refused(f"{spec.name} has no running member.")
        victim = running[0]
        victim.held = True
        os.kill(victim.pid, signal.SIGKILL)
        rest = len(running) - 1
        after = f"{rest} of its members go on" if rest else "it has no other member and stops"
        seconds = SESSION_TIMEOUT_MS // 1000
        return f"Killed {victim.name} (process {victim.pid}, SIGKILL). Kafka misses it after {seconds} s; {after}."

    def _slow(self, spec: GroupSpec, pace: float) -> str:
        told = self._tell(spec, {"do": "pace", "pace": pace})
        if spec.habit is Habit.QUEUE or not told:
            raise Refused(f"{spec.name} has no member that can be slowed down.")
        self.paces[spec.name] = pace
        reads = f"reads {pace:.0%} of what is produced" if pace else "reads nothing, its members stay alive"
        return f"{spec.name} now {reads}."

    def _rewind(self, spec: GroupSpec, records: int) -> str:
        if spec.habit is Habit.QUEUE:
            raise Refused(f"{spec.name} is a share group: it has no committed offsets.")
        if not self._tell(spec, {"do": "rewind", "records": records}):
            self._fork(Worker("rewind", lambda *_: _rewind_without_members(self.doors.plaintext, spec, records)))
        return f"{spec.name} goes back by {records} records in every partition and reads them again."

    def _slow_broker(self, number: int, pid: int, *, frozen: bool) -> str:
        name = f"slow-broker-{number}"
        if any(worker.name == name for worker in self.workers):
            raise Refused(f"Broker {number} is slowed down already.")
        self.workers.append(Worker(name, partial(slowness.hamper, pid, frozen=frozen), once=True))
        return f"Broker {number} (process {pid}) {'is stopped by SIGSTOP' if frozen else 'runs a fifth of the time'}."

    def _hold_replication(self, number: int, pid: int) -> str:
        if not slowness.may_hold():
            raise Refused("This system does not let one process stop the threads of another (ptrace).")
        if not any(worker.name == _holder(number) for worker in self.workers):
            self.workers.append(Worker(_holder(number), partial(slowness.hold_replication, pid), once=True))
        return f"The replica fetchers of broker {number} (process {pid}) stand still."

    def _end_once(self, name: str) -> str:
        for worker in self.workers:
            if worker.name == name and worker.pid:
                os.kill(worker.pid, signal.SIGTERM)
        return f"{name} ends."

    def _restore(self) -> str:
        for worker in self.workers:
            if worker.once and worker.pid:
                os.kill(worker.pid, signal.SIGTERM)
        held = [worker.name for worker in self.workers if worker.held]
        for worker in self.workers:
            worker.held, worker.start_at = False, 0.0
        paced = sorted(self.paces)
        self.paces.clear()
        for name in paced:
            self._tell(_known(name), {"do": "pace", "pace": None})
        return f"Started again: {', '.join(held) or 'nothing was down'}. Back to their own pace: {', '.join(paced) or 'none was changed'}."


def _holder(number: int) -> str:
    return f"hold-replication-{number}"


def _known(name: str) -> GroupSpec:
    spec = group(name)
    if spec is None:
        raise Refused(f"There is no group {name!r} in the demo; it has {', '.join(one.name for one in GROUPS)}.")
    return spec


def _rewind_without_members(bootstrap: str, spec: GroupSpec, records: int) -> None:
    ground.rewind(bootstrap, spec, records)


def main() -> None:
    parser = argparse.ArgumentParser(description="Traffic of the demo")
    parser.add_argument("--bootstrap", required=True)
    parser.add_argument("--rate", type=float, required=True)
    parser.add_argument("--socket", type=Path, required=True)
    parser.add_argument("--secure", default="", help="bootstrap servers for clients with a certificate")
    parser.add_argument("--pki", type=Path, help="directory of their certificates")
    parser.add_argument("--registry", default="", help="address of a schema registry")
    options = parser.parse_args()
    logging.basicConfig(level=logging.WARNING, format="%(asctime)s %(levelname)s %(message)s")
    doors = Doors(options.bootstrap, options.secure, options.pki)
    Traffic(doors, options.rate, options.socket, options.registry).run()


if __name__ == "__main__":
    main()
