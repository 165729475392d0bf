"""A warm Kafka client and what is remembered between its calls. The portal keeps one per child (`kafka_process`)."""

import contextlib
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient

from clusters.gateways.kafka_bulk import BulkReader
from clusters.gateways.kafka_errors import cluster_failure
from clusters.ports import GatewayFailed, Partition

RENEW_SECONDS = 10  # a stuck client is replaced at most so often: each new one signs in at every broker
CLOSE_AFTER_SECONDS = 60  # a run that has the old client may still use it
HINTS_KEPT = 50
HINT_SECONDS = 30  # what the client said about a connection this long ago may still be the reason

_AFTER = re.compile(r"after \d+ms |, \d+ identical error\(s\) suppressed")  # differs each time
_OWN_SETTINGS: dict[str, str | int | bool] = {
    "client.id": "ops-portal",
    "socket.keepalive.enable": True,
    "socket.connection.setup.timeout.ms": 5000,
    "reconnect.backoff.ms": 100,
    "reconnect.backoff.max.ms": 2000,  # a cluster that is back is seen at once
    "topic.metadata.refresh.interval.ms": -1,  # every cycle reads the metadata itself
    "enable.metrics.push": False,
    "log_level": 6,
}


@dataclass
class KafkaClient:
    """An AdminClient and what is remembered between its calls. Safe to use from several threads."""

    bootstrap: str
    properties: Mapping[str, str]
    extra: Mapping[str, object] = field(default_factory=dict)  # settings of tests
    made_at: float = field(default_factory=time.monotonic)
    leaders: Mapping[Partition, int] = field(default_factory=dict)  # of the newest metadata
    leaderless: frozenset[Partition] = frozenset()  # likewise; the client calls these unknown
    brokers: int = 1
    # After the loss of a broker the client asks the dead one on and on until it is made to read the metadata again.
    lost_touch: bool = True
    # Some call was not answered in time. Now and then that is the client itself: once all brokers have been away at once
    # it waits for ever for the ones it remembers as coordinators, although metadata and connections are fine.
    stuck: bool = False

    def __post_init__(self) -> None:
        self._said = _Hints()
        self.bulk = BulkReader(self.properties)
        self.admin = self._build()

    def _build(self) -> AdminClient:
        settings: dict[str, Any] = {
            **_OWN_SETTINGS,
            **self.properties,
            "bootstrap.servers": self.bootstrap,
            "error_cb": self._remember,
            **self.extra,
        }
        try:
            # What the client would log goes into `hints`: some reasons are told nowhere else.
            return AdminClient(settings, logger=self._said)
        except (KafkaException, TypeError, ValueError) as error:
            raise GatewayFailed("configuration", self._refused(error)) from None

    def hints(self) -> list[str]:
        """What the client said lately about its connections, oldest first."""
        self._serve()
        return self._said.since(time.monotonic() - HINT_SECONDS)

    def failure(self, error: object) -> GatewayFailed:
        """The failure of the whole cluster that `error` stands for."""
        return cluster_failure(error, self.hints(), self.bootstrap)

    def in_touch(self) -> bool:
        """Whether no connection was lost since the newest metadata. A client that may be stuck is replaced first."""
        self._serve()
        if self.stuck and time.monotonic() - self.made_at >= RENEW_SECONDS:
            old, self.admin = self.admin, self._build()
            self.made_at, self.stuck, self.lost_touch = time.monotonic(), False, True
            close_later(old)
        return not self.lost_touch

    def late(self) -> None:
        """A call was not answered in time."""
        self.stuck = self.lost_touch = True

    def refreshed(self) -> None:
        """The cluster has told its metadata: what was said before is no reason for anything later."""
        self._serve()
        self._said.clear()
        self.lost_touch = False

    def _serve(self) -> None:
        with contextlib.suppress(KafkaException):
            self.admin.poll(0)  # runs `_remember` for what has happened

    def _remember(self, error: KafkaError) -> None:
        self.lost_touch = True
        self._said.add(f"{error.name()} {error.str()}")

    def _refused(self, error: Exception) -> str:
        found = error.args[0] if error.args else error
        text = found.str() if isinstance(found, KafkaError) else str(found)
        for name, value in self.properties.items():
            if value and ("password" in name or "key" in name or "secret" in name):
                text = text.replace(value, "***")
        return f"The connection settings are refused: {text[:300]}"


class _Hints:
    """What the client says about its connections, each thing once; takes its log lines in place of a logger."""

    def __init__(self) -> None:
        self._at: dict[str, float] = {}

    def add(self, text: str) -> None:
        text = _AFTER.sub("", text)
        self._at.pop(text, None)
        self._at[text] = time.monotonic()
        while len(self._at) > HINTS_KEPT:
            self._at.pop(next(iter(self._at)), None)

    def log(self, level: int, pattern: str, *args: object) -> None:
        self.add(pattern % args if args else pattern)

    def since(self, at: float) -> list[str]:
        return [text for text, said_at in list(self._at.items()) if said_at >= at]

    def clear(self) -> None:
        self._at.clear()


def close_later(admin: AdminClient, *, seconds: float = CLOSE_AFTER_SECONDS) -> None:
    """Closing can take seconds and happens where the last reference goes: let that be a thread of its own."""
    timer = threading.Timer(seconds, lambda kept: kept.clear(), [[admin]])
    timer.daemon = True
    timer.start()
