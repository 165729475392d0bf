"""`KafkaPort` with the client library in a process of its own, one per cluster and configuration.

The library ends its whole process on some answers of a broker, and sometimes waits for ever. Here that costs one cluster
one read: the child is started anew, and the read that was under way is made once more while its deadline allows.
"""

import contextlib
import functools
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from clusters.gateways import kafka_frames as frames
from clusters.ports import (
    CommittedOffsets,
    EntityError,
    FoundOffsets,
    GatewayFailed,
    GroupDescription,
    GroupListings,
    Metadata,
    OffsetSpec,
    Partition,
    RequestCount,
    TopicIdentity,
)
from ops_portal.lib.clock import Clock
from ops_portal.lib.resilience import Deadline, DeadlinePassed

logger = logging.getLogger(__name__)

GRACE_SECONDS = 2.0  # for a call that heeds its deadline to hand over what it has, on a machine that is merely slow
RECYCLE_SECONDS = 3600.0  # the client never frees what it knows of topics
_ROOT = Path(__file__).resolve().parents[2]


class ClientFault(Exception):
    """A fault of the portal's own code in the child; the text is its traceback."""


class ChildLost(Exception):
    """The child ended without an answer; the text says how."""


@dataclass(frozen=True, slots=True)
class Place:
    """Which cluster, in which configuration."""

    cluster_id: int
    version: int
    settings: frames.Settings


class IsolatedKafka:
    """One run's view of a cluster, like `ConfluentKafka`, through the cluster's child process.

    Every method may raise GatewayFailed: `timeout` when the child did not answer (it is killed then), `client_failed`
    when it ended twice during one call.
    """

    def __init__(self, place: Place, clock: Clock) -> None:
        self._place = place
        self._clock = clock
        self.requests = RequestCount()
        self.seen: Metadata | None = None

    def metadata(self, deadline: Deadline) -> Metadata:
        found: Metadata = self._ask("metadata", deadline)
        return found

    def topic_identities(
        self, topics: Collection[str], deadline: Deadline
    ) -> tuple[Mapping[str, TopicIdentity], tuple[EntityError, ...]]:
        found: tuple[Mapping[str, TopicIdentity], tuple[EntityError, ...]]
        found = self._ask("topic_identities", deadline, list(topics))
        return found

    def list_groups(self, deadline: Deadline) -> GroupListings:
        found: GroupListings = self._ask("list_groups", deadline)
        return found

    def unmeasured_groups(self, known: Collection[str], deadline: Deadline) -> frozenset[str]:
        found: frozenset[str] = self._ask("unmeasured_groups", deadline, frozenset(known))
        return found

    def committed(self, groups: Collection[str], deadline: Deadline) -> Mapping[str, CommittedOffsets]:
        found: Mapping[str, CommittedOffsets] = self._ask("committed", deadline, list(groups))
        return found

    def offsets(self, partitions: Collection[Partition], spec: OffsetSpec, deadline: Deadline) -> FoundOffsets:
        found: FoundOffsets = self._ask("offsets", deadline, list(partitions), spec)
        return found

    def offsets_at(self, times: Mapping[Partition, float], deadline: Deadline) -> FoundOffsets:
        found: FoundOffsets = self._ask("offsets_at", deadline, dict(times))
        return found

    def describe_groups(self, groups: Collection[str], deadline: Deadline) -> Mapping[str, GroupDescription]:
        found: Mapping[str, GroupDescription] = self._ask("describe_groups", deadline, list(groups))
        return found

    def survey(self, deadline: Deadline) -> frames.Survey:
        """What a connection test wants to know, in one call."""
        found: frames.Survey = self._ask("survey", deadline)
        return found

    def close(self) -> None:
        """Nothing to do: the child belongs to the cluster."""

    def _ask(self, method: str, deadline: Deadline, *arguments: object) -> Any:
        answer = self._answer(frames.Call(method, (*arguments, deadline), self._clock), deadline)
        for api, count in answer.requests.items():
            self.requests.add(api, count)
        if answer.seen is not None:
            self.seen = answer.seen
        if answer.failed == "GatewayFailed":
            raise GatewayFailed(answer.code, answer.message)
        if answer.failed == "DeadlinePassed":
            raise DeadlinePassed(answer.message)
        if answer.failed:
            raise ClientFault(f"{answer.failed} in the Kafka process:\n{answer.message}")
        return answer.value

    def _answer(self, call: frames.Call, deadline: Deadline) -> frames.Answer:
        """The child's answer; a child that ended is replaced once, by one that remembers nothing of the cluster."""
        how = ""
        for _ in range(2):
            child = child_of(self._place)
            try:
                return child.ask(call, deadline.remaining() + GRACE_SECONDS)
            except ChildLost as lost:
                how = str(lost)
                logger.warning("kafka.child_lost cluster=%s call=%s how=%s", self._place.cluster_id, call.method, how)
            except TimeoutError:
                logger.warning("kafka.child_hung cluster=%s call=%s", self._place.cluster_id, call.method)
                raise GatewayFailed(
                    "timeout", "The Kafka client did not answer in time and was ended; the next read starts a new one."
                ) from None
            if deadline.remaining() <= 0:
                break
        raise GatewayFailed(
            "client_failed",
            f"The Kafka client failed while it read the cluster ({how}); the next read starts a new one.",
        )


