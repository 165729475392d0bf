"""Load tests: taking their files, reading them with progress, cancelling, and giving up on a reading that was lost."""

import logging
import shutil
import time
import uuid
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import UploadedFile
from django.db import transaction
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import User
from accounts.services import audit_record
from clusters.load_tests.files import TimeIsUp
from clusters.load_tests.run import KINDS, Run, kind_of, read_run
from clusters.load_tests.states import Status, Via
from clusters.load_tests.thresholds import DEFAULT_THRESHOLDS, BadThreshold, parse
from clusters.models import Cluster, LoadTest
from ops_portal.lib.clock import as_datetime

logger = logging.getLogger(__name__)

LIMIT_BYTES = 2_000_000_000  # all files of one load test
MOST_FILES = 60
MOST_THRESHOLDS = 50
MOST_METRICS = 300
MOST_BROKER_METRICS = 500
READ_SECONDS = 480.0  # by a worker
COMMAND_SECONDS = 4 * 3600.0  # at a terminal, where a person can stop it
LOST_SECONDS = 120.0  # without progress: the worker is gone
UNCLAIMED_SECONDS = 900.0
ORPHAN_SECONDS = 6 * 3600.0
_TELL_SECONDS = 0.5
_LATEST = 7_258_118_400.0  # the year 2200

Place = Callable[[Path], None]  # puts a file's content at the path


class Stopped(Exception):
    """The reading has to end; the message says why."""


class Cancelled(Stopped):
    """A person asked for it."""


@dataclass(frozen=True, slots=True)
class Offered:
    """One file that is brought in."""

    name: str
    size: int
    place: Place


def uploaded(upload: UploadedFile) -> Offered:
    """A file of a form. What lies on the disk already is moved, not copied."""

    def place(target: Path) -> None:
        path = getattr(upload, "temporary_file_path", None)
        if path is not None:
            shutil.move(path(), target)
            return
        with target.open("wb") as kept:
            for chunk in upload.chunks():
                kept.write(chunk)

    return Offered(Path(upload.name or "").name, upload.size or 0, place)


def found_at(path: Path) -> Offered:
    """A file of a directory; it is read where it lies."""
    return Offered(path.name, path.stat().st_size, lambda target: target.symlink_to(path.resolve()))


def load_test_begin(
    *,
    name: str,
    cluster: Cluster | None,
    thresholds: Sequence[str],
    files: Iterable[Offered],
    acting_user: User | None,
    via: Via,
    send: Callable[[int], None] | None,
) -> LoadTest:
    """Keep the files and have them read by `send(id)`; None = the caller reads. Raises ValidationError by field."""
    offered = list(files)
    wanted = _thresholds(thresholds)
    _check_files(offered)
    directory = uuid.uuid4().hex
    place = directory_of(directory)
    try:
        place.mkdir(parents=True, mode=0o700)
        for one in offered:
            if kind_of(one.name):
                one.place(place / one.name)
        with transaction.atomic():
            row = LoadTest.objects.create(
                name=name.strip()[:120] or _name_of(offered),
                cluster=cluster,
                brought_by=acting_user,
                brought_by_name=acting_user.username if acting_user else "system",
                via=via.value,
                directory=directory,
                thresholds=wanted,
                files=[{"name": one.name, "kind": kind_of(one.name), "bytes": one.size} for one in offered],
                bytes_total=sum(one.size for one in offered if kind_of(one.name)),
            )
            audit_record(
                action="clusters.load_test_begun",
                entity=f"load test {row.pk} {row.name}",
                before=None,
                after={"files": [one.name for one in offered], "thresholds": wanted, "via": via.value},
                acting_user=acting_user,
            )
    except BaseException:
        shutil.rmtree(place, ignore_errors=True)
        raise
    if send is not None:
        try:
            send(row.pk)
        except Exception:
            logger.exception("load_test.not_sent %s", row.pk)
            _end(row, Status.FAILED, error="The queue of jobs does not answer; bring the files in again later.")
    row.refresh_from_db()
    return row


