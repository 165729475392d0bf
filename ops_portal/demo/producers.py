"""The demo's producers: one process for plain records, one for transactions. Each runs until SIGTERM."""

import logging
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice

from confluent_kafka import KafkaException, Producer

from ops_portal.demo import rates
from ops_portal.demo.events import Event, events
from ops_portal.demo.steering import Steering
from ops_portal.demo.topology import INSTRUCTIONS, TOPICS, TopicSpec, topic

logger = logging.getLogger(__name__)

_TICK_SECONDS = 0.1
_LONGEST_GAP_SECONDS = 1.0  # what a stopped machine or a slow tick is made up for at most
_TRANSACTION_SECONDS = 2.0
_OPEN_EVERY_SECONDS, _OPEN_FOR_SECONDS = 300.0, 15.0
_ABORT_SHARE = 0.03


def producer_config(bootstrap: str, client_id: str) -> dict[str, str | int | bool]:
    """acks=all; records wait half a second for company: the client sends a request per partition and batch, and every one
    of them costs three brokers work."""
    return {
        "bootstrap.servers": bootstrap,
        "client.id": client_id,
        "acks": "all",
        "linger.ms": 500,
        "compression.type": "lz4",
        "partitioner": "murmur2_random",  # the same partition for a key as Java producers choose
        "queue.buffering.max.messages": 200_000,
        "message.timeout.ms": 60_000,
        "log_level": 2,
    }


@dataclass
class Stream:
    """Sends one topic's share: how much is due is the rate times the passed time, fractions are kept."""

    topic: TopicSpec
    due: float = 0.0
    lost: int = 0
    following: Iterator[Event] = field(init=False)

    def __post_init__(self) -> None:
        self.following = events(self.topic.name)

    def send(self, producer: Producer, *, mean_rate: float, passed: float) -> None:
        """Produce what has come due in the last `passed` seconds."""
        self.due += rates.rate(self.topic, mean_rate, time.time()) * min(passed, _LONGEST_GAP_SECONDS)
        count, self.due = int(self.due), self.due % 1
        for key, value in islice(self.following, count):
            try:
                producer.produce(self.topic.name, value=value, key=key)
            except BufferError:  # the brokers take nothing: these events are lost, as they would be in a feed handler
                self.lost += 1


def produce(bootstrap: str, mean_rate: float, steering: Steering) -> None:
    """Every plain topic, at its share of the day's shape."""
    producer = Producer(producer_config(bootstrap, "demo-feed"))
    streams = [Stream(spec) for spec in TOPICS if spec.share and spec.name != INSTRUCTIONS]
    before = time.monotonic()
    while steering.running():
        time.sleep(_TICK_SECONDS)
        now = time.monotonic()
        for stream in streams:
            stream.send(producer, mean_rate=mean_rate, passed=now - before)
        before = now
        producer.poll(0)
        steering.begun()
    producer.flush(2)


def produce_in_transactions(bootstrap: str, mean_rate: float, steering: Steering) -> None:
    """A transaction every two seconds; now and then one is aborted, every five minutes one stays open for 15 s."""
    config = producer_config(bootstrap, "demo-settlement") | {
        "transactional.id": "demo-settlement", "transaction.timeout.ms": 60_000, "linger.ms": 5,
    }  # fmt: skip
    producer = Producer(config)
    producer.init_transactions(30)
    steering.begun()
    stream, chance = Stream(topic(INSTRUCTIONS)), random.Random(11)  # noqa: S311 - which transaction fails is no secret
    before = opened = time.monotonic()
    while steering.running():
        now = time.monotonic()
        try:
            producer.begin_transaction()
            stream.send(producer, mean_rate=mean_rate, passed=now - before)
            before = now
            stay_open = now - opened > _OPEN_EVERY_SECONDS
            if stay_open:
                opened = now
            _wait(_OPEN_FOR_SECONDS if stay_open else 0, steering)
            if chance.random() < _ABORT_SHARE:
                producer.abort_transaction(10)
            else:
                producer.commit_transaction(10)
        except KafkaException as problem:
            _recover(producer, problem)
        _wait(_TRANSACTION_SECONDS, steering)


def _wait(seconds: float, steering: Steering) -> None:
    until = time.monotonic() + seconds
    while steering.running() and time.monotonic() < until:
        time.sleep(0.1)


def _recover(producer: Producer, problem: KafkaException) -> None:
    """Abort what can be aborted; a fatal error ends the process, which is then started again."""
    error = problem.args[0]
    logger.warning("demo.transaction_failed %s", error)
    if error.fatal():
        raise problem
    if error.txn_requires_abort():
        producer.abort_transaction(30)
