"""The few requests of Kafka's protocol that the portal speaks by itself, in versions that Kafka 3.0 to 4 have. Pure.

An answer is read in full or not at all: `struct.error`, IndexError, UnicodeDecodeError or WireFault mean that it was not what
was asked for.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence

from clusters.ports import FoundOffset, Partition

LIST_OFFSETS, OFFSET_FETCH, FIND_COORDINATOR, SASL_HANDSHAKE, API_VERSIONS, SASL_AUTHENTICATE = 2, 9, 10, 17, 18, 36
VERSIONS = {
    LIST_OFFSETS: 5,
    OFFSET_FETCH: 8,  # the first that takes many groups
    FIND_COORDINATOR: 4,  # likewise
    SASL_HANDSHAKE: 1,
    API_VERSIONS: 0,
    SASL_AUTHENTICATE: 1,
}
NEEDED = (LIST_OFFSETS, OFFSET_FETCH, FIND_COORDINATOR)
NAMES = {LIST_OFFSETS: "ListOffsets", OFFSET_FETCH: "OffsetFetch", FIND_COORDINATOR: "FindCoordinator"}
_FLEXIBLE = frozenset({OFFSET_FETCH, FIND_COORDINATOR})
_BARE = struct.Struct(">iqiBhB")  # a committed offset without metadata: partition, offset, epoch, 0 or 1, error, tags
_COMMIT = struct.Struct(">iqi")
_OFFSET = struct.Struct(">ihqqi")  # partition, error, timestamp, offset, epoch


class WireFault(Exception):
    """The broker did not answer what was asked for."""


def framed(api: int, number: int, client_id: str, body: bytes) -> bytes:
    """A request with its header and length; `number` comes back with the answer."""
    name = client_id.encode()
    tags = b"\0" if api in _FLEXIBLE else b""
    header = struct.pack(">hhih", api, VERSIONS[api], number, len(name)) + name + tags
    return struct.pack(">i", len(header) + len(body)) + header + body


def body_of(api: int, number: int, answer: bytes) -> int:
    """Where the answer's body begins. Raises WireFault when it answers another request."""
    if struct.unpack_from(">i", answer)[0] != number:
        raise WireFault("an answer to another request")
    return 5 if api in _FLEXIBLE else 4


# --- signing in ----------------------------------------------------------------------------------------------------------


def can_serve(answer: bytes, at: int) -> bool:
    """Whether an ApiVersions answer offers every version that is needed here."""
    error, count = struct.unpack_from(">hi", answer, at)
    offered = {key: (low, high) for key, low, high in struct.iter_unpack(">hhh", answer[at + 6 : at + 6 + 6 * count])}
    return error == 0 and all(api in offered and offered[api][0] <= VERSIONS[api] <= offered[api][1] for api in NEEDED)


def handshake(mechanism: str) -> bytes:
    return _short(mechanism)


def authenticate(said: bytes) -> bytes:
    return struct.pack(">i", len(said)) + said


def authenticated(answer: bytes, at: int) -> tuple[bytes, float]:
    """(what the broker said, seconds until it wants to be told again; 0 = never). Raises WireFault when refused."""
    error, length = struct.unpack_from(">hh", answer, at)
    if error:
        raise WireFault(f"signing in was refused with error {error}")
    at += 4 + max(0, length)
    (length,) = struct.unpack_from(">i", answer, at)
    at += 4
    (lifetime_ms,) = struct.unpack_from(">q", answer, at + length)
    return bytes(answer[at : at + length]), lifetime_ms / 1000


# --- groups --------------------------------------------------------------------------------------------------------------


def coordinators_of(groups: Sequence[str]) -> bytes:
    return b"\0" + _count(len(groups)) + b"".join(map(_compact, groups)) + b"\0"


def coordinators(answer: bytes, at: int) -> dict[str, int]:
    """Broker id by group, of those that have one."""
    found: dict[str, int] = {}
    count, at = _number(answer, at + 4)
    for _ in range(count - 1):
        group, at = _text(answer, at)
        (node,) = struct.unpack_from(">i", answer, at)
        _, at = _bytes(answer, at + 4)
        (error,) = struct.unpack_from(">h", answer, at + 4)
        _, at = _bytes(answer, at + 6)
        at = _skip_tags(answer, at)
        if error == 0:
            found[group] = node
    return found


def commits_of(groups: Sequence[str]) -> bytes:
    """Everything that the groups have committed."""
    return _count(len(groups)) + b"".join(_compact(group) + b"\0\0" for group in groups) + b"\0\0"