def load_test_read(*, pk: int, seconds: float = READ_SECONDS) -> str:
    """Read the files of a load test that nobody reads yet, judge it, and remove the files. Returns a sentence."""
    claimed = LoadTest.objects.filter(pk=pk, status=Status.IMPORTING.value, claimed_at__isnull=True)
    if not claimed.update(claimed_at=Now(), told_at=Now()):
        return f"Load test {pk} is not waiting to be read."
    row = LoadTest.objects.get(pk=pk)
    try:
        files = {path.name: path for path in directory_of(row.directory).iterdir()}
        run = read_run(files, [parse(text) for text in row.thresholds], _Teller(row, seconds))
        _finish(row, run)
    except Cancelled:
        _end(row, Status.CANCELLED)
    except Stopped as stopped:
        _end(row, Status.FAILED, error=str(stopped))
    except FileNotFoundError:
        _end(row, Status.FAILED, error="The files are not here: web and worker must share the directory of data.")
    except Exception as error:
        logger.exception("load_test.failed %s", pk)
        _end(row, Status.FAILED, error=f"The files could not be read: {type(error).__name__}: {error}"[:500])
    finally:
        shutil.rmtree(directory_of(row.directory), ignore_errors=True)
    row.refresh_from_db(fields=["status"])
    return f"Load test {pk}: {row.status}."


def load_test_cancel(*, load_test: LoadTest, acting_user: User | None) -> None:
    """End the reading; one that has not begun ends at once, one that goes on within a second or two."""
    with transaction.atomic():
        row = LoadTest.objects.select_for_update().get(pk=load_test.pk)
        if row.status != Status.IMPORTING.value or row.cancel_asked:
            return
        row.cancel_asked = True
        row.save(update_fields=["cancel_asked"])
        if row.claimed_at is None:
            _end(row, Status.CANCELLED)
        audit_record(
            action="clusters.load_test_cancelled",
            entity=f"load test {row.pk} {row.name}",
            before={"status": "importing"},
            after={"status": "cancelled"},
            acting_user=acting_user,
        )
    if row.claimed_at is None:
        shutil.rmtree(directory_of(row.directory), ignore_errors=True)


def load_test_remove(*, load_test: LoadTest, acting_user: User | None) -> None:
    """Remove a load test that is over. Raises ValidationError while it is read."""
    with transaction.atomic():
        row = LoadTest.objects.select_for_update().get(pk=load_test.pk)
        if row.status == Status.IMPORTING.value:
            raise ValidationError("Cancel the reading first.")
        audit_record(
            action="clusters.load_test_removed",
            entity=f"load test {row.pk} {row.name}",
            before={"status": row.status, "verdicts": row.verdicts},
            after=None,
            acting_user=acting_user,
        )
        row.delete()


def load_tests_settle() -> int:
    """Fail readings whose worker is gone or that none took; remove directories that nobody needs. How many were failed."""
    lost = LoadTest.objects.filter(status=Status.IMPORTING.value).filter(
        Q(claimed_at__isnull=False, told_at__lt=Now() - timedelta(seconds=LOST_SECONDS))
        | Q(claimed_at__isnull=True, created_at__lt=Now() - timedelta(seconds=UNCLAIMED_SECONDS))
    )
    count = 0
    for row in lost:
        why = "The worker that read the files has ended." if row.claimed_at else "No worker took the files to read."
        count += _end(row, Status.FAILED, error=f"{why} Bring them in again.")
        shutil.rmtree(directory_of(row.directory), ignore_errors=True)
    _remove_orphans()
    return count


def directory_of(name: str) -> Path:
    """Where the files of a load test are until they have been read."""
    return Path(settings.PORTAL_VAR) / "load-tests" / name


class _Teller:
    """Writes progress down at most twice a second; ends the reading when somebody asks for it, or the file when time is up."""

    def __init__(self, row: LoadTest, seconds: float) -> None:
        self.row = row
        self.until = time.monotonic() + seconds
        self.seconds = seconds
        self.next = 0.0

    def __call__(self, file: str, read: int, whole: int) -> None:
        now = time.monotonic()
        if now > self.until:
            raise TimeIsUp(f"Stopped after {self.seconds:.0f} s: the rest is left out.")
        if now < self.next and read < whole:
            return
        self.next = now + _TELL_SECONDS
        rows = LoadTest.objects.filter(pk=self.row.pk, status=Status.IMPORTING.value)
        if not rows.update(step=file[:160], bytes_read=read, bytes_total=whole, told_at=Now()):
            raise Stopped("The reading was given up meanwhile.")
        if rows.filter(cancel_asked=True).exists():
            raise Cancelled("cancelled")