class KafkaChild:
    """A child process and the socket to it. One call at a time; other threads wait."""

    def __init__(self, place: Place) -> None:
        self.made_at = time.monotonic()
        self._lock = threading.Lock()
        self._socket, theirs = socket.socketpair()
        with theirs:
            # The child ends with the thread that starts it: one that lives as long as this process.
            self.process = _starter(os.getpid()).submit(_start, theirs, place.cluster_id).result()
        with contextlib.suppress(OSError):  # told by the first call
            frames.send(self._socket, place.settings, seconds=GRACE_SECONDS)

    @property
    def lost(self) -> bool:
        return self.process.poll() is not None

    def ask(self, call: frames.Call, seconds: float) -> frames.Answer:
        """Raises ChildLost, or TimeoutError when there is no answer after `seconds`: the child is dead then, too."""
        ends_at = time.monotonic() + seconds
        if not self._lock.acquire(timeout=seconds):
            raise TimeoutError
        try:
            frames.send(self._socket, call, seconds=max(0.001, ends_at - time.monotonic()))
            answer: frames.Answer = frames.receive(self._socket, seconds=max(0.001, ends_at - time.monotonic()))
        except TimeoutError:
            self._kill()
            raise
        except (EOFError, OSError):
            self._kill()
            raise ChildLost(_how(self.process.returncode)) from None
        finally:
            self._lock.release()
        return answer

    def end(self) -> None:
        """Let the child end after the call it may be answering."""
        if self._lock.acquire(blocking=False):
            self._socket.close()
            self._lock.release()
            return
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_WR)

    def _kill(self) -> None:
        try:
            self.process.wait(0.2)  # it may just be ending: how, is worth knowing
        except subprocess.TimeoutExpired:
            self.process.kill()
            with contextlib.suppress(subprocess.TimeoutExpired):
                self.process.wait(GRACE_SECONDS)


_Key = tuple[int, int, int]  # (process, cluster, configuration version)
_children: dict[_Key, KafkaChild] = {}
_ending: list[KafkaChild] = []
_lock = threading.Lock()


def child_of(place: Place) -> KafkaChild:
    """This process' child for the configuration, a new one where it is lost or an hour old; older configurations end."""
    key = (os.getpid(), place.cluster_id, place.version)
    with _lock:
        for child in [child for child in _ending if child.lost]:
            _ending.remove(child)
            child.end()
        for other, child in list(_children.items()):
            replaced = other[:2] == key[:2] and other[2] < place.version
            if replaced or child.lost or time.monotonic() - child.made_at >= RECYCLE_SECONDS:
                _let_go(other)
        if key not in _children:
            _children[key] = KafkaChild(place)
        return _children[key]


def end_children(cluster_id: int) -> None:
    """End this process' children of a cluster that was changed or removed; the next call starts a new one."""
    with _lock:
        for key in [key for key in _children if key[1] == cluster_id]:
            _let_go(key)


def _let_go(key: _Key) -> None:
    child = _children.pop(key)
    child.end()
    _ending.append(child)


@functools.cache
def _starter(pid: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(1, thread_name_prefix=f"kafka-starter-{pid}")


def _start(connection: socket.socket, cluster_id: int) -> subprocess.Popen[bytes]:
    path = os.pathsep.join(filter(None, [str(_ROOT), os.environ.get("PYTHONPATH")]))
    return subprocess.Popen(  # noqa: S603 - our own module
        [sys.executable, "-m", "clusters.gateways.kafka_child", f"cluster={cluster_id}"],
        stdin=connection.fileno(),
        stdout=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": path},
        start_new_session=True,  # Ctrl-C lets a run end in peace
    )


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        with contextlib.suppress(ValueError):
            return signal.Signals(-code).name
    return f"exit code {code}"
