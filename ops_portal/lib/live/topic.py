"""One watched view key in a web process: its rows, its recent deltas and the slots that show it."""

import time
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

from ops_portal.lib.live import frames, rows
from ops_portal.lib.live.store import State
from ops_portal.lib.live.views import ViewKey

if TYPE_CHECKING:
    from ops_portal.lib.live.socket import Slot

RING_SECONDS = 120.0
LOCAL = "local-"  # how epochs begin of a process that reads Postgres alone because the server is away
_LONGEST_RING = 600
_LARGE_SNAPSHOT = 256 * 1024  # characters; above, the browser is sent to HTTP, where it comes compressed


@dataclass(frozen=True, slots=True)
class Entry:
    """One delta: from sequence number `ps` to `s`. `at` is the monotonic time it came; `body` is what sockets share."""

    s: int
    ps: int
    at: float
    rows: list[Sequence[Any]]
    deleted: list[str]
    body: str


@dataclass(frozen=True, slots=True)
class News:
    """What one publish says: the delta, the state it leads to, and the one it follows (None: not told)."""

    epoch: str
    pid: str
    previous: str | None
    ts: float | None
    entry: Entry

    @classmethod
    def parse(cls, payload: bytes) -> "News":
        """From the text that `publish` sends: `<epoch> <pid> <pid before>`, a line end, the body."""
        header, _, body = payload.partition(b"\n")
        epoch, pid, *previous = header.decode().split(" ")
        text = body.decode()
        fields = orjson.loads("{" + text)
        entry = Entry(fields["s"], fields["ps"], time.monotonic(), fields["rows"], fields["del"], text)
        return cls(epoch, pid, previous[0] if previous else None, fields["ts"], entry)


class Topic:
    """State and readers of one key. `seq` and `epoch` say where it is; an empty epoch means not loaded yet."""

    def __init__(self, key: ViewKey) -> None:
        self.key = key
        self.epoch = ""
        self.seq = 0
        self.pid = ""
        self.table = rows.Table(key.view.columns, key.view.time_index)
        self.ring: deque[Entry] = deque(maxlen=_LONGEST_RING)
        self.slots: dict[Slot, None] = {}
        self.stale_why: str | None = None
        self.stale_since: float | None = None
        self.period: float | None = None  # seconds between two readings of the source, None when there is no rhythm
        self.loading = False
        self.missed = False  # something was missed while it was loading
        self.reread = False  # Postgres may know more than was published
        self.failed = False  # the last reading raised
        self.empty_since: float | None = None  # monotonic, like all below
        self.checked_at = 0.0  # when it was last read from Postgres
        self.local_rows: dict[str, bytes] = {}  # what was read then, while the server was away
        self._snapshot: str | None = None
        self._merged: dict[int, str] = {}

    def reset(self, state: State) -> None:
        """Take over a whole state; what is known of the past is void unless it is the same epoch."""
        time_index = self.key.view.time_index
        self.epoch, self.seq, self.pid = state.epoch, state.seq, state.pid
        self.table = rows.Table(self.key.view.columns, time_index, state.ts)
        self.table.rows = {name: rows.wire_row(row, time_index, state.ts) for name, row in state.rows.items()}
        self.ring.clear()
        self._forget_encoded()

    @property
    def local(self) -> bool:
        """True while the rows are this process's own reading."""
        return self.epoch.startswith(LOCAL)

    def take_local(self, state: State) -> None:
        """Take over a reading of this process: as a delta against its last one, if there is one."""
        if not self.local:
            self.reset(state)
            self.local_rows = state.rows
            return
        delta = rows.difference(self.key.view, self.local_rows, state.rows, state.ts)
        self.local_rows = state.rows
        if delta or state.ts != self.table.ts:
            body = frames.delta_body(self.seq + 1, self.seq, state.ts, delta.rows, delta.deleted)
            entry = Entry(self.seq + 1, self.seq, time.monotonic(), list(delta.rows), delta.deleted, body)
            self.append(News(self.epoch, "", None, state.ts, entry))

    def prepend(self, entries: list[Entry]) -> None:
        """Fill the ring with deltas that led to the present state, so that readers of before can catch up."""
        wanted = self.seq
        for entry in reversed(entries):
            if entry.s == wanted:
                self.ring.appendleft(entry)
                wanted = entry.ps

    def offer(self, news: News) -> bool:
        """Take news that follows the present state; old news is no news.

        False when something in between is missing, or when numbers fit and publish ids do not: then the server has lost
        what it had told, and goes on under the same numbers.
        """
        if news.epoch == self.epoch and news.entry.s <= self.seq:
            return news.entry.s < self.seq or news.pid == self.pid
        if news.epoch != self.epoch or news.entry.ps != self.seq or news.previous not in {None, self.pid}:
            return False
        self.append(news)
        return True

    def replay(self, found: list[News], seq: int, pid: str) -> bool | None:
        """Take what the stream has from `seq` on, where the topic was (published as `pid`) when it asked.

        False when the stream has been cut; None when it contradicts what the topic was told before.
        """
        if not found or found[0].entry.s > seq:
            return False
        if found[0].pid != pid:
            return None
        return all(self.offer(news) for news in found)

    def append(self, news: News) -> None:
        """Apply the delta that follows the present state."""
        entry = news.entry
        self.table.apply(news.ts, entry.rows, entry.deleted)
        self.seq, self.pid = entry.s, news.pid
        self.ring.append(entry)
        while self.ring[0].at < entry.at - RING_SECONDS:
            self.ring.popleft()
        self._forget_encoded()

    def covers(self, seq: int) -> bool:
        """True when a reader at `seq` can be brought here by deltas."""
        return seq == self.seq or bool(self.ring and self.ring[0].ps <= seq < self.seq)

    def delta_body(self, seq: int) -> str:
        """The body of one delta from `seq`, which must be covered, to the present; encoded once for all who ask."""
        if self.ring and self.ring[-1].ps == seq:
            return self.ring[-1].body
        body = self._merged.get(seq)
        if body is None:
            passed = ((entry.rows, entry.deleted) for entry in self.ring if entry.s > seq)
            delta = rows.merge(passed, self.table.rows)
            body = frames.delta_body(self.seq, seq, self.table.ts, delta.rows, delta.deleted)
            self._merged[seq] = body
        return body

    def snapshot_body(self) -> str:
        """The body of a snapshot frame; empty when it is too large for the socket."""
        if self._snapshot is None:
            view = self.key.view
            wire = ([name, *row] for name, row in self.table.rows.items())
            body = frames.snapshot_body(
                self.epoch, self.seq, self.table.ts, view.key, view.columns, view.time_column, wire
            )
            self._snapshot = body if len(body) <= _LARGE_SNAPSHOT else ""
        return self._snapshot

    def wake(self) -> None:
        """Have every socket that shows this view look for news."""
        for slot in self.slots:
            slot.socket.poke()

    def _forget_encoded(self) -> None:
        self._snapshot = None
        self._merged.clear()
