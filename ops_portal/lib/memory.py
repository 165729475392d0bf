"""Memory that was freed and is still held by the C library."""

import ctypes
import functools
from collections.abc import Callable


def give_back() -> None:
    """Return freed memory to the system, where the C library can (glibc). Takes a few milliseconds."""
    _trim()(0)


@functools.cache
def _trim() -> Callable[[int], object]:
    found: Callable[[int], object] = getattr(ctypes.CDLL(None), "malloc_trim", lambda _: None)
    return found
