"""Runs side by side."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from clusters.load_tests.verdicts import LATENCY_METRICS, RATE_METRICS

_AGGREGATES = ("rate", "count", "avg", "med", "p(50)", "p(90)", "p(95)", "p(99)", "p(99.9)", "max")
_SHOWN = {"counter": ("rate", "count"), "rate": ("rate",), "gauge": ("value", "max")}
_BETTER_HIGH = {"rate", "count"}


@dataclass(frozen=True, slots=True)
class ComparedRow:
    """One figure of every run; None where a run does not hold it. `change` = last against first, a share, None = not known.

    `better` says whether the change is for the better; None where it is neither, or nobody can say.
    """

    metric: str
    aggregate: str
    unit: str
    values: tuple[float | None, ...]
    sources: tuple[str, ...]
    change: float | None
    better: bool | None

    @property
    def change_words(self) -> str:
        """+12.3 %, with a sign; '' where it is not known."""
        return "" if self.change is None else f"{self.change * 100:+.1f} %"


def compared_rows(runs: Sequence[tuple[Sequence[Mapping[str, Any]], Sequence[Mapping[str, Any]]]]) -> list[ComparedRow]:
    """Figures of the usual metrics and of those with thresholds, over runs given as (metrics, verdicts)."""
    judged = [verdict["metric"] for _, verdicts in runs for verdict in verdicts if verdict["metric"]]
    names = dict.fromkeys([*RATE_METRICS, *LATENCY_METRICS, *judged])
    by_name = [{metric["name"]: metric for metric in metrics} for metrics, _ in runs]
    found = []
    for name in names:
        metrics = [metrics.get(name) for metrics in by_name]
        first = next((metric for metric in metrics if metric), None)
        if first is None:
            continue
        for aggregate in _SHOWN.get(first["kind"], _AGGREGATES[2:]):
            values = tuple(metric["values"].get(aggregate) if metric else None for metric in metrics)
            if any(value is not None for value in values):
                found.append(_row(name, aggregate, first, values, metrics))
    return found


def _row(
    name: str,
    aggregate: str,
    first: Mapping[str, Any],
    values: tuple[float | None, ...],
    metrics: Sequence[Mapping[str, Any] | None],
) -> ComparedRow:
    begin, end = values[0], values[-1]
    change = (end - begin) / begin if begin and end is not None else None
    better = None
    if change is not None and abs(change) >= 0.01 and first["kind"] in ("trend", "counter"):
        better = (change > 0) == (aggregate in _BETTER_HIGH)
    unit = "/s" if aggregate == "rate" and first["kind"] == "counter" else "" if aggregate == "count" else first["unit"]
    return ComparedRow(
        name, aggregate, unit, values, tuple(metric["source"] if metric else "" for metric in metrics), change, better
    )
