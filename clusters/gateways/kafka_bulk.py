"""Offsets of many groups and partitions in few requests, which the client library cannot send.

The library asks for one group per request, finds its coordinator anew each time, and takes half a second of CPU for 2,000
groups. This reader asks 100 at a time. It is for fair weather: it gives what was answered well, and everything else (a refusal,
a leader that moved, a broker that does not answer, an old broker, a setting it does not know) is left to the library, which knows
what to do and say. A broker that failed it is left alone for a while, so that trouble costs little twice.
"""

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TypeVar

from clusters.gateways import kafka_wire as wire
from clusters.gateways.kafka_link import FAULTS, Link, can_follow
from clusters.ports import Broker, FoundOffset, Partition, RequestCount
from ops_portal.lib.resilience import Deadline

logger = logging.getLogger(__name__)

Item = TypeVar("Item")
Found = TypeVar("Found")

GROUPS_PER_REQUEST = 100
PARTITIONS_PER_REQUEST = 1000
WAIT_SECONDS = 1.0  # for one answer: a broker that takes longer is left to the library
WAIT_SHARE = 0.25  # of the time that is left
REST_SECONDS = 30.0  # after a failure of a broker


@dataclass
class BulkReader:
    """Links to the brokers of one cluster and what is remembered between reads. For one thread at a time."""

    properties: Mapping[str, str] = field(repr=False)
    brokers: Mapping[int, Broker] = field(default_factory=dict)  # of the newest metadata
    _links: dict[int, Link] = field(default_factory=dict)
    _resting: dict[int, float] = field(default_factory=dict)  # until when, by broker
    _coordinators: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._able = can_follow(self.properties)

    def know(self, brokers: Iterable[Broker]) -> None:
        """Take up the brokers of new metadata."""
        found = {broker.id: broker for broker in brokers}
        for node in [node for node in self._links if found.get(node) != self.brokers.get(node)]:
            self._drop(node)
        self.brokers = found

    def committed(
        self, groups: Sequence[str], requests: RequestCount, deadline: Deadline
    ) -> Iterator[tuple[str, dict[Partition, int], float]]:
        """(group, its committed offsets, when they were read) of those that were answered well."""
        if not self._able or not groups:
            return
        self._find_coordinators(groups, requests, deadline)
        by_broker = _gathered(groups, self._coordinators.get, GROUPS_PER_REQUEST)
        places: dict[bytes, dict[int, Partition]] = {}

        def read(answer: bytes, at: int) -> list[tuple[str, dict[Partition, int] | None]]:
            return list(wire.commits(answer, at, places))

        for found, at in self._asked(wire.OFFSET_FETCH, by_broker, wire.commits_of, read, requests, deadline):
            for group, offsets in found:
                if offsets is None:
                    self._coordinators.pop(group, None)
                else:
                    yield group, offsets, at

    def offsets(
        self,
        asked: Mapping[Partition, int],
        leaders: Mapping[Partition, int],
        requests: RequestCount,
        deadline: Deadline,
        *,
        read_committed: bool,
    ) -> Iterator[tuple[dict[Partition, FoundOffset], float]]:
        """Partitions that were found, with the time of the reading. `asked` are times in milliseconds, as the protocol has them."""
        if not self._able or not asked:
            return

        def request(places: Sequence[Partition]) -> bytes:
            return wire.offsets_of({place: asked[place] for place in places}, read_committed=read_committed)

        by_broker = _gathered(asked, leaders.get, PARTITIONS_PER_REQUEST)
        yield from self._asked(wire.LIST_OFFSETS, by_broker, request, wire.offsets, requests, deadline)

    def close(self) -> None:
        for node in list(self._links):
            self._drop(node)

    def _find_coordinators(self, groups: Sequence[str], requests: RequestCount, deadline: Deadline) -> None:
        if len(self._coordinators) > 2 * len(groups):
            self._coordinators = {group: self._coordinators[group] for group in groups if group in self._coordinators}
        lacking = [group for group in groups if self._coordinators.get(group) not in self.brokers]
        now = time.monotonic()
        anyone = next((node for node in self.brokers if now >= self._resting.get(node, 0.0)), None)
        if not lacking or anyone is None:
            return
        chunks = _gathered(lacking, lambda _: anyone, GROUPS_PER_REQUEST)
        answers = self._asked(
            wire.FIND_COORDINATOR, chunks, wire.coordinators_of, wire.coordinators, requests, deadline
        )
        for found, _ in answers:
            self._coordinators |= found

    def _asked(
        self,
        api: int,
        wanted: Mapping[int, deque[list[Item]]],
        request: Callable[[Sequence[Item]], bytes],
        read: Callable[[bytes, int], Found],
        requests: RequestCount,
        deadline: Deadline,
    ) -> Iterator[tuple[Found, float]]:
        """What `read` makes of each answer, and when it came, in monotonic seconds.

        All brokers at once, each one request at a time: two could wait for each other with full buffers.
        """
        waiting: list[int] = []

        def ask(node: int) -> None:
            items = wanted[node].popleft()
            if self._sent(node, api, request(items), deadline):
                requests.add(wire.NAMES[api])
                waiting.append(node)

        try:
            for node in wanted:
                ask(node)
            while waiting:
                node = waiting[0]
                try:
                    answer, body = self._links[node].answer(_patience(deadline))
                    at = time.monotonic()
                    waiting.pop(0)
                    if wanted[node]:
                        ask(node)  # it works while its last answer is read here
                    yield read(answer, body), at
                except FAULTS as fault:
                    self._fail(node, fault)
                    waiting = [other for other in waiting if other != node]
        finally:
            for node in waiting:  # whoever asked does not want the rest
                self._drop(node)

    def _sent(self, node: int, api: int, body: bytes, deadline: Deadline) -> bool:
        """Send one request, over a new link where there is none or the old one is gone."""
        broker = self.brokers.get(node)
        if broker is None or deadline.remaining() <= 0 or time.monotonic() < self._resting.get(node, 0.0):
            return False
        try:
            link = self._links.get(node)
            if link is None or link.gone:
                self._drop(node)
                link = self._links[node] = Link(broker.host, broker.port, self.properties, _patience(deadline))
            link.ask(api, body, _patience(deadline))
        except FAULTS as fault:
            self._fail(node, fault)
            return False
        return True

    def _fail(self, node: int, fault: Exception) -> None:
        logger.info("kafka.bulk_failed broker=%s fault=%s: %s", node, type(fault).__name__, fault)
        self._drop(node)
        self._resting[node] = time.monotonic() + REST_SECONDS

    def _drop(self, node: int) -> None:
        if link := self._links.pop(node, None):
            link.close()


def _patience(deadline: Deadline) -> float:
    return max(0.001, min(WAIT_SECONDS, WAIT_SHARE * deadline.remaining()))


def _gathered(
    items: Iterable[Item], broker_of: Callable[[Item], int | None], most: int
) -> dict[int, deque[list[Item]]]:
    """Items by broker, in equal parts of at most `most`; those without a broker are left out."""
    found: dict[int, list[Item]] = {}
    for item in items:
        node = broker_of(item)
        if node is not None:
            found.setdefault(node, []).append(item)
    parts: dict[int, deque[list[Item]]] = {}
    for node, mine in found.items():
        size = -(-len(mine) // -(-len(mine) // most))
        parts[node] = deque(mine[start : start + size] for start in range(0, len(mine), size))
    return parts
