"""A load test out of its files: figures, series, verdicts, and where a stated figure is not borne out."""

import fnmatch
import re
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from clusters.load_tests.files import (
    LARGEST_FILE,
    Problems,
    TimeIsUp,
    UnreadableFile,
    read_exposition,
    read_series,
    read_traces,
)
from clusters.load_tests.histogram import Histogram
from clusters.load_tests.summary import LARGEST_SUMMARY, Metric, Summary, UnreadableSummary, read_summary
from clusters.load_tests.thresholds import BadThreshold, Threshold, key, parse
from clusters.load_tests.timeline import Timeline
from clusters.load_tests.verdicts import LATENCY_METRICS, RATE_METRICS, Judged, judge

KINDS = {  # kind -> names of its files
    "summary": ("summary.json",),
    "traces": ("traces.csv", "traces.csv.gz"),
    "broker_metrics": ("broker-metrics", "broker-metrics.txt", "broker-metrics.prom"),
    "broker_cpu": ("broker-*-cpu.csv",),
    "replication_lag": ("replication-lag.csv",),
}
CPU_COLUMNS = ("cpu_percent", "cpu", "usage", "value")
LAG_COLUMNS = ("lag_ms", "replication_lag_ms", "lag_records", "max_lag", "lag", "value")
PERCENTILES = (50.0, 90.0, 95.0, 99.0, 99.9)
MOST_STATED = 50
TOLERANCE = 0.05  # a stated figure that differs by more is not borne out

Progress = Callable[[str, int, int], None]  # file, bytes read, bytes in all files; may raise TimeIsUp


@dataclass(slots=True)
class Run:
    """What the files of one load test hold. Times are seconds since epoch, latencies milliseconds, shares 0 to 100."""

    metrics: dict[str, Metric] = field(default_factory=dict)
    judged: list[Judged] = field(default_factory=list)
    latency_metric: str | None = None
    rate_metric: str | None = None
    latency: list[list[float | None]] = field(default_factory=list)  # [at, samples, p50, p95, p99, p99.9]
    throughput: list[list[float]] = field(default_factory=list)  # [at, per second]
    broker_cpu: dict[str, list[list[float]]] = field(default_factory=dict)  # broker -> [at, mean percent]
    replication_lag: list[list[float]] = field(default_factory=list)  # [at, largest]
    replication_unit: str = ""  # ms | records
    broker_metrics: list[tuple[str, dict[str, str], float]] = field(default_factory=list)
    contradictions: list[dict[str, Any]] = field(default_factory=list)
    problems: Problems = field(default_factory=Problems)
    started_at: float | None = None
    ended_at: float | None = None
    files: list[dict[str, Any]] = field(default_factory=list)


def kind_of(name: str) -> str | None:
    """Which of the known files a name is; None for any other."""
    for kind, patterns in KINDS.items():
        if any(fnmatch.fnmatchcase(name.lower(), pattern) for pattern in patterns):
            return kind
    return None


