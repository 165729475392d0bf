"""Made-up clients that come by the secured listener beside their consumer groups: one behaves, one writes where it may only
read, one has an expired certificate, one is throttled. Each runs in a process of its own until SIGTERM."""

import logging
import time
from collections.abc import Callable
from itertools import cycle, islice
from typing import Any, Protocol

from confluent_kafka import KafkaError, Message, Producer

from ops_portal.demo.access import Doors
from ops_portal.demo.events import events
from ops_portal.demo.principals import LATECOMER, LOADER, ORDERS, TRESPASSER, VALUATIONS, WRITER
from ops_portal.demo.topology import ALERTS, NAV

logger = logging.getLogger(__name__)

ORDERS_A_SECOND = 8
TRESPASS_SECONDS = 20.0
KNOCK_SECONDS, _FIRST_KNOCK_SECONDS, _KNOCKING_SECONDS = 120.0, 20.0, 4.0
_LOAD_RECORD_BYTES = 2_000
_TICK_SECONDS = 0.25


class Steered(Protocol):
    """What a job asks of its line to the parent (`steering.Steering`)."""

    def running(self) -> bool: ...
    def begun(self) -> None: ...


def write_orders(doors: Doors, steering: Steered) -> None:
    """A client that keeps to its rights: some records a second to its own topic."""
    producer = _producer(doors, WRITER)
    following = events(NAV, seed=23)
    while steering.running():
        for key, value in islice(following, int(ORDERS_A_SECOND * _TICK_SECONDS)):
            _offer(producer, ORDERS, key, value)
        producer.poll(_TICK_SECONDS)
        steering.begun()
        rest(_TICK_SECONDS, steering)
    producer.flush(2)


def trespass(doors: Doors, steering: Steered, *, every_seconds: float = TRESPASS_SECONDS) -> None:
    """A client that may read two topics and tries to write to them by turns; the broker refuses every time."""
    producer = _producer(doors, TRESPASSER, **{"linger.ms": 5})
    following = {topic: events(topic, seed=29) for topic in (ALERTS, NAV)}
    topics = cycle(following)
    while steering.running():
        topic = next(topics)
        key, value = next(following[topic])
        producer.produce(topic, value=value, key=key, on_delivery=_told)
        producer.flush(5)
        steering.begun()
        rest(every_seconds, steering)


def knock(
    doors: Doors,
    steering: Steered,
    *,
    first_seconds: float = _FIRST_KNOCK_SECONDS,
    every_seconds: float = KNOCK_SECONDS,
) -> None:
    """A client whose certificate has ended: tries for some seconds, gives up, comes again."""
    steering.begun()
    rest(first_seconds, steering)
    while steering.running():
        producer = _producer(
            doors, LATECOMER, **{"reconnect.backoff.ms": 1_000, "log_level": 0, "error_cb": lambda _: None}
        )
        until = time.monotonic() + _KNOCKING_SECONDS
        while steering.running() and time.monotonic() < until:
            producer.poll(_TICK_SECONDS)
        del producer
        rest(every_seconds, steering)


def load_beyond_quota(doors: Doors, steering: Steered) -> None:
    """A client that sends as much as it is let; its quota (PRINCIPALS) lets it do less than it would."""
    producer = _producer(doors, LOADER, **{"queue.buffering.max.messages": 100, "batch.num.messages": 10})
    value = b"v" * _LOAD_RECORD_BYTES
    while steering.running():
        while _offer(producer, VALUATIONS, None, value):
            pass
        producer.poll(_TICK_SECONDS)
        steering.begun()
        rest(_TICK_SECONDS, steering)


JOBS: dict[str, Callable[[Doors, Steered], None]] = {
    WRITER: write_orders,
    TRESPASSER: trespass,
    LATECOMER: knock,
    LOADER: load_beyond_quota,
}


def _producer(doors: Doors, principal: str, **more: Any) -> Producer:
    return Producer(
        {
            **doors.of(principal),
            "client.id": principal,
            "acks": "all",
            "linger.ms": 200,
            "message.timeout.ms": 20_000,
            "log_level": 2,
            **more,
        }
    )


def _offer(producer: Producer, topic: str, key: bytes | None, value: bytes) -> bool:
    """False when the client's queue is full."""
    try:
        producer.produce(topic, value=value, key=key)
    except BufferError:
        return False
    return True


def _told(error: KafkaError | None, _: Message) -> None:
    if error is None:
        logger.warning("demo.trespass_allowed")


def rest(seconds: float, steering: Steered) -> None:
    """Sleep, but not beyond the end."""
    until = time.monotonic() + seconds
    while steering.running() and (left := until - time.monotonic()) > 0:
        time.sleep(min(0.2, left))
