"""`summary.json` of k6 in its three forms: `handleSummary` data, `--summary-export`, and the machine-readable one of k6 1.x and 2.x."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from clusters.load_tests.thresholds import BadThreshold, key, parse

LARGEST_SUMMARY = 50_000_000  # bytes


class UnreadableSummary(ValueError):
    """The file is no summary of k6; the message says why."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One metric of a run. `values`: avg, min, max, med, p(N) of a trend; count and rate (per second) of a counter;
    rate (0 to 1) of a rate; value, min, max of a gauge. Times are milliseconds."""

    name: str
    kind: str  # trend | counter | gauge | rate
    unit: str  # ms | B | ''
    values: dict[str, float]
    source: str = "summary.json"


@dataclass(frozen=True, slots=True)
class Summary:
    """What a summary states. `stated`: (metric, expression) -> did k6 call the threshold kept."""

    form: str  # handleSummary | summary-export | machine-readable
    metrics: dict[str, Metric]
    stated: dict[tuple[str, str], bool] = field(default_factory=dict)
    duration_seconds: float | None = None
    ended_at: datetime | None = None
    version: str = ""


def read_summary(raw: bytes) -> Summary:
    """Reads a summary of any of the three forms. Raises `UnreadableSummary`."""
    if not raw.strip():
        raise UnreadableSummary("summary.json is empty")
    try:
        document = json.loads(raw)
    except (ValueError, RecursionError) as error:
        raise UnreadableSummary(f"summary.json is no JSON: {str(error)[:120]}") from error
    if not isinstance(document, dict):
        raise UnreadableSummary("summary.json holds no object")
    results = document.get("results")
    if isinstance(results, dict) and isinstance(results.get("metrics"), list):
        return _machine_readable(document, results)
    metrics = document.get("metrics")
    if not isinstance(metrics, dict):
        raise UnreadableSummary("summary.json has neither `metrics` nor `results.metrics`: it is no summary of k6")
    nested = any(isinstance(value, dict) and isinstance(value.get("values"), dict) for value in metrics.values())
    return _handle_summary(document, metrics) if nested or not metrics else _summary_export(metrics)


def _handle_summary(document: Mapping[str, Any], metrics: Mapping[str, Any]) -> Summary:
    state = document.get("state")
    milliseconds = number(state.get("testRunDurationMs")) if isinstance(state, dict) else None
    found: dict[str, Metric] = {}
    stated: dict[tuple[str, str], bool] = {}
    for name, body in metrics.items():
        if not isinstance(body, dict) or not isinstance(body.get("values"), dict):
            continue
        kind = str(body.get("type", "")) or _kind(body["values"])
        found[name] = Metric(name, kind, _unit(body.get("contains")), _numbers(body["values"]))
        for expression, outcome in _mapping(body.get("thresholds")).items():
            if isinstance(outcome, dict) and isinstance(outcome.get("ok"), bool):
                stated[name, _spelled(expression)] = outcome["ok"]
    return Summary("handleSummary", found, stated, None if milliseconds is None else milliseconds / 1000)


def _summary_export(metrics: Mapping[str, Any]) -> Summary:
    found: dict[str, Metric] = {}
    stated: dict[tuple[str, str], bool] = {}
    duration = None
    for name, body in metrics.items():
        if not isinstance(body, dict):
            continue
        values = _numbers(body)
        kind = _kind(values)
        if kind == "rate" and "value" in values:
            values["rate"] = values.pop("value")  # this form calls the share `value`
        found[name] = Metric(name, kind, "ms" if kind == "trend" else "", values)
        if kind == "counter" and values.get("rate") and duration is None:
            duration = values["count"] / values["rate"]
        for expression, crossed in _mapping(body.get("thresholds")).items():
            if isinstance(crossed, bool):
                stated[name, _spelled(expression)] = not crossed  # this form says true where the threshold was crossed
    return Summary("summary-export", found, stated, duration)


def _machine_readable(document: Mapping[str, Any], results: Mapping[str, Any]) -> Summary:
    config, metadata = _mapping(document.get("config")), _mapping(document.get("metadata"))
    duration = number(config.get("duration"))
    found: dict[str, Metric] = {}
    checks = _mapping(results.get("checks"))
    for body in [*results["metrics"], *(checks.get("metrics") or [])]:
        if not isinstance(body, dict) or not isinstance(body.get("name"), str):
            continue
        values = _numbers(_mapping(body.get("values")))
        kind = str(body.get("type", "")) or _kind(values)
        if kind == "counter" and duration and "count" in values:
            values["rate"] = values["count"] / duration
        found[body["name"]] = Metric(body["name"], kind, _unit(body.get("contains")), values)
    version = str(metadata.get("k6Version", ""))[:40]
    return Summary("machine-readable", found, {}, duration, _moment(metadata.get("generatedAt")), version)


def number(value: object) -> float | None:
    """A finite number out of JSON; None for anything else (NaN, infinity and booleans too)."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found = float(value)
    except OverflowError:
        return None
    return found if math.isfinite(found) else None


def _numbers(values: Mapping[str, Any]) -> dict[str, float]:
    found = {name: number(value) for name, value in values.items()}
    return {name: value for name, value in found.items() if value is not None}


def _mapping(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _kind(values: Mapping[str, Any]) -> str:
    if "avg" in values or "med" in values:
        return "trend"
    if "passes" in values or "fails" in values:
        return "rate"
    return "counter" if "count" in values else "gauge"


def _unit(contains: object) -> str:
    return {"time": "ms", "data": "B"}.get(str(contains), "")


def _spelled(expression: str) -> str:
    try:
        return key(parse(expression))
    except BadThreshold:
        return "".join(expression.split())


def _moment(value: object) -> datetime | None:
    if not isinstance(value, str):
        return None
    try:
        found = datetime.fromisoformat(value)
    except ValueError:
        return None
    return found if found.tzinfo else None
