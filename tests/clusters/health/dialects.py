"""Recorded scrapes of one cluster by several exporters, put into a real Prometheus, and one cluster rendered in each dialect."""

import re
import shutil
import signal
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path

from tests.deploy.jmx_replay import Exporter, readings

SCRAPES = Path(__file__).parent / "scrapes"
RULES = Path(__file__).parent / "rules"
BEANS = Path(__file__).parents[2] / "deploy" / "beans.tsv"
OWN_RULES = Path(__file__).parents[3] / "deploy" / "jmx" / "kafka.yml"
AGES = (900, 600, 300, 120, 90, 60, 45, 30, 15, 0)  # seconds before now at which each page was scraped
GROWTH = 1e-4  # of a counter's value per second
IDLE = 0.9131286103597841  # one-minute rate of idle request handlers in the recorded beans
_IDLE_NANOSECONDS = re.compile(r"requesthandleravgidle(_nanoseconds_total|percent|percent_total)$")
_COUNTER = re.compile(r"_total$|persec$|persec_count$|failed_authentication$|_nanoseconds")
_LINE = re.compile(r"^([a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(.*)\})? (\S+)(?: \d+)?$")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\]|\\.)*)"')

Labels = tuple[tuple[str, str], ...]
Scrape = dict[tuple[str, Labels], float]  # (name, labels) -> value


def have_prometheus() -> bool:
    return bool(shutil.which("prometheus") and shutil.which("promtool"))


def parsed(text: str) -> Scrape:
    """A page of an exporter."""
    found: Scrape = {}
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        part = _LINE.match(line)
        assert part, line
        found[part[1], tuple(sorted(_LABEL.findall(part[2] or "")))] = float(part[3])
    return found


def recorded(kind: str, state: str) -> dict[int, Scrape]:
    """Broker -> its page; `kind` jmx-own | jmx-official | strimzi, `state` healthy | broker-3-down."""
    return {
        broker: parsed(path.read_text())
        for broker in (1, 2, 3)
        if (path := SCRAPES / f"{kind}-{state}-broker-{broker}.txt").exists()
    }


def rendered(rules: Path) -> Scrape:
    """A page of the recorded beans by a rule file, as the agent would export them, and the agent's own process metrics."""
    found: Scrape = {}
    exporter = Exporter(rules.read_text())
    for reading in readings(BEANS):
        if "app-info" in reading.bean and "id=1" not in reading.bean:
            continue  # the dump has the beans of three brokers; this page is to be that of one
        series = exporter.series(reading)
        if series is None or (series.name, tuple(sorted(series.labels))) in found:
            continue
        try:
            value = float(reading.value)
        except ValueError:
            value = 1.0  # a text that the rule turns into a label
        found[series.name, tuple(sorted(series.labels))] = value
    process = {"process_cpu_seconds_total": 30.0, "process_open_fds": 100.0, "process_max_fds": 1000.0,
               "process_start_time_seconds": 1.7e9, "jvm_threads_deadlocked": 0.0}  # fmt: skip
    return found | {(name, ()): value for name, value in process.items()}


def written(pages: Mapping[str, Scrape], cluster: str, at: float) -> Iterator[tuple[str, str, float, float]]:
    """(name, labels, value, time): each page (by instance) at each age; counters have grown in between."""
    for instance, page in pages.items():
        for (name, labels), value in page.items():
            text = ",".join(f'{key}="{word}"' for key, word in (*labels, ("cluster", cluster), ("instance", instance)))
            if _IDLE_NANOSECONDS.search(name):
                slope = IDLE * 1e9
            else:
                slope = value * GROWTH if _COUNTER.search(name) else 0.0
            for age in AGES:
                yield name, text, value + (900 - age) * slope, at - age


@contextmanager
def served(samples: Iterator[tuple[str, str, float, float]], directory: Path) -> Iterator[str]:
    """The address of a Prometheus that holds these samples and scrapes nothing."""
    by_name: dict[str, list[str]] = {}
    for name, labels, value, at in samples:
        by_name.setdefault(name, []).append(f"{name}{{{labels}}} {value!r} {at}")
    text = "".join(f"# TYPE {name} unknown\n" + "\n".join(lines) + "\n" for name, lines in sorted(by_name.items()))
    (directory / "samples.txt").write_text(f"{text}# EOF\n")
    (directory / "prometheus.yml").write_text("global: {}\n")
    data = directory / "tsdb"
    command = ["promtool", "tsdb", "create-blocks-from", "openmetrics", str(directory / "samples.txt"), str(data)]
    made = subprocess.run(command, capture_output=True, text=True, timeout=100)
    assert made.returncode == 0, made.stderr[-2000:]
    with closing(socket.socket()) as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [
            "prometheus", f"--config.file={directory / 'prometheus.yml'}", f"--storage.tsdb.path={data}",
            f"--web.listen-address=127.0.0.1:{port}", "--storage.tsdb.retention.time=3d", "--log.level=error",
        ],
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        _ready(f"http://127.0.0.1:{port}/-/ready")
        yield f"http://127.0.0.1:{port}"
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _ready(url: str) -> None:
    ends_at = time.monotonic() + 40
    while True:
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - loopback
                if answer.status == 200:
                    return
        except OSError:
            assert time.monotonic() < ends_at, "Prometheus did not start"
        time.sleep(0.05)
