"""Figures of lag, built on the server. They name tokens, not colours: the page paints them in its theme (static/js/history.js)."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

import plotly.graph_objects as go

from clusters.charts import washes
from lag.rows import EventRow, HistoryPoints
from lag.verdicts import EventKind, Tone, Verdict

_MARKED = {
    EventKind.MEMBER_LEFT: "--status-warn",
    EventKind.REWOUND: "--status-warn",
    EventKind.SKIPPED: "--status-warn",
    EventKind.TRUNCATED: "--status-crit",
    EventKind.SLO_OPENED: "--status-crit",
    EventKind.TOPIC_RECREATED: "--status-maint",
}
_WASH = {Tone.CRITICAL: "--status-crit-wash", Tone.WARNING: "--status-warn-wash"}
_MOST_MARKS = 60


def history_figure(history: HistoryPoints, events: Iterable[EventRow]) -> dict[str, Any]:
    """Unread records, seconds behind and rates over one time axis, times of trouble shaded, events as lines.

    Without any sample the figure has no traces.
    """
    columns = {name: [point[index] for point in history.points] for index, name in enumerate(history.columns)}
    known = [value for value in columns.get("lag_records", []) if value is not None]
    if not known:
        return {"data": [], "layout": {}}
    times = [datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z") for at in columns["at"]]
    figure = go.Figure(layout=_layout(times))
    figure.add_trace(_line(times, columns["lag_records"], "y", "unread records", "--series-1", fill="tozeroy"))
    figure.add_trace(_line(times, columns["lag_seconds"], "y2", "seconds behind", "--series-4", fill="tozeroy"))
    figure.add_trace(_line(times, columns["produce_rate"], "y3", "written per second", "--series-1"))
    figure.add_trace(_line(times, columns["consume_rate"], "y3", "read per second", "--series-2", dash="dash"))
    plain: dict[str, Any] = figure.to_plotly_json()
    plain["layout"].pop("template", None)
    plain["layout"]["shapes"] = [*washes(times, map(_wash, columns.get("verdict", []))), *_marks(times, events)]
    return plain


def _layout(times: list[str]) -> dict[str, Any]:
    axis = {"rangemode": "tozero", "fixedrange": True, "automargin": False, "tickformat": "~s", "nticks": 4}
    return {
        "height": 380,
        "margin": {"l": 56, "r": 8, "t": 12, "b": 40},
        "hovermode": "x unified",
        "showlegend": False,
        "xaxis": {
            "type": "date",
            "anchor": "y3",
            "range": [times[0], times[-1]],
            "hoverformat": "%Y-%m-%d %H:%M:%S UTC",
        },
        "yaxis": axis | {"domain": [0.70, 1.0], "title": {"text": "unread", "standoff": 4, "font": {"size": 11}}},
        "yaxis2": axis
        | {"domain": [0.36, 0.64], "title": {"text": "seconds behind", "standoff": 4, "font": {"size": 11}}},
        "yaxis3": axis | {"domain": [0.0, 0.30], "title": {"text": "records/s", "standoff": 4, "font": {"size": 11}}},
        "dragmode": "zoom",
    }


def _line(
    times: list[str],
    values: list[Any],
    axis: str,
    name: str,
    token: str,
    *,
    fill: str | None = None,
    dash: str = "solid",
) -> go.Scatter:
    return go.Scatter(
        x=times, y=values, yaxis=axis, name=name, mode="lines", fill=fill, connectgaps=False,
        line={"width": 1.5, "dash": dash}, meta={"token": token}, hovertemplate="%{y:,.4~r} " + name + "<extra></extra>",
    )  # fmt: skip


def _wash(verdict: str | None) -> str | None:
    return _WASH.get(Verdict(verdict).tone) if verdict else None


def _marks(times: list[str], events: Iterable[EventRow]) -> list[dict[str, Any]]:
    """Vertical lines where something happened, newest first, at most sixty."""
    marked = []
    for event in events:
        at = event.at.astimezone(UTC).isoformat().replace("+00:00", "Z")
        if event.kind in _MARKED and times[0] <= at <= times[-1]:
            marked.append(
                {
                    "type": "line",
                    "xref": "x",
                    "yref": "paper",
                    "x0": at,
                    "x1": at,
                    "y0": 0,
                    "y1": 1,
                    "name": _MARKED[EventKind(event.kind)],
                    "line": {"width": 1, "dash": "dot"},
                }
            )
    return marked[:_MOST_MARKS]