def _finish(row: LoadTest, run: Run) -> None:
    left_out = [
        {"file": file["name"], "line": None, "text": "not one of the files of a load test: left out"}
        for file in row.files
        if file["kind"] is None
    ]
    started, ended = _span(run)
    _end(
        row,
        Status.DONE,
        run_started_at=_moment(started),
        run_ended_at=_moment(ended),
        verdicts=_storable([asdict(one) for one in run.judged]),
        contradictions=_storable(run.contradictions),
        metrics=_storable([asdict(one) for one in list(run.metrics.values())[:MOST_METRICS]]),
        series={
            "latency_metric": run.latency_metric,
            "rate_metric": run.rate_metric,
            "latency": run.latency,
            "throughput": run.throughput,
            "broker_cpu": run.broker_cpu,
            "replication_lag": run.replication_lag,
            "replication_unit": run.replication_unit,
            "broker_metrics": _storable(run.broker_metrics[:MOST_BROKER_METRICS]),
            "broker_metrics_count": len(run.broker_metrics),
            "cut": run.problems.cut,
        },
        problems=_storable([*left_out, *run.problems.rows]),
        problem_count=run.problems.count + len(left_out),
        bytes_read=row.bytes_total,
    )


def _storable(value: Any) -> Any:
    """The value without the one character that the database refuses: names come out of files as they are."""
    if isinstance(value, str):
        return value.replace("\0", "")
    if isinstance(value, dict):
        return {_storable(name): _storable(inner) for name, inner in value.items()}
    return [_storable(inner) for inner in value] if isinstance(value, list | tuple) else value


def _moment(at: float | None) -> datetime | None:
    """When a run began or ended; None for what a summary states and no calendar holds."""
    return as_datetime(at) if at is not None and 0 <= at <= _LATEST else None


def _end(row: LoadTest, status: Status, **fields: Any) -> int:
    """How many were still being read: a reading that somebody gave up writes nothing more."""
    rows = LoadTest.objects.filter(pk=row.pk, status=Status.IMPORTING.value)
    return rows.update(status=status.value, ended_at=Now(), told_at=Now(), **fields)


def _span(run: Run) -> tuple[float | None, float | None]:
    """When the run was: by its traces or summary, else by what stands beside it."""
    if run.started_at is not None:
        return run.started_at, run.ended_at
    series: list[Sequence[Sequence[float]]] = [run.replication_lag, *run.broker_cpu.values()]
    times = [float(point[0]) for points in series for point in points]
    return (min(times), max(times)) if times else (None, None)


def _thresholds(texts: Sequence[str]) -> list[str]:
    given = [text.strip() for text in texts if text.strip()] or list(DEFAULT_THRESHOLDS)
    if len(given) > MOST_THRESHOLDS:
        raise ValidationError({"threshold": f"At most {MOST_THRESHOLDS} thresholds."})
    try:
        return [parse(text).text for text in dict.fromkeys(given)]
    except BadThreshold as error:
        raise ValidationError({"threshold": str(error)}) from error


def _check_files(offered: Sequence[Offered]) -> None:
    names = [one.name for one in offered]
    known = ", ".join(patterns[0] for patterns in KINDS.values())
    problem = ""
    if not offered:
        problem = f"Choose at least one of {known}."
    elif len(offered) > MOST_FILES:
        problem = f"At most {MOST_FILES} files."
    elif len(set(names)) < len(names):
        problem = "Two files have the same name."
    elif not any(kind_of(name) for name in names):
        problem = f"None of these is a file of a load test: {known}."
    elif (whole := sum(one.size for one in offered)) > LIMIT_BYTES:
        largest = max(offered, key=lambda one: one.size)
        problem = (
            f"All files together are larger than {LIMIT_BYTES // 1_000_000_000} GB: {whole:,} bytes, of which "
            f"{largest.name} has {largest.size:,}. Bring in a part of it, or the summary alone."
        )
    if problem:
        raise ValidationError({"files": problem})


def _name_of(offered: Sequence[Offered]) -> str:
    kinds = [kind for kind in KINDS if any(kind_of(one.name) == kind for one in offered)]
    return f"Load test ({', '.join(kind.replace('_', ' ') for kind in kinds)})"[:120]


def _remove_orphans() -> None:
    root = directory_of("")
    needed = set(LoadTest.objects.filter(status=Status.IMPORTING.value).values_list("directory", flat=True))
    if not root.is_dir():
        return
    for path in root.iterdir():
        if path.name not in needed and time.time() - path.stat().st_mtime > ORPHAN_SECONDS:
            shutil.rmtree(path, ignore_errors=True)
