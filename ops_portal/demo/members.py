"""One member of a demo group: a consumer with a habit, steered by commands. Runs in a process of its own until SIGTERM."""

import contextlib
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, ShareConsumer, TopicPartition

from ops_portal.demo import rates
from ops_portal.demo.steering import Command, Steering
from ops_portal.demo.topology import (
    RESTART_PERIOD_SECONDS,
    SESSION_TIMEOUT_MS,
    GroupSpec,
    Habit,
    topic,
)

logger = logging.getLogger(__name__)

_POLL_SECONDS = 0.2
_MOST_RECORDS = 5_000
_REST_SECONDS, _WORK_SECONDS = 20.0, 70.0  # bursty
_SLOW_PACE, _SLOW_SECONDS, _DRAIN_PACE = 0.6, 45 * 60.0, 3.0
_BUILD_PACE, _BUILD_SECONDS, _BACKLOG_PACE = 0.15, 240.0, 1.6
_DRAINED_SECONDS = 5.0  # a backlog smaller than this much production counts as worked off

Place = tuple[str, int]  # (topic, partition)


def consumer_config(spec: GroupSpec, index: int, connection: Mapping[str, str]) -> dict[str, str | int | bool]:
    """Settings of member `index`; small queues, so that a slow reader holds little in memory."""
    config: dict[str, str | int | bool] = {
        **connection,
        "group.id": spec.name,
        "client.id": f"{spec.name}-{index}",
        "enable.auto.commit": False,
        "auto.offset.reset": "earliest",
        "isolation.level": "read_committed" if spec.habit is Habit.READ_COMMITTED else "read_uncommitted",
        # A slow reader takes what it has fetched, and the client fetches for whichever partition asks first when the one
        # queue runs dry: with small pieces the turns come so often that none waits for a minute.
        "queued.min.messages": 50,
        "queued.max.messages.kbytes": 4_096,
        "fetch.message.max.bytes": 4_096,
        "fetch.queue.backoff.ms": 200,
        "fetch.wait.max.ms": 200 if spec.prompt else 500,
        "log_level": 2,
    }
    if spec.habit is Habit.NEW_PROTOCOL:
        return config | {"group.protocol": "consumer"}
    return config | {"session.timeout.ms": SESSION_TIMEOUT_MS, "heartbeat.interval.ms": 3_000}


@dataclass
class Pace:
    """How fast a member may read now: a multiple of what is produced for it, None for as fast as it can, 0 for nothing."""

    spec: GroupSpec
    began: float = field(default_factory=time.monotonic)
    draining: bool = False
    ordered: float | None = None  # set by a command until `restore`

    def now(self, backlog_seconds: Callable[[], float]) -> float | None:
        """The pace; `backlog_seconds` tells how many seconds of production are unread, and is asked by some habits only."""
        if self.ordered is not None:
            return self.ordered
        habit = self.spec.habit
        if habit is Habit.STALLED:
            return 0
        if habit is Habit.BURSTY:
            return 0 if time.time() % (_REST_SECONDS + _WORK_SECONDS) < _REST_SECONDS else None
        if habit is Habit.SLOW:
            return self._by_turns(backlog_seconds, _SLOW_PACE, _SLOW_SECONDS, _DRAIN_PACE)
        if habit is Habit.CATCHING_UP:
            return self._by_turns(backlog_seconds, _BUILD_PACE, _BUILD_SECONDS, _BACKLOG_PACE)
        return None

    def _by_turns(self, backlog: Callable[[], float], build: float, build_seconds: float, drain: float) -> float:
        if self.draining and backlog() < _DRAINED_SECONDS:
            self.draining, self.began = False, time.monotonic()
        elif not self.draining and time.monotonic() - self.began >= build_seconds:
            self.draining = True
        return drain if self.draining else build


