"""A followed file loses and doubles nothing: rotated, copied and truncated, compressed, cut off, and read by one who dies."""

import gzip
import itertools
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from clusters.rejections.ship import NotTaken, Shipper
from clusters.rejections.tail import LONGEST_LINE, Place, Stretch, Tail, keep_place, load_place


class Writer:
    """Writes numbered lines as a broker does, and rotates."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.written: list[bytes] = []
        self._numbers = itertools.count(1)
        self._rotated = itertools.count(1)
        self._file = path.open("ab", buffering=0)

    def write(self, count: int = 1) -> None:
        for number in itertools.islice(self._numbers, count):
            line = f"[2026-11-22 14:16:51,050] line {number} {'x' * (number % 37)}".encode()
            self._file.write(line + b"\n")
            self.written.append(line)

    def half(self) -> None:
        """Half a line: the writer is in the middle of it."""
        self._file.write(b"[2026-11-22 14:16:51,051] half")

    def other_half(self) -> None:
        self._file.write(b" a line\n")
        self.written.append(b"[2026-11-22 14:16:51,051] half a line")

    def rename(self, *, compress: bool = False) -> Path:
        """As log4j rolls: close, rename, open anew."""
        self._file.close()
        old = self.path.with_name(f"{self.path.name}.{next(self._rotated)}")
        self.path.rename(old)
        if compress:
            packed = old.with_name(f"{old.name}.gz")
            with gzip.open(packed, "wb") as file:
                file.write(old.read_bytes())
            shutil.copystat(old, packed)
            old.unlink()
            old = packed
        self._file = self.path.open("ab", buffering=0)
        return old

    def copy_and_truncate(self) -> None:
        """As logrotate's copytruncate."""
        shutil.copy2(self.path, self.path.with_name(f"{self.path.name}.{next(self._rotated)}"))
        os.truncate(self.path, 0)


class Taker:
    """A portal: takes a stretch where its stream stands, and says where that is."""

    def __init__(self) -> None:
        self.positions: dict[str, int] = {}
        self.lines: list[bytes] = []
        self.away = False
        self.dies_after_taking = False

    def __call__(self, stretch: Stretch, label: str) -> int:
        if self.away:
            raise NotTaken("nobody answers")
        position = self.positions.setdefault(stretch.stream, 0)
        if stretch.start == position:
            self.lines += stretch.data.splitlines()
            position = self.positions[stretch.stream] = stretch.end
            if self.dies_after_taking:
                raise KeyboardInterrupt
        return position


@pytest.fixture
def log(tmp_path: Path) -> Iterator[Writer]:
    writer = Writer(tmp_path / "kafka-authorizer.log")
    yield writer
    writer._file.close()


_made: list[Shipper] = []


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    while _made:
        _made.pop().tail.close()


def shipper(log: Writer, taker: Taker, said: list[str] | None = None) -> Shipper:
    return ship(log.path, log.path.with_name("kept"), taker, [] if said is None else said)


def ship(path: Path, kept: Path, taker: Taker, said: list[str]) -> Shipper:
    made = Shipper(path, kept, taker, said.append)
    _made.append(made)
    return made


def run(one: Shipper) -> None:
    while one.step():
        pass


def test_takes_whole_lines_as_they_come(log: Writer) -> None:
    taker = Taker()
    one = shipper(log, taker)
    run(one)
    log.write(3)
    log.half()
    run(one)
    assert taker.lines == log.written
    log.other_half()
    run(one)
    assert taker.lines == log.written


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("reader_lives", [True, False])
def test_goes_through_renamed_files_in_order(log: Writer, compress: bool, reader_lives: bool) -> None:
    """Two rotations while the portal is away: three files, each to its end, whether the reader was there or not."""
    taker = Taker()
    one = shipper(log, taker)
    log.write(5)
    run(one)
    taker.away = not reader_lives
    log.write(5)
    log.rename(compress=compress)
    log.write(4)
    log.rename(compress=compress)
    log.write(3)
    taker.away = False
    if not reader_lives:
        one.tail.close()
        one = shipper(log, taker)
    run(one)
    assert taker.lines == log.written


@pytest.mark.parametrize("reader_lives", [True, False])
def test_reads_the_rest_of_a_truncated_file_from_its_copy(log: Writer, reader_lives: bool) -> None:
    taker = Taker()
    one = shipper(log, taker)
    log.write(5)
    run(one)
    log.write(5)
    log.copy_and_truncate()
    log.write(40)  # longer than before: only the first line tells that it was truncated
    if not reader_lives:
        one.tail.close()
        one = shipper(log, taker)
    run(one)
    assert taker.lines == log.written


def test_a_file_that_is_truncated_and_begins_with_the_same_line_is_read_anew(log: Writer) -> None:
    taker = Taker()
    one = shipper(log, taker)
    log.path.write_bytes(b"same\nsecond\nthird\n")
    run(one)
    os.truncate(log.path, 0)
    log.path.write_bytes(b"same\n")
    run(one)
    one.tail.close()
    run(shipper(log, taker))
    assert taker.lines == [b"same", b"second", b"third", b"same"]


