"""Figures of load tests as Plotly takes them. They name tokens, not colours: the page paints them (static/js/history.js)."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from math import log10
from typing import Any

_SERIES = ("--series-1", "--series-2", "--series-3", "--series-4")
_DASHES = ("solid", "dash", "dot", "dashdot")
_HEIGHT = 240

Line = tuple[str, Sequence[float], Sequence[float | None]]  # name, seconds since the epoch, values


def run_figures(series: Mapping[str, Any], bounds: Mapping[str, Sequence[tuple[str, float]]]) -> dict[str, Any]:
    """One figure per kind of series that the run has. `bounds`: figure -> [(threshold, value)], drawn as lines."""
    found: dict[str, Any] = {}
    if points := series.get("throughput"):
        found["throughput"] = figure([("per second", *_columns(points, 1))], "/s", bounds.get("throughput", ()))
    if points := series.get("latency"):
        names = ((2, "p50"), (3, "p95"), (4, "p99"), (5, "p99.9"))
        lines = [(name, *_columns(points, column)) for column, name in names]
        found["latency"] = figure(lines, "ms", bounds.get("latency", ()), log=True)
    if brokers := series.get("broker_cpu"):
        lines = [(f"broker {name}", *_columns(points, 1)) for name, points in sorted(brokers.items())]
        found["broker_cpu"] = figure(lines, "%", ())
    if points := series.get("replication_lag"):
        unit = series.get("replication_unit", "")
        found["replication_lag"] = figure([("largest", *_columns(points, 1))], unit, bounds.get("replication_lag", ()))
    return found


def compared_figure(runs: Iterable[tuple[str, Sequence[Sequence[Any]], int]], unit: str) -> dict[str, Any]:
    """Runs over each other, by seconds since the begin of each: (name, points, column)."""
    lines = []
    for name, points, column in runs:
        if points:
            at, values = _columns(points, column)
            lines.append((name, [moment - at[0] for moment in at], values))
    return figure(lines, unit, (), relative=True) if lines else {"data": [], "layout": {}}


def figure(
    lines: Sequence[Line], unit: str, bounds: Iterable[tuple[str, float]], *, log: bool = False, relative: bool = False
) -> dict[str, Any]:
    """Lines over time, thresholds dotted. `log`: the axis is logarithmic where the values span more than two decades."""
    data: list[dict[str, Any]] = [
        {
            "type": "scatter",
            "mode": "lines+markers" if len(at) == 1 else "lines",
            "x": list(at) if relative else [_iso(moment) for moment in at],
            "y": list(values),
            "name": name,
            "connectgaps": False,
            "line": {"width": 1.5, "dash": _DASHES[index // len(_SERIES) % len(_DASHES)]},
            "meta": {"token": _SERIES[index % len(_SERIES)]},
            "hovertemplate": "%{y:,.4~r} " + unit + " " + _plain(name) + "<extra></extra>",
        }
        for index, (name, at, values) in enumerate(lines)
    ]
    known = [value for _, _, values in lines for value in values if value]
    wide = log and known and max(known) > 100 * min(known)
    drawn = [(text, value) for text, value in bounds if not wide or value > 0]
    x: dict[str, Any] = {"title": {"text": "seconds since the begin"}} if relative else {"type": "date", "hoverformat": "%H:%M:%S UTC", "tickangle": 0, "nticks": 5}  # fmt: skip
    y: dict[str, Any] = {"type": "log", "dtick": 1} if wide else {"rangemode": "tozero", "nticks": 5}
    if not known and not drawn:
        y = {"range": [0, 1], "dtick": 1}  # nothing but zeros: no halves of a record
    layout = {
        "height": _HEIGHT,
        "margin": {"l": 56, "r": 12, "t": 8, "b": 52 if relative or len(lines) > 1 else 32},
        "hovermode": "x unified",
        "showlegend": len(lines) > 1,
        "legend": {"orientation": "h", "y": -0.18 if not relative else -0.3, "x": 0},
        "xaxis": {"fixedrange": True, **x},
        "yaxis": {"fixedrange": True, "automargin": False, "tickformat": "~s", **y, "title": {"text": unit, "standoff": 4}},
        "shapes": [_bound_line(value) for _, value in drawn],
        "annotations": [_bound_note(text, value, log=bool(wide)) for text, value in drawn],
        "dragmode": False,
    }  # fmt: skip
    return {"data": data, "layout": layout}


def _columns(points: Sequence[Sequence[Any]], column: int) -> tuple[list[float], list[float | None]]:
    return [float(point[0]) for point in points], [point[column] for point in points]


def _bound_line(value: float) -> dict[str, Any]:
    return {
        "type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": value, "y1": value,
        "name": "--status-warn", "line": {"width": 1, "dash": "dot"},
    }  # fmt: skip


def _bound_note(text: str, value: float, *, log: bool) -> dict[str, Any]:
    return {
        "text": _plain(text), "xref": "paper", "yref": "y", "x": 1, "y": log10(value) if log else value,
        "xanchor": "right", "yanchor": "bottom", "showarrow": False, "font": {"size": 10},
    }  # fmt: skip


def _plain(text: str) -> str:
    """Plotly reads tags in texts."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat().replace("+00:00", "Z")