def read_run(files: Mapping[str, Path], thresholds: Iterable[Threshold], progress: Progress) -> Run:
    """Reads any subset of the files and judges the thresholds. What cannot be read is in `problems`; the rest counts.

    When `progress` raises TimeIsUp, the file at hand ends there. Traces that were not read to their end keep or miss no
    threshold, for nobody knows the rest; their figures and series stand all the same.
    """
    thresholds = list(thresholds)
    run, summary = Run(), None
    whole, before = sum(path.stat().st_size for path in files.values()), 0
    timelines: dict[str, Timeline] = {}
    seen: dict[str, str] = {}  # kind -> the file that was read
    # Traces come last: they are what takes long.
    for name, path in sorted(files.items(), key=lambda item: (kind_of(item[0]) == "traces", item[0])):
        kind, size = kind_of(name), path.stat().st_size
        run.files.append({"name": name, "kind": kind, "bytes": size})

        def step(read: int, name: str = name, before: int = before) -> None:
            progress(name, before + read, whole)

        try:
            if size > LARGEST_FILE:
                raise UnreadableFile(f"{name} is larger than {LARGEST_FILE // 1_000_000_000} GB")
            if kind and kind != "broker_cpu" and seen.setdefault(kind, name) != name:
                raise UnreadableFile(f"left out: {seen[kind]} has been read already")
            if kind == "summary":
                summary = _summary(name, path)
                thresholds += _stated(summary, thresholds)
            elif kind == "traces":
                timelines = read_traces(path, name, _wanted(thresholds), run.problems, step)
            elif kind == "broker_metrics":
                run.broker_metrics = read_exposition(path, name, run.problems)
            elif kind == "broker_cpu":
                run.broker_cpu[_broker(name)] = _means(read_series(path, name, CPU_COLUMNS, run.problems, step)[1])
            elif kind == "replication_lag":
                column, timeline = read_series(path, name, LAG_COLUMNS, run.problems, step)
                run.replication_unit = "ms" if column.endswith("ms") else "records"
                run.replication_lag = [[at, histogram.largest] for at, histogram in timeline.rows()]
            else:
                run.problems.add(name, None, "not one of the files of a load test: left out")
        except (UnreadableFile, UnreadableSummary, OSError, EOFError) as error:
            run.problems.add(name, None, str(error))
        before += size
        with suppress(TimeIsUp):
            progress(name, before, whole)
    _join(run, summary, timelines, thresholds, seen.get("traces", ""))
    return run


def _summary(name: str, path: Path) -> Summary:
    if path.stat().st_size > LARGEST_SUMMARY:
        raise UnreadableSummary(f"{name} is larger than {LARGEST_SUMMARY // 1_000_000} MB")
    found = read_summary(path.read_bytes())
    if not found.metrics:
        raise UnreadableSummary(f"{name} holds no metric")
    return found


def _stated(summary: Summary, asked: Iterable[Threshold]) -> list[Threshold]:
    """The summary's own thresholds that nobody asked for: they are held against the data as well."""
    known = {(threshold.metric, key(threshold)) for threshold in asked}
    found = []
    for metric, expression in summary.stated:
        try:
            threshold = parse(f"{metric}: {expression}")
        except BadThreshold:
            continue
        if (metric, key(threshold)) not in known:
            found.append(threshold)
    return found[:MOST_STATED]


def _join(
    run: Run,
    summary: Summary | None,
    timelines: Mapping[str, Timeline],
    thresholds: list[Threshold],
    traces: str,
) -> None:
    stated = dict(summary.metrics) if summary else {}
    percents = {*PERCENTILES, *_percents(thresholds)}
    span = _span(timelines.values())
    seconds = _seconds(span, summary, fine=any(timeline.fractions for timeline in timelines.values()))
    cut = traces in run.problems.cut
    measured = {
        name: _measured(name, timeline, percents, seconds, stated.get(name), f"{traces}, first part" if cut else traces)
        for name, timeline in timelines.items()
        if timeline.slots and span
    }
    run.metrics = {**measured, **stated} if cut else {**stated, **measured}
    for name, metric in measured.items():
        if name in stated and not cut:
            run.contradictions.extend(_contradictions(stated[name], metric, timelines[name].whole))
    partial = measured.keys() - stated.keys() if cut else set()
    run.judged = _once(judge(thresholds, run.metrics, summary.stated if summary else {}, partial))
    run.latency_metric = next((name for name in LATENCY_METRICS if name in run.metrics), None)
    run.rate_metric = next((name for name in RATE_METRICS if name in run.metrics), None)
    if run.latency_metric and run.latency_metric in timelines:
        run.latency = [
            [at, histogram.count, *(histogram.percentile(percent) for percent in (50, 95, 99, 99.9))]
            for at, histogram in timelines[run.latency_metric].rows()
        ]
    if run.rate_metric and run.rate_metric in timelines:
        timeline = timelines[run.rate_metric]
        run.throughput = [[at, histogram.total / timeline.interval] for at, histogram in timeline.rows()]
    if span:
        run.started_at, run.ended_at = float(span[0]), float(span[1])
    elif summary and summary.ended_at and summary.duration_seconds:
        run.ended_at = summary.ended_at.timestamp()
        run.started_at = run.ended_at - summary.duration_seconds


