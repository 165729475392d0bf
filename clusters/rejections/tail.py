"""Following a log file through rotation, truncation and restarts, without losing or repeating a line.

What is followed is the content, not the name: a *stream* is named after the file's first line, so a file keeps its stream
when it is renamed, copied or compressed, and gets a new one when it is begun anew. A position is a byte of the content, and
lies after a line's end. Whoever takes the lines has the last word on the position.
"""

import gzip
import hashlib
import io
import json
import os
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, cast

FIRST_LINE = 2048  # bytes of the first line that name the stream
LONGEST_LINE = 256 * 1024  # a longer one is cut: nothing may hold up what follows


@dataclass(frozen=True, slots=True)
class Place:
    """How far a stream has been taken."""

    stream: str
    position: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """Whole lines of a stream, from `start` up to `end`."""

    stream: str
    start: int
    end: int
    data: bytes


@dataclass(slots=True)
class _Open:
    """A file being read. It may be called otherwise by now, or have no name at all."""

    file: BinaryIO
    stream: str
    head: bytes
    inode: int  # 0 = compressed: a file that nobody writes any more
    written: int  # when it was last written (ns), as long as it was itself
    position: int = 0

    def read(self, most: int) -> bytes:
        self.file.seek(self.position)
        return self.file.read(most)

    @property
    def base(self) -> str:
        """The stream's name by the first line alone."""
        return self.stream.partition("~")[0]

    def size(self) -> int:
        return self.file.seek(0, io.SEEK_END)

    def restarted(self) -> bool:
        """Whether the content was begun anew: a truncated file grows again under the same inode."""
        if self.inode == 0:
            return False
        written = os.fstat(self.file.fileno()).st_mtime_ns
        if os.pread(self.file.fileno(), len(self.head), 0) != self.head or self.shortened():
            return True
        self.written = written
        return False

    def shortened(self) -> bool:
        return self.inode != 0 and self.size() < self.position


