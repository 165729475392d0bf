"""As much of DER as is needed to tell files apart before a library opens them."""

from collections.abc import Iterator
from typing import NamedTuple

_PKCS7_SIGNED = bytes.fromhex("06092a864886f70d010702")
_MOST_NODES = 100_000
_DEEPEST = 24

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


def key_derivation_rounds(data: bytes) -> int:
    """The largest number of rounds that a PKCS#12 asks for: integers that follow a salt. 0 when there is none."""
    most = 0
    before: int | None = None
    for tag, content in _walk(data):
        if tag == 0x02 and before == 0x04 and len(content) <= 16:
            most = max(most, int.from_bytes(content, "big"))
        before = tag
    return most


def parts(content: bytes) -> list[Part]:
    """The elements that follow one another in `content`. Raises ValueError where one is cut or of no stated length."""
    found, place = [], 0
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
    """Elements in order, into constructed ones and into octet strings that hold one sequence."""
    stack: list[tuple[int, int, int]] = [(0, len(data), 0)]
    nodes = 0
    while stack and nodes < _MOST_NODES:
        place, end, depth = stack.pop()
        header = _header(data, place) if place < end else None
        if header is None:
            continue
        tag, head, size = header
        begin, stop = place + head, place + head + size
        if stop > end:
            continue
        nodes += 1
        stack.append((stop, end, depth))
        inner = data[begin:stop] if size <= 64 else b""
        yield tag, inner
        if depth < _DEEPEST and (tag & 0x20 or (tag == 0x04 and _holds_sequence(data, begin, stop))):
            stack.append((begin, stop, depth + 1))


def _holds_sequence(data: bytes, begin: int, stop: int) -> bool:
    header = _header(data, begin)
    return header is not None and header[0] == 0x30 and begin + header[1] + header[2] == stop
