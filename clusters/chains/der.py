"""As much of DER as is needed to tell files apart before a library opens them."""

from collections.abc import Iterator
from typing import NamedTuple

_PKCS7_SIGNED = bytes.fromhex("06092a864886f70d010702")
_MOST_NODES = 100_000
_DEEPEST = 24
_LONGEST_SALT = 48  # bytes

Element = tuple[int, bytes]


class Part(NamedTuple):
    """One element inside another."""

    tag: int
    content: bytes


def total_length(data: bytes) -> int | None:
    """Bytes of the first element with its header; None when the header is no DER."""
    header = _header(data, 0)
    return None if header is None else header[1] + header[2]


def is_pkcs12(data: bytes) -> bool:
    """PFX: a sequence that begins with the version, 3."""
    header = _header(data, 0)
    return header is not None and data[header[1] : header[1] + 3] == b"\x02\x01\x03"


def is_pkcs7(data: bytes) -> bool:
    header = _header(data, 0)
    return header is not None and data[header[1] :].startswith(_PKCS7_SIGNED)


def key_derivation_rounds(data: bytes) -> int | None:
    """The largest number of rounds that a PKCS#12 asks for: integers that follow a salt. None when nobody can tell."""
    most = 0
    before: int | None = None
    try:
        for tag, content in _walk(data):
            if tag == 0x02 and before == 0x04 and len(content) <= 16:
                most = max(most, int.from_bytes(content, "big"))
            before = tag
    except _NotWalkable:
        return None
    return most


class _NotWalkable(ValueError):
    """Not DER, or more elements than a store has: what follows would not be seen."""


def parts(content: bytes) -> list[Part]:
    """The elements that follow one another in `content`. Raises ValueError where one is cut or of no stated length."""
    found: list[Part] = []
    place = 0
    while place < len(content):
        header = _header(content, place)
        if header is None or place + header[1] + header[2] > len(content) or len(found) > _MOST_NODES:
            raise ValueError("an element is cut")
        tag, head, size = header
        found.append(Part(tag, content[place + head : place + head + size]))
        place += head + size
    return found


def _header(data: bytes, place: int) -> tuple[int, int, int] | None:
    """(tag, bytes of the header, bytes of the content) of the element at `place`."""
    if place + 2 > len(data) or data[place] & 0x1F == 0x1F:
        return None
    first = data[place + 1]
    if first < 0x80:
        return data[place], 2, first
    size = first & 0x7F
    if not 1 <= size <= 6 or place + 2 + size > len(data):
        return None
    return data[place], 2 + size, int.from_bytes(data[place + 2 : place + 2 + size], "big")


def _walk(data: bytes) -> Iterator[Element]:
    """Elements in order, into constructed ones and into octet strings that hold one sequence. Raises _NotWalkable."""
    stack: list[tuple[int, int, int]] = [(0, len(data), 0)]
    nodes = 0
    while stack:
        place, end, depth = stack.pop()
        if place >= end:
            continue
        header = _header(data, place)
        nodes += 1
        if header is None or place + header[1] + header[2] > end or nodes > _MOST_NODES:
            raise _NotWalkable
        tag, head, size = header
        begin, stop = place + head, place + head + size
        stack.append((stop, end, depth))
        inner = data[begin:stop] if size <= 64 else b""
        yield tag, inner
        if depth < _DEEPEST and (tag & 0x20 or (tag == 0x04 and _holds_sequence(data, begin, stop))):
            stack.append((begin, stop, depth + 1))


def _holds_sequence(data: bytes, begin: int, stop: int) -> bool:
    """Whether an octet string is one. What is as short as a salt is never taken for it: salts are random."""
    header = _header(data, begin) if stop - begin > _LONGEST_SALT else None
    return header is not None and header[0] == 0x30 and begin + header[1] + header[2] == stop