class Tail:
    """Reads `path` and what its rotation makes of it. `place` is where the last run stood, kept at `kept_at` (ns)."""

    def __init__(
        self, path: Path, place: Place | None = None, *, kept_at: int = 0, most_bytes: int = 1024 * 1024
    ) -> None:
        self.path = path
        self.most_bytes = most_bytes
        self.lost: str = ""  # what is not to be found any more, as a sentence; the caller tells it and empties it
        self._place = place
        self._kept_at = kept_at
        self._open: _Open | None = None
        self._done: deque[str] = deque(maxlen=100)  # streams that were read to their end

    def read(self) -> Stretch | None:
        """The next lines, the same again until `taken`; None when there are none by now."""
        while True:
            now = self._open or self._begin()
            if now is None:
                return None
            if not now.restarted() and (data := _whole_lines(now.read(self.most_bytes))):
                return Stretch(now.stream, now.position, now.position + len(data), data)
            following = self._following(now)
            if following is None:
                return None
            if not now.restarted() and (data := now.read(self.most_bytes)):  # nobody will end its last line any more
                following.file.close()
                data = _whole_lines(data) or data
                return Stretch(now.stream, now.position, now.position + len(data), data)
            now.file.close()
            self._open = following

    def taken(self, place: Place) -> None:
        """Go on from there: the end of what was read, or wherever the taker says that the stream stands."""
        if self._open is not None and self._open.stream == place.stream:
            self._open.position = place.position

    def close(self) -> None:
        if self._open is not None:
            self._open.file.close()
            self._open = None

    def _begin(self) -> _Open | None:
        """Open what the place leads to, else what was written since it was kept."""
        place = self._place
        if place is not None:
            self._open = self._holding(place)
        if self._open is None and self._kept_at:
            self._open = self._next(None, self._kept_at)
            if self._open is not None:
                where = f"after byte {place.position:,}" if place is not None else "when it was last read"
                self.lost = f"What {self.path.name} held {where} is gone with the file, or has been sent."
        elif self._open is None:
            self._open = _opened(self.path)
        if self._open is not None:
            self._place, self._kept_at = None, 0
        return self._open

    def _holding(self, place: Place, but: int = -1) -> _Open | None:
        """The file with this content and more, `but` not this inode: under its own name, or one that rotation gave it."""
        for path in [self.path, *self._siblings()]:
            found = _opened(path)
            if found is None:
                continue
            if found.stream == place.stream.partition("~")[0] and found.inode != but and found.size() >= place.position:
                found.stream, found.position = place.stream, place.position
                return found
            found.file.close()
        return None

    def _following(self, now: _Open) -> _Open | None:
        """What is to be read after the file that is open, at its end; None while more may be written to that."""
        is_cut = now.restarted()
        try:
            if not is_cut and now.inode and self.path.stat().st_ino == now.inode:
                return None
        except OSError:
            return None  # just renamed: the next look finds the new file
        if is_cut:
            copy = self._holding(Place(now.stream, now.position), now.inode)
            if copy is not None and copy.size() > now.position:
                return copy
            if copy is not None:
                copy.file.close()
            again = _opened(self.path)
            if again is not None and again.stream == now.base:  # it begins with the same line as before
                return self._written_anew(again, now)
            if again is not None:
                again.file.close()
        # Whoever writes goes on with the old file until the new one has its first line.
        return self._next(now, now.written)

    def _next(self, now: _Open | None, after: int) -> _Open | None:
        """The oldest file written since `after` that has not been read to its end; the file itself where there is none."""
        done = {*self._done, *([now.base] if now is not None else [])}
        # Clocks of file systems are coarse: what is as old as the last may be younger. Who takes the lines knows better.
        paths = [path for path in reversed(self._siblings()) if _mtime(path) >= after]
        for path in [*paths, self.path]:
            found = _opened(path)
            if found is None:
                continue
            if path == self.path and now is not None and found.stream == now.base and found.inode != now.inode:
                return self._written_anew(found, now)
            if found.stream not in done:
                self._done.extend([now.base] if now is not None else [])
                return found
            found.file.close()
        return None

    def _written_anew(self, found: _Open, now: _Open) -> _Open:
        """The file under its name, which begins like the one that was read to its end but is another: a copy, or a new one."""
        if found.size() >= now.position:
            found.stream, found.position = now.stream, now.position
        else:
            found.stream = f"{found.stream}~{now.position}"
        return found

    def _siblings(self) -> list[Path]:
        """What rotation may have made of the file, newest first: log.1, log.2026-11-22, log-1.gz."""
        stem = self.path.name.removesuffix(".log")
        try:
            paths = [path for path in self.path.parent.iterdir() if path.name.startswith(stem) and path != self.path]
        except OSError:
            return []
        own = {"position", "new"}
        found = [path for path in paths if path.suffix.removeprefix(".") not in own and path.is_file()]
        return sorted(found, key=_mtime, reverse=True)


def load_place(path: Path) -> tuple[Place | None, int]:
    """The place kept in a file, None when it cannot be read, and when it was kept (ns), 0 when there is no such file."""
    kept_at = _mtime(path)
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return Place(str(kept["stream"]), int(kept["position"])), kept_at
    except (OSError, ValueError, KeyError, TypeError):
        return None, kept_at


def keep_place(path: Path, place: Place) -> None:
    """Keep a place so that a crash leaves the old one or the new one."""
    draft = path.with_name(f"{path.name}.new")
    with draft.open("w", encoding="utf-8") as file:
        json.dump({"stream": place.stream, "position": place.position}, file)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


def _opened(path: Path) -> _Open | None:
    """The file at its beginning; None when it is not there, or has no whole first line yet."""
    compressed = path.suffix == ".gz"
    try:
        file = cast("BinaryIO", gzip.open(path) if compressed else path.open("rb"))  # noqa: SIM115 - kept open
    except OSError:
        return None
    try:
        head = file.read(FIRST_LINE)
    except (OSError, EOFError):
        head = b""
    line, end, _ = head.partition(b"\n")
    if not end and len(head) < FIRST_LINE:
        file.close()
        return None
    head = line + end
    there = os.fstat(file.fileno())
    name = hashlib.sha256(head).hexdigest()[:32]
    return _Open(file, name, head, 0 if compressed else there.st_ino, there.st_mtime_ns)


def _whole_lines(data: bytes) -> bytes:
    """Up to the last line's end; all of it where one line is longer than any should be."""
    end = data.rfind(b"\n") + 1
    return data if end == 0 and len(data) >= LONGEST_LINE else data[:end]


def _mtime(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
