"""What the data says of each threshold of a load test."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from clusters.load_tests.summary import Metric
from clusters.load_tests.thresholds import Threshold, key

LATENCY_METRICS = ("produce_latency", "kafka_writer_write_seconds", "grpc_req_duration", "http_req_duration", "iteration_duration")  # fmt: skip
RATE_METRICS = ("messages", "kafka_writer_message_count", "http_reqs", "iterations")

_HOLDS = {
    "<": lambda value, bound: value < bound,
    "<=": lambda value, bound: value <= bound,
    ">": lambda value, bound: value > bound,
    ">=": lambda value, bound: value >= bound,
    "==": lambda value, bound: value == bound,
    "===": lambda value, bound: value == bound,
    "!=": lambda value, bound: value != bound,
}


class Judgement(StrEnum):
    """What became of one threshold."""

    KEPT = "kept"
    MISSED = "missed"
    UNSUPPORTED = "unsupported"  # the data does not hold the figure


@dataclass(frozen=True, slots=True)
class Judged:
    """A threshold with the figure it was held against. `stated` is the verdict the run's own summary gives, if any."""

    threshold: str
    metric: str | None
    verdict: Judgement
    value: float | None
    source: str  # file the figure comes from; '' when there is none
    reason: str
    stated: bool | None = None


def judge(
    thresholds: Iterable[Threshold],
    metrics: Mapping[str, Metric],
    stated: Mapping[tuple[str, str], bool],
    partial: Collection[str] = (),
) -> list[Judged]:
    """Each threshold against the data. `stated`: (metric, expression without blanks) -> did the summary call it kept.

    `partial`: metrics of which only a part is known; nothing is kept or missed by them.
    """
    return [_judged(threshold, metrics, stated, partial) for threshold in thresholds]


def metric_for(threshold: Threshold, metrics: Mapping[str, Metric]) -> str | None:
    """The metric a threshold is about: the named one, else the first that the run has of the usual ones."""
    if threshold.metric is not None:
        return threshold.metric
    usual = RATE_METRICS if threshold.aggregate in ("rate", "count") else LATENCY_METRICS
    return next((name for name in usual if name in metrics), None)


def _judged(
    threshold: Threshold,
    metrics: Mapping[str, Metric],
    stated: Mapping[tuple[str, str], bool],
    partial: Collection[str],
) -> Judged:
    name = metric_for(threshold, metrics)
    said = stated.get((name or "", key(threshold)))
    if name is None or name not in metrics:
        missing = f"The files hold no metric {name}." if name else "The files hold no metric this could be about."
        return Judged(threshold.text, name, Judgement.UNSUPPORTED, None, "", missing + _claimed(said), said)
    metric = metrics[name]
    value = metric.values.get(threshold.aggregate)
    if value is None or not math.isfinite(value):
        reason = f"The files hold no {threshold.aggregate} of {name}."
        return Judged(threshold.text, name, Judgement.UNSUPPORTED, None, metric.source, reason + _claimed(said), said)
    if name in partial:
        reason = f"{threshold.aggregate} of {name} is {value:.6g} in the part that was read; the rest is not known."
        return Judged(threshold.text, name, Judgement.UNSUPPORTED, value, metric.source, reason + _claimed(said), said)
    kept = _HOLDS[threshold.operator](value, threshold.bound)
    verdict = Judgement.KEPT if kept else Judgement.MISSED
    reason = f"{threshold.aggregate} of {name} is {value:.6g}, {'within' if kept else 'not within'} {threshold.operator} {threshold.bound:g}."
    if said is not None and said is not kept:
        reason += f" The summary calls it {'kept' if said else 'missed'}; the data does not support that."
    return Judged(threshold.text, name, verdict, value, metric.source, reason, said)


def _claimed(said: bool | None) -> str:
    return "" if said is None else f" The summary calls it {'kept' if said else 'missed'} without the figure."