def commits(
    answer: bytes, at: int, places: dict[bytes, dict[int, Partition]]
) -> Iterator[tuple[str, dict[Partition, int] | None]]:
    """Committed offsets by group, None for one that failed. `places` gathers one tuple per partition for all of a reading."""
    count, at = _number(answer, at + 4)
    for _ in range(count - 1):
        group, at = _text(answer, at)
        offsets: dict[Partition, int] = {}
        whole = True
        topics, at = _number(answer, at)
        for _ in range(topics - 1):
            name, at = _bytes(answer, at)
            rows, at = _topic_commits(answer, at)
            known = places.setdefault(name, {})
            for number, offset, _, _, error, _ in rows:
                whole = whole and error == 0
                if offset >= 0:
                    place = known.get(number)
                    if place is None:
                        place = known[number] = (name.decode(), number)
                    offsets[place] = offset
        (error,) = struct.unpack_from(">h", answer, at)
        at = _skip_tags(answer, at + 2)
        yield group, offsets if whole and error == 0 else None


def _topic_commits(answer: bytes, at: int) -> tuple[list[tuple[int, ...]], int]:
    """Rows as in `_BARE`. Commits seldom have metadata: those without are read at one go."""
    count, at = _number(answer, at)
    end = at + _BARE.size * (count - 1)
    if end <= len(answer):
        rows = list(_BARE.iter_unpack(answer[at:end]))
        if all(length < 2 and not tags for _, _, _, length, _, tags in rows):
            return rows, _skip_tags(answer, end)
    rows = []
    for _ in range(count - 1):
        number, offset, epoch = _COMMIT.unpack_from(answer, at)
        _, at = _bytes(answer, at + _COMMIT.size)
        (error,) = struct.unpack_from(">h", answer, at)
        at = _skip_tags(answer, at + 2)
        rows.append((number, offset, epoch, 0, error, 0))
    return rows, _skip_tags(answer, at)


# --- logs ----------------------------------------------------------------------------------------------------------------


def offsets_of(asked: Mapping[Partition, int], *, read_committed: bool) -> bytes:
    """The offset at each time, milliseconds or -1 for the end and -2 for the start."""
    topics: dict[str, list[tuple[int, int]]] = {}
    for (topic, number), time_ms in asked.items():
        topics.setdefault(topic, []).append((number, time_ms))
    parts = [struct.pack(">ibi", -1, read_committed, len(topics))]
    for topic, rows in topics.items():
        parts += _short(topic), struct.pack(">i", len(rows))
        parts += [struct.pack(">iiq", number, -1, time_ms) for number, time_ms in rows]
    return b"".join(parts)


def offsets(answer: bytes, at: int) -> dict[Partition, FoundOffset]:
    """The partitions that were found."""
    found: dict[Partition, FoundOffset] = {}
    (topics,) = struct.unpack_from(">i", answer, at + 4)
    at += 8
    for _ in range(topics):
        (length,) = struct.unpack_from(">h", answer, at)
        topic = answer[at + 2 : at + 2 + length].decode()
        at += 2 + length
        (count,) = struct.unpack_from(">i", answer, at)
        end = at + 4 + _OFFSET.size * count
        for number, error, time_ms, offset, _ in _OFFSET.iter_unpack(answer[at + 4 : end]):
            if error == 0:
                found[topic, number] = FoundOffset(offset, time_ms / 1000 if time_ms >= 0 else None)
        at = end
    return found


# --- values --------------------------------------------------------------------------------------------------------------


def _short(text: str) -> bytes:
    said = text.encode()
    return struct.pack(">h", len(said)) + said


def _count(number: int) -> bytes:
    """How long something is, in the flexible versions: one more, so that 0 can mean none."""
    number += 1
    said = bytearray()
    while number > 0x7F:
        said.append(number & 0x7F | 0x80)
        number >>= 7
    said.append(number)
    return bytes(said)


def _compact(text: str) -> bytes:
    said = text.encode()
    return _count(len(said)) + said


def _number(answer: bytes, at: int) -> tuple[int, int]:
    value = answer[at]
    at += 1
    if value < 0x80:
        return value, at
    value, shift = value & 0x7F, 7
    while True:
        more = answer[at]
        at += 1
        value |= (more & 0x7F) << shift
        if more < 0x80:
            return value, at
        shift += 7


def _bytes(answer: bytes, at: int) -> tuple[bytes, int]:
    length, at = _number(answer, at)
    end = at + max(0, length - 1)
    if end > len(answer):
        raise WireFault("an answer that ends too early")
    return answer[at:end], end


def _text(answer: bytes, at: int) -> tuple[str, int]:
    said, at = _bytes(answer, at)
    return said.decode(), at


def _skip_tags(answer: bytes, at: int) -> int:
    count, at = _number(answer, at)
    for _ in range(count):
        _, at = _number(answer, at)
        length, at = _number(answer, at)
        at += length
    return at
