"""The files of a run that hold samples: `traces.csv`, `broker-*-cpu.csv`, `replication-lag.csv`, `broker-metrics`.

They are read as a stream: memory does not grow with the file. A line that cannot be read is a problem, not the end.
"""

import csv
import gzip
import io
import math
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families

from clusters.load_tests.timeline import Timeline

LARGEST_FILE = 2_000_000_000  # bytes, unpacked
LARGEST_EXPOSITION = 50_000_000
MOST_SERIES = 20_000
MOST_PROBLEMS = 50
_LONGEST_LINE = 65_536
_OTHERS_NAMED = 5
_STEP = 1_000_000  # bytes between two calls of `progress`
_FIRST_MOMENT, _LAST_MOMENT = 946_684_800, 7_258_118_400  # 2000 and 2200: what lies outside is no time of a test

Progress = Callable[[int], None]  # bytes of the file read so far; may raise TimeIsUp


class TimeIsUp(Exception):
    """The reading has to stop; what has been read counts. The message says why."""


class UnreadableFile(ValueError):
    """Nothing of the file can be used; the message says why."""


@dataclass(slots=True)
class Problems:
    """What could not be read, the first ones by line. `cut`: files that were not read to their end."""

    rows: list[dict[str, object]] = field(default_factory=list)
    count: int = 0
    cut: list[str] = field(default_factory=list)

    def add(self, file: str, line: int | None, text: str) -> None:
        """One problem; the first `MOST_PROBLEMS` are kept, all are counted."""
        self.count += 1
        if len(self.rows) < MOST_PROBLEMS:
            self.rows.append({"file": file, "line": line, "text": text[:300]})

    def stop(self, file: str, line: int | None, text: str) -> None:
        """The rest of a file is missing; this is never among the problems that are only counted."""
        self.count += 1
        self.rows.insert(0, {"file": file, "line": line, "text": text[:300]})
        del self.rows[MOST_PROBLEMS:]
        self.cut.append(file)


def read_traces(
    path: Path, name: str, wanted: Collection[str], problems: Problems, progress: Progress
) -> dict[str, Timeline]:
    """Samples of the metrics in `wanted` by name, out of k6's `--out csv` or of `timestamp,latency_ms[,messages]`.

    The second form gives `produce_latency` (ms) and, with the column, `messages`.
    """
    with _table(path, name, problems, progress) as (columns, rows):
        if columns[:3] == ["metric_name", "timestamp", "metric_value"]:
            return _k6_traces(name, rows, wanted, problems)
        moment, latency = _column(columns, "timestamp", "time"), _column(columns, "latency_ms", "duration_ms")
        if moment is None or latency is None:
            raise UnreadableFile(
                f"{name} has neither the columns of k6 (metric_name,timestamp,metric_value) nor timestamp,latency_ms"
            )
        found = {"produce_latency": Timeline()}
        messages = _column(columns, "messages", "count")
        if messages is not None:
            found["messages"] = Timeline()
        for line, row in rows:
            try:
                at = parse_moment(row[moment])
                found["produce_latency"].add(at, float(row[latency]))
                if messages is not None:
                    found["messages"].add(at, float(row[messages]))
            except (ValueError, IndexError) as error:
                problems.add(name, line, f"line skipped: {error}")
        if not found["produce_latency"].slots:
            raise UnreadableFile(f"{name} holds no sample that can be read")
        return found


def read_series(
    path: Path, name: str, values: tuple[str, ...], problems: Problems, progress: Progress
) -> tuple[str, Timeline]:
    """(column, samples over time) of a CSV with a timestamp and one of the columns `values`."""
    with _table(path, name, problems, progress) as (columns, rows):
        moment, value = _column(columns, "timestamp", "time"), _column(columns, *values)
        if moment is None or value is None:
            raise UnreadableFile(f"{name} needs the columns timestamp and one of {', '.join(values)}")
        timeline = Timeline()
        for line, row in rows:
            try:
                timeline.add(parse_moment(row[moment]), float(row[value].rstrip("% ")))
            except (ValueError, IndexError) as error:
                problems.add(name, line, f"line skipped: {error}")
        if not timeline.slots:
            raise UnreadableFile(f"{name} holds no sample that can be read")
        return columns[value], timeline


