"""What the portal and its Kafka child processes say to each other: pickles with their length in front, over a socket pair."""

import copyreg
import io
import pickle
import socket
import struct
import time
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from clusters.ports import (
    Broker,
    CommittedOffsets,
    EntityError,
    FoundOffset,
    FoundOffsets,
    GroupListing,
    Metadata,
    Partition,
    PartitionMeta,
    TopicMeta,
)
from ops_portal.lib.clock import Clock

_LENGTH = struct.Struct("!Q")


@dataclass(frozen=True, slots=True)
class Settings:
    """The first frame to a child. Holds secrets: nothing of it is shown."""

    bootstrap: str = field(repr=False)
    properties: Mapping[str, str] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Call:
    """One call of a `KafkaPort` method. Deadline and clock are monotonic, and that clock is one for the whole machine."""

    method: str
    arguments: tuple[Any, ...]
    clock: Clock


@dataclass(frozen=True, slots=True)
class Answer:
    """`value` as the method returned it, or with `code` a failure: `failed` names the exception."""

    value: Any = None
    failed: str = ""  # GatewayFailed | DeadlinePassed | another, whose traceback is the message
    code: str = ""
    message: str = ""
    requests: Mapping[str, int] = field(default_factory=dict)  # what this call has sent
    seen: Metadata | None = None  # metadata this call has read


@dataclass(frozen=True, slots=True)
class Survey:
    """What the cluster shows. `groups` is None where they cannot be listed; `problems` are whole sentences."""

    cluster_id: str | None
    brokers: tuple[Broker, ...]
    topics: int
    groups: int | None
    problems: tuple[str, ...]


def send(connection: socket.socket, message: object, *, seconds: float | None = None) -> None:
    """Raises TimeoutError after `seconds`, OSError when the other side is gone."""
    body = packed(message)
    connection.settimeout(seconds)
    connection.sendall(_LENGTH.pack(len(body)))
    connection.sendall(body)


def receive(connection: socket.socket, *, seconds: float | None = None) -> Any:
    """The next message. Raises TimeoutError after `seconds`, EOFError or OSError when the other side is gone."""
    ends_at = None if seconds is None else time.monotonic() + seconds
    (length,) = _LENGTH.unpack(_exactly(connection, _LENGTH.size, ends_at))
    return pickle.loads(_exactly(connection, length, ends_at))  # noqa: S301 - from a process of our own


def packed(message: object) -> bytes:
    """A pickle in which the small objects of a large answer are columns: a third of the bytes and of the time."""
    found = io.BytesIO()
    pickler = pickle.Pickler(found, protocol=5)
    pickler.dispatch_table = _TABLE
    pickler.dump(message)
    return found.getvalue()


def _pack_offsets(found: FoundOffsets) -> tuple[Any, ...]:
    values = found.offsets.values()
    same = found.offsets.keys() == found.read_at.keys()
    stamped = any(value.timestamp is not None for value in values)
    return _offsets, (
        list(found.offsets),
        array("q", [value.offset for value in values]),
        [value.timestamp for value in values] if stamped else None,
        array("d", [found.read_at[place] for place in found.offsets]) if same else found.read_at,
        found.errors,
    )


def _offsets(
    places: list[Partition],
    offsets: "array[int]",
    stamps: list[float | None] | None,
    read_at: "array[float] | Mapping[Partition, float]",
    errors: tuple[EntityError, ...],
) -> FoundOffsets:
    values = map(FoundOffset, offsets) if stamps is None else map(FoundOffset, offsets, stamps)
    times = dict(zip(places, read_at, strict=True)) if isinstance(read_at, array) else read_at
    return FoundOffsets(dict(zip(places, values, strict=True)), times, errors)


def _pack_topic(found: TopicMeta) -> tuple[Any, ...]:
    return _topic, (found.topic, [(one.partition, one.leader, one.replicas, one.in_sync) for one in found.partitions])


def _topic(name: str, partitions: list[tuple[int, int | None, tuple[int, ...], tuple[int, ...]]]) -> TopicMeta:
    return TopicMeta(name, tuple(PartitionMeta(*one) for one in partitions))


def _pack_committed(found: CommittedOffsets) -> tuple[Any, ...]:
    return CommittedOffsets, (found.group, found.offsets, found.read_at, found.error)


def _pack_listing(found: GroupListing) -> tuple[Any, ...]:
    return GroupListing, (found.group, found.type, found.state)


_TABLE = copyreg.dispatch_table | {
    FoundOffsets: _pack_offsets,
    TopicMeta: _pack_topic,
    CommittedOffsets: _pack_committed,
    GroupListing: _pack_listing,
}


def _exactly(connection: socket.socket, size: int, ends_at: float | None) -> bytearray:
    found = bytearray(size)
    rest = memoryview(found)
    while rest:
        if ends_at is not None:
            left = ends_at - time.monotonic()
            if left <= 0:
                raise TimeoutError
            connection.settimeout(left)
        else:
            connection.settimeout(None)
        count = connection.recv_into(rest)
        if not count:
            raise EOFError
        rest = rest[count:]
    return found