class Member:
    """Reads, commits and obeys. Offsets are kept here, not in the client, so that a rewind is not undone by a commit."""

    def __init__(
        self, spec: GroupSpec, index: int, connection: Mapping[str, str], mean_rate: float, steering: Steering
    ) -> None:
        self.spec, self.index, self.mean_rate, self.steering = spec, index, mean_rate, steering
        self.pace = Pace(spec, draining=spec.habit is Habit.CATCHING_UP)
        self.allowance = 0.0
        self.paused = False
        self.positions: dict[Place, int] = {}  # next offset of each assigned partition that was read
        self.uncommitted: set[Place] = set()
        self.committed_at = time.monotonic()
        self.consumer = Consumer({**consumer_config(spec, index, connection), "on_commit": self._on_commit})

    def run(self) -> None:
        """Work until told to stop or until a restart is due, then commit and leave the group."""
        self.consumer.subscribe([self.spec.topic], on_assign=self._on_assign, on_revoke=self._on_revoke)
        began = before = time.monotonic()
        restarts = self.spec.habit is Habit.RESTARTING and self.index == self.spec.members
        while self.steering.running() and not (restarts and time.monotonic() - began > RESTART_PERIOD_SECONDS):
            for command in self.steering.commands():
                self._obey(command)
            now = time.monotonic()
            self._round(now - before)
            before = now
        self._commit(wait=True)
        self.consumer.close()

    def _obey(self, command: Command) -> None:
        if command["do"] == "pace":
            self.pace.ordered = command["pace"]
        elif command["do"] == "rewind":
            self._rewind(command["records"])

    def _on_assign(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        new_protocol = self.spec.habit is Habit.NEW_PROTOCOL
        (consumer.incremental_assign if new_protocol else consumer.assign)(partitions)
        if self.paused:  # before the first record of theirs can arrive
            consumer.pause(partitions)
        self.steering.begun()

    def _on_revoke(self, consumer: Consumer, partitions: list[TopicPartition]) -> None:
        self._commit(wait=True)
        for one in partitions:
            self.positions.pop((one.topic, one.partition), None)

    def _round(self, passed: float) -> None:
        pace = self.pace.now(self._backlog_seconds)
        self._hold(paused=pace == 0)
        count = _MOST_RECORDS
        if pace:
            earned = pace * self._rate() * passed
            self.allowance = min(max(self.allowance, 0.0) + earned, 10 * self._rate() + 1)
            count = min(count, int(self.allowance))
        if count < 1:
            time.sleep(_POLL_SECONDS)
            return
        began = time.monotonic()
        self._take(self.consumer.consume(count, _POLL_SECONDS))
        if pace:  # consume() returns as soon as it has enough
            time.sleep(max(0.0, _POLL_SECONDS - (time.monotonic() - began)))
        if time.monotonic() - self.committed_at >= self.spec.commit_seconds:
            self._commit(wait=False)

    def _take(self, messages: list[Message]) -> None:
        for message in messages:
            error = message.error()
            if error is None:
                place = (message.topic() or "", message.partition() or 0)
                self.positions[place] = (message.offset() or 0) + 1
                self.uncommitted.add(place)
                self.allowance -= 1
            elif error.fatal():
                raise KafkaException(error)

    def _rate(self) -> float:
        """Records per second produced for this member."""
        return max(1.0, rates.rate(topic(self.spec.topic), self.mean_rate, time.time()) / self.spec.members)

    def _backlog_seconds(self) -> float:
        """Unread records over the produce rate, from what the client already knows; no request."""
        if len(self.positions) < max(1, len(self.consumer.assignment())):
            return math.inf  # not every partition has been read from yet
        unread = 0
        for (name, partition), position in self.positions.items():
            _, end = self.consumer.get_watermark_offsets(TopicPartition(name, partition), cached=True)
            if end < 0:
                return math.inf
            unread += max(0, end - position)
        return unread / self._rate()

    def _hold(self, *, paused: bool) -> None:
        if paused != self.paused:
            self.paused = paused
            (self.consumer.pause if paused else self.consumer.resume)(self.consumer.assignment())

    def _commit(self, *, wait: bool) -> None:
        self.committed_at = time.monotonic()
        offsets = [
            TopicPartition(*place, self.positions[place]) for place in self.uncommitted if place in self.positions
        ]
        self.uncommitted.clear()
        if not offsets:
            return
        try:
            if wait:
                self.consumer.commit(offsets=offsets, asynchronous=False)
            else:
                self.consumer.commit(offsets=offsets)
        except KafkaException as problem:
            logger.warning("demo.commit_failed group=%s %s", self.spec.name, problem.args[0])

    def _on_commit(self, error: KafkaError | None, places: list[TopicPartition]) -> None:
        """What was not taken is committed again: an idle topic brings no later record that would do it."""
        for one in places:
            if (error or one.error) and (one.topic, one.partition) in self.positions:
                self.uncommitted.add((one.topic, one.partition))

    def _rewind(self, records: int) -> None:
        """Go back by `records` in every partition and commit there at once, as a person does who repeats a day's work."""
        for one in self.consumer.committed(self.consumer.assignment(), timeout=5):
            place = (one.topic, one.partition)
            position = self.positions.get(place, one.offset)
            if position > 0:
                low, _ = self.consumer.get_watermark_offsets(one, timeout=5)
                self.positions[place] = max(low, position - records)
                self.consumer.seek(TopicPartition(*place, self.positions[place]))
                self.uncommitted.add(place)
        self._commit(wait=True)


def run_queue_member(spec: GroupSpec, index: int, connection: Mapping[str, str], steering: Steering) -> None:
    """A member of a share group: takes records as they come and acknowledges them."""
    consumer = ShareConsumer({**connection, "group.id": spec.name, "client.id": f"{spec.name}-{index}", "log_level": 2})
    with contextlib.closing(consumer):
        consumer.subscribe([spec.topic])
        while steering.running():
            if consumer.poll(_POLL_SECONDS):
                steering.begun()
            time.sleep(_POLL_SECONDS)
