"""Figures of clusters, built on the server. They name tokens, not colours: the page paints them in its theme (static/js/history.js)."""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from itertools import groupby
from operator import itemgetter
from typing import Any

import plotly.graph_objects as go

from clusters.health.states import Health
from clusters.selectors.health.history import SignalHistory
from clusters.signals import Bad, Signal

_WASH = {
    Health.CRITICAL: "--status-crit-wash",
    Health.WARNING: "--status-warn-wash",
    Health.UNKNOWN: "--status-unknown-wash",
}
_TICKS = {"ratio": ".0%"}
_HOVERS = {"ratio": ".1%"}
_UNITS = {
    "ms": "ms", "hours": "h", "bytes": "bytes", "records": "records", "per_second": "a second", "per_minute": "a minute",
}  # fmt: skip
_REACH = 3.0  # a threshold is drawn when it is at most so many times as far away as the values


def signal_figure(signal: Signal, history: SignalHistory) -> dict[str, Any]:
    """The worst value per step, its thresholds as lines, and what was not ok shaded. Without any value no traces.

    A time without a reading is a gap, and a time that was unknown is shaded as such: neither is joined by a line.
    """
    values = [value for _, value, _ in history.points]
    known = [value for value in values if value is not None]
    if not known:
        return {"data": [], "layout": {}}
    times = [datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z") for at, _, _ in history.points]
    unit = _UNITS.get(signal.unit, "")
    figure = go.Figure(layout=_layout(times, signal, unit))
    figure.add_trace(
        go.Scatter(
            x=times, y=values, name=signal.title, mode="lines", connectgaps=False, line={"width": 1.5, "shape": "hv"},
            meta={"token": "--series-1"},
            hovertemplate=f"%{{y:{_HOVERS.get(signal.unit, ',.4~r')}}} {unit}<extra></extra>",
        )
    )  # fmt: skip
    plain: dict[str, Any] = figure.to_plotly_json()
    plain["layout"].pop("template", None)
    plain["layout"]["shapes"] = [
        *washes(times, (_WASH.get(Health(state)) if state else None for *_, state in history.points)),
        *_limits(signal, known),
    ]
    return plain


def _layout(times: list[str], signal: Signal, unit: str) -> dict[str, Any]:
    return {
        "height": 200,
        "margin": {"l": 56, "r": 8, "t": 8, "b": 32},
        "hovermode": "x unified",
        "showlegend": False,
        "xaxis": {"type": "date", "range": [times[0], times[-1]], "hoverformat": "%Y-%m-%d %H:%M:%S UTC"},
        "yaxis": {
            "rangemode": "tozero", "fixedrange": True, "automargin": False, "nticks": 4,
            "tickformat": _TICKS.get(signal.unit, "~s"), "title": {"text": unit, "standoff": 4, "font": {"size": 11}},
        },
        "dragmode": "zoom",
    }  # fmt: skip


def _limits(signal: Signal, known: list[float]) -> list[dict[str, Any]]:
    """Lines at the thresholds, where they are near enough not to flatten the values."""
    if signal.bad is Bad.NOT:
        return []
    reach = max(max(known) * _REACH, min(limit for limit in (signal.warn, signal.critical) if limit is not None))
    return [
        {
            "type": "line", "xref": "paper", "yref": "y", "x0": 0, "x1": 1, "y0": limit, "y1": limit, "name": token,
            "line": {"width": 1, "dash": "dash"},
        }
        for limit, token in ((signal.warn, "--status-warn"), (signal.critical, "--status-crit"))
        if limit is not None and limit <= reach
    ]  # fmt: skip


def washes(times: Sequence[str], tokens: Iterable[str | None]) -> list[dict[str, Any]]:
    """Shapes behind the lines: a shaded span over every run of points with the same design token; None shades nothing."""
    last = len(times) - 1
    runs = groupby(enumerate(tokens), key=itemgetter(1))
    spans = [(token, [index for index, _ in run]) for token, run in runs]
    return [
        {
            "type": "rect", "xref": "x", "yref": "paper", "x0": times[at[0]], "x1": times[min(at[-1] + 1, last)], "y0": 0, "y1": 1,
            "layer": "below", "name": token, "fillcolor": "rgba(0,0,0,0)", "line": {"width": 0},
        }
        for token, at in spans
        if token is not None
    ]  # fmt: skip
