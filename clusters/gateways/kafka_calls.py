"""Many Kafka admin calls in flight at little cost.

confluent-kafka's public AdminClient makes a `Future` per partition and two per group and copies each answer between them:
half of the CPU of a reading cycle. The C part below it takes any object with `set_result` and `set_exception` in place of
the future, so a `Reply` puts the whole answer with the time of its arrival into one queue. This file and `kafka.py` are
the only ones that know; a test compares the answers with those of the public calls.
"""

import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any, Generic, TypeVar

from ops_portal.lib.resilience import Deadline

Key = TypeVar("Key")
# The client gives up by itself at the timeout of a call; only one that hangs has to be waited for longer.
GRACE_SECONDS = 0.5
# The last calls end this long before the deadline, so that their answers are still read.
MARGIN_SECONDS = 0.1


@dataclass(slots=True)
class Answer(Generic[Key]):
    """What came back for `key`: `value`, or `error` when the call failed. `at` is monotonic seconds of the arrival."""

    key: Key
    at: float
    value: Any = None
    error: BaseException | None = None


class Reply(Generic[Key]):
    """Stands in for the Future that the C client completes from a thread of its own."""

    __slots__ = ("_inbox", "_key")

    def __init__(self, inbox: "SimpleQueue[Answer[Key]]", key: Key) -> None:
        self._inbox = inbox
        self._key = key

    def set_result(self, value: Any) -> None:
        self._inbox.put(Answer(self._key, time.monotonic(), value=value))

    def set_exception(self, error: BaseException) -> None:
        self._inbox.put(Answer(self._key, time.monotonic(), error=error))


def in_flight(
    keys: Iterable[Key],
    send: Callable[[Key, Reply[Key], float], None],
    *,
    window: int,
    call_seconds: float,
    deadline: Deadline,
) -> Iterator[Answer[Key]]:
    """Call `send(key, reply, timeout seconds)` for every key, at most `window` unanswered at a time; yield each answer.

    Ends when all are answered or the deadline has passed: a key without an answer by then was not answered in time.
    An exception of `send` is that key's answer.
    """
    inbox: SimpleQueue[Answer[Key]] = SimpleQueue()
    waiting = iter(keys)
    open_calls = 0
    while True:
        while open_calls < window and deadline.remaining() > 0:
            try:
                key = next(waiting)
            except StopIteration:
                break
            open_calls += 1
            reply = Reply(inbox, key)
            try:
                send(key, reply, max(0.05, min(call_seconds, deadline.remaining() - MARGIN_SECONDS)))
            except Exception as error:  # noqa: BLE001 - the client raises many kinds; it is this key's answer
                reply.set_exception(error)
        if not open_calls:
            return
        try:
            answer = inbox.get(timeout=min(call_seconds + GRACE_SECONDS, deadline.remaining()))
        except Empty:
            return
        open_calls -= 1
        yield answer