def read_exposition(path: Path, name: str, problems: Problems) -> list[tuple[str, dict[str, str], float]]:
    """(name, labels, value) of Prometheus text; what follows a broken line is lost, and said."""
    if path.stat().st_size > LARGEST_EXPOSITION:
        raise UnreadableFile(f"{name} is larger than {LARGEST_EXPOSITION // 1_000_000} MB")
    found: list[tuple[str, dict[str, str], float]] = []
    text = path.read_bytes().decode("utf-8", errors="replace")
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if not math.isfinite(sample.value):
                    continue
                if len(found) >= MOST_SERIES:
                    problems.add(name, None, f"more than {MOST_SERIES:,} series: the rest is left out")
                    return found
                found.append((sample.name, dict(sample.labels), float(sample.value)))
    except (ValueError, IndexError) as error:
        problems.add(name, None, f"not Prometheus text from here on: {str(error)[:120]}")
    if not found:
        raise UnreadableFile(f"{name} holds no series")
    return found


def parse_moment(text: str) -> float:
    """Seconds since epoch out of unix time in s, ms, us or ns, or ISO 8601 (UTC where no zone is given)."""
    try:
        value = float(text)
    except ValueError:
        found = datetime.fromisoformat(text.strip())
        value = (found if found.tzinfo else found.replace(tzinfo=UTC)).timestamp()
    else:
        if not 0 < value < math.inf:
            raise ValueError(f"{text[:40]} is no time")
        value /= next((unit for limit, unit in ((1e11, 1.0), (1e14, 1e3), (1e17, 1e6)) if value < limit), 1e9)
    if not _FIRST_MOMENT <= value < _LAST_MOMENT:
        raise ValueError(f"{text[:40]} is no time since 2000")
    return value


def _k6_traces(
    name: str, rows: Iterator[tuple[int, list[str]]], wanted: Collection[str], problems: Problems
) -> dict[str, Timeline]:
    found: dict[str, Timeline] = {}
    others: set[str] = set()
    for line, row in rows:
        try:
            metric = row[0]
            if metric not in wanted:
                if len(others) < _OTHERS_NAMED:
                    others.add(metric[:60])
                continue
            timeline = found.get(metric)
            if timeline is None:
                timeline = found[metric] = Timeline()
            timeline.add(parse_moment(row[1]), float(row[2]))
        except (ValueError, IndexError) as error:
            problems.add(name, line, f"line skipped: {error}")
    if not any(timeline.slots for timeline in found.values()):
        held = f"; it holds {', '.join(sorted(others))}: name one in a threshold" if others else ""
        raise UnreadableFile(f"{name} holds no sample of a metric that is looked for{held}")
    return found


@contextmanager
def _table(
    path: Path, name: str, problems: Problems, progress: Progress
) -> Iterator[tuple[list[str], Iterator[tuple[int, list[str]]]]]:
    with path.open("rb") as raw:
        packed = raw.read(2) == b"\x1f\x8b"
        raw.seek(0)
        source: io.BufferedIOBase = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if packed else raw
        size = path.stat().st_size

        def tell() -> None:
            try:
                progress(raw.tell())
            except TimeIsUp as stop:
                raise TimeIsUp(f"{stop} Read until there: {raw.tell() / size:.0%} of the file.") from stop

        rows = _rows(source, name, problems, tell)
        try:
            _line, header = next(rows)
        except StopIteration:
            raise UnreadableFile(f"{name} is empty or damaged from its start") from None
        yield [column.strip().lower().lstrip("\ufeff") for column in header], rows


def _rows(
    source: io.BufferedIOBase, name: str, problems: Problems, progress: Callable[[], None]
) -> Iterator[tuple[int, list[str]]]:
    """Lines as fields. Each stands for itself: a quote that is never closed costs its own line, not the file."""
    read, told, number = 0, 0, 0
    while line := _line(source, name, number, problems):
        number += 1
        read += len(line)
        if read > LARGEST_FILE:
            problems.stop(
                name, number, f"larger than {LARGEST_FILE // 1_000_000_000} GB unpacked: the rest is left out"
            )
            return
        if read - told >= _STEP:
            told = read
            try:
                progress()
            except TimeIsUp as stop:
                problems.stop(name, number, str(stop))
                return
        text = line.decode("utf-8", errors="replace").rstrip("\r\n")
        if '"' in text:
            try:
                yield number, next(csv.reader([text]))
            except csv.Error as error:
                problems.add(name, number, f"line skipped: {error}")
        elif text:
            yield number, text.split(",")


def _line(source: io.BufferedIOBase, name: str, number: int, problems: Problems) -> bytes:
    try:
        return source.readline(_LONGEST_LINE)
    except (OSError, EOFError, zlib.error) as error:
        problems.stop(name, number, f"packed, and damaged after this line: {error}")
        return b""


def _column(columns: list[str], *names: str) -> int | None:
    return next((columns.index(name) for name in names if name in columns), None)