def test_a_reader_killed_after_the_portal_took_its_lines_doubles_none(log: Writer) -> None:
    taker = Taker()
    log.write(10)
    taker.dies_after_taking = True
    with pytest.raises(KeyboardInterrupt):
        run(shipper(log, taker))
    taker.dies_after_taking = False
    log.write(10)
    run(shipper(log, taker))
    assert taker.lines == log.written


def test_a_reader_killed_before_it_kept_anything_finds_the_rotated_file(log: Writer) -> None:
    taker = Taker()
    log.write(10)
    one = shipper(log, taker)
    one.tail.most_bytes = 100
    taker.dies_after_taking = True
    with pytest.raises(KeyboardInterrupt):
        one.step()
    taker.dies_after_taking = False
    log.rename()
    log.write(2)
    run(shipper(log, taker))
    assert taker.lines == log.written


def test_a_spoilt_position_file_costs_nothing(log: Writer) -> None:
    taker = Taker()
    log.write(10)
    run(shipper(log, taker))
    log.path.with_name("kept").write_text("{ half")
    log.write(3)
    log.rename()
    log.write(1)
    run(shipper(log, taker))
    assert taker.lines == log.written


def test_a_portal_that_lost_its_newest_data_gets_them_again(log: Writer) -> None:
    taker = Taker()
    one = shipper(log, taker)
    log.write(10)
    run(one)
    backup = dict(taker.positions)
    log.write(10)
    run(one)
    taker.positions, taker.lines = backup, taker.lines[:10]
    log.write(1)
    run(one)
    assert taker.lines == log.written


def test_what_is_gone_for_good_is_told(log: Writer) -> None:
    taker, said = Taker(), list[str]()
    one = shipper(log, taker)
    log.write(5)
    run(one)
    log.write(5)
    lost = log.written[5:10]
    one.tail.close()
    log.rename().unlink()
    log.write(2)
    run(shipper(log, taker, said))
    assert taker.lines == [line for line in log.written if line not in lost]
    assert "is gone with the file" in said[0]


def test_a_file_that_comes_later_is_awaited(tmp_path: Path) -> None:
    taker = Taker()
    one = ship(tmp_path / "later.log", tmp_path / "kept", taker, [])
    assert not one.step()
    (tmp_path / "later.log").write_bytes(b"first\n")
    run(one)
    assert taker.lines == [b"first"]


def test_a_line_without_end_holds_up_nothing(log: Writer) -> None:
    taker = Taker()
    log.path.write_bytes(b"a" * (2 * LONGEST_LINE + 5) + b"\nnext\n")
    one = shipper(log, taker)
    one.tail.most_bytes = LONGEST_LINE
    run(one)
    assert b"".join(taker.lines) == b"a" * (2 * LONGEST_LINE + 5) + b"next"
    assert taker.lines[-1] == b"next"


def test_a_directory_where_no_position_can_be_kept_stops_nothing(log: Writer, tmp_path: Path) -> None:
    taker, said = Taker(), list[str]()
    log.write(3)
    one = ship(log.path, tmp_path / "no" / "kept", taker, said)
    run(one)
    log.write(3)
    run(one)
    assert taker.lines == log.written
    assert len(said) == 1


def test_a_kept_place_is_read_back(tmp_path: Path) -> None:
    keep_place(tmp_path / "kept", Place("s", 17))
    place, kept_at = load_place(tmp_path / "kept")
    assert (place, kept_at > 0) == (Place("s", 17), True)
    assert load_place(tmp_path / "none") == (None, 0)


@pytest.mark.parametrize("seed", range(60))
def test_any_course_of_writes_rotations_and_deaths_delivers_every_line_once(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    log, taker = Writer(tmp_path / "server.log"), Taker()
    log.write(1)
    one = shipper(log, taker)
    one.step()
    for _ in range(60):
        match chance.randrange(9):
            case 0 | 1 | 2:
                log.write(chance.randrange(1, 30))
            case 3 | 4:
                one.tail.most_bytes = chance.choice([100, 1000, 10**6])
                one.step()
            case 5 if log.path.stat().st_size:
                log.rename(compress=chance.random() < 0.3)
            case 6 if log.path.stat().st_size:
                log.copy_and_truncate()
            case 7:
                one.tail.close()  # killed; perhaps just after the portal took its lines
                one = shipper(log, taker)
                taker.dies_after_taking = chance.random() < 0.3
                try:
                    one.step()
                except KeyboardInterrupt:
                    one.tail.close()
                    one = shipper(log, taker)
                taker.dies_after_taking = False
            case _:
                run(one)
    log.write(1)
    run(one)
    log._file.close()
    one.tail.close()
    assert sorted(taker.lines) == sorted(log.written)


def test_a_tail_shows_the_same_until_it_is_taken(log: Writer) -> None:
    log.write(2)
    tail = Tail(log.path)
    first = tail.read()
    assert first == tail.read()
    assert first is not None
    tail.taken(Place(first.stream, first.end))
    assert tail.read() is None
    tail.close()