def _measured(
    name: str, timeline: Timeline, percents: Iterable[float], seconds: float, stated: Metric | None, source: str
) -> Metric:
    whole = timeline.whole
    kind = stated.kind if stated else ("counter" if name in RATE_METRICS else "trend")
    unit = stated.unit if stated else ("ms" if kind == "trend" else "")
    if kind == "counter":
        values = {"count": whole.total, "rate": whole.total / seconds}
    elif kind == "rate":
        values = {"rate": whole.mean or 0.0}
    else:
        values = {"count": float(whole.count), "min": whole.smallest, "max": whole.largest, "avg": whole.mean or 0.0}
        values |= {f"p({percent:g})": whole.percentile(percent) or 0.0 for percent in percents}
        values["med"] = values["p(50)"]
    return Metric(name, kind, unit, values, source)


def _contradictions(stated: Metric, measured: Metric, whole: Histogram) -> list[dict[str, Any]]:
    compared = [
        name for name in stated.values if name.startswith("p(") or name in ("avg", "med", "max", "count", "rate")
    ]
    return [
        {"metric": stated.name, "aggregate": name, "stated": stated.values[name], "measured": measured.values[name]}
        for name in compared
        if name in measured.values and not _borne_out(name, stated.values[name], measured.values[name], whole)
    ]


def _borne_out(aggregate: str, stated: float, measured: float, whole: Histogram) -> bool:
    """Whether a stated figure is about the measured one. A percentile may be that of the sample before or behind: ranks are
    counted in more than one way, and in a gap between two samples the ways lie far apart."""
    low = high = measured
    percent = 50.0 if aggregate == "med" else float(aggregate[2:-1]) if aggregate.startswith("p(") else None
    if percent is not None and whole.count:
        step = 100.0 / whole.count
        low = whole.percentile(max(0.0, percent - step)) or 0.0
        high = whole.percentile(min(100.0, percent + step)) or 0.0
    return low - TOLERANCE * max(abs(low), 1e-9) <= stated <= high + TOLERANCE * max(abs(high), 1e-9)


def _wanted(thresholds: Iterable[Threshold]) -> set[str]:
    """The metrics of a trace to count: those that a threshold names, and the usual ones."""
    named = {threshold.metric for threshold in thresholds if threshold.metric}
    return {*LATENCY_METRICS, *RATE_METRICS, *named}


def _percents(thresholds: Iterable[Threshold]) -> set[float]:
    found = (re.fullmatch(r"p\(([\d.]+)\)", threshold.aggregate) for threshold in thresholds)
    return {float(match[1]) for match in found if match}


def _once(judged: Iterable[Judged]) -> list[Judged]:
    """Each verdict once: p95<10 without a metric and the summary's own p(95)<10 of the same metric are one promise."""
    found: dict[tuple[Any, ...], Judged] = {}
    for row in judged:
        found.setdefault((row.metric, key(parse(row.threshold))), row)
    return list(found.values())


def _seconds(span: tuple[float, float] | None, summary: Summary | None, *, fine: bool) -> float:
    """How long the run took. Times in whole seconds leave a second open: there the summary's duration is the better one."""
    own = span[1] - span[0] if span else 1.0
    said = summary.duration_seconds if summary else None
    return said if said and not fine and abs(said - own) <= 1 else own


def _span(timelines: Iterable[Timeline]) -> tuple[float, float] | None:
    spans = [span for span in (timeline.span for timeline in timelines) if span]
    return (min(start for start, _ in spans), max(end for _, end in spans)) if spans else None


def _broker(name: str) -> str:
    return name[len("broker-") : -len("-cpu.csv")]


def _means(timeline: Timeline) -> list[list[float]]:
    return [[at, histogram.mean or 0.0] for at, histogram in timeline.rows()]
