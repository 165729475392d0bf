"""Memory that is held and not needed."""

import ctypes
import functools
from collections.abc import Callable


def give_back() -> None:
    """Return freed memory to the system, where the C library can (glibc). Takes a few milliseconds."""
    _trim()(0)


def fitted(data: bytes) -> bytes:
    """A copy in a block of its own size: what orjson answers keeps a buffer of some kB, which counts in thousands of them."""
    return bytes(memoryview(data))


@functools.cache
def _trim() -> Callable[[int], object]:
    found: Callable[[int], object] = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)
    return found
