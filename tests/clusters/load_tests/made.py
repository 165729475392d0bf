"""A load test that has been read, out of real files."""

import tempfile
from pathlib import Path
from typing import Any

from accounts.models import User
from clusters.load_tests.states import Via
from clusters.models import Cluster, LoadTest
from clusters.services.load_tests import Offered, found_at, load_test_begin, load_test_read

START = 1_790_000_000
THRESHOLDS = ("p95<10", "p99<100", "rate>80000")


def write_files(directory: Path, *, seconds: int = 10, latency_ms: float = 4.0, per_second: int = 90_000) -> list[Offered]:  # fmt: skip
    """A run of our own generator's form with a tail of slow records, its brokers and its replication lag."""
    rows = [
        f"{START + second}.{part},{latency_ms * (9 if part == 9 else 1)},{per_second // 10}\n"
        for second in range(seconds)
        for part in range(10)
    ]
    (directory / "traces.csv").write_text("timestamp,latency_ms,messages\n" + "".join(rows))
    for broker in (1, 2):
        lines = [f"{START + second},{30 * broker + second % 7}\n" for second in range(seconds)]
        (directory / f"broker-{broker}-cpu.csv").write_text("timestamp,cpu_percent\n" + "".join(lines))
    lag = [f"{START + second},{second % 5}\n" for second in range(seconds)]
    (directory / "replication-lag.csv").write_text("timestamp,lag_ms\n" + "".join(lag))
    (directory / "summary.json").write_text(
        '{"metrics": {"produce_latency": {"type": "trend", "contains": "time", "values": {"avg": 4.0, "p(95)": 5.0},'
        ' "thresholds": {"p(95)<10": {"ok": true}}}}, "state": {"testRunDurationMs": 10000}}'
    )
    return [found_at(path) for path in sorted(directory.iterdir())]


def load_test_made(name: str, cluster: Cluster | None, *, user: User | None = None, latency_ms: float = 4.0) -> LoadTest:  # fmt: skip
    """Brought in and read."""
    with tempfile.TemporaryDirectory() as directory:
        row = load_test_begin(
            name=name, cluster=cluster, thresholds=THRESHOLDS, files=write_files(Path(directory), latency_ms=latency_ms),
            acting_user=user, via=Via.COMMAND, send=None,
        )  # fmt: skip
        load_test_read(pk=row.pk)
    row.refresh_from_db()
    return row


def begun(tmp_path: Path, **more: Any) -> LoadTest:
    """Taken, not read yet; `more` are arguments of `load_test_begin`."""
    values = {"name": "x", "cluster": None, "thresholds": THRESHOLDS, "acting_user": None, "via": Via.API, "send": None}
    if "files" not in more:
        more["files"] = write_files(tmp_path)
    return load_test_begin(**(values | more))
