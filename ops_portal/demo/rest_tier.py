"""The demo's REST tier is the portal's own web tier: queries of what its web process tells of itself. Data only."""

from typing import Any

from ops_portal.demo.monitoring import PORTAL_JOB

_JOB = f'job="{PORTAL_JOB}"'
_WINDOW = "5m"


def _latency(percent: int, warn: float, critical: float) -> dict[str, Any]:
    """In ms, over the buckets of all processes and kinds of request: percentiles themselves cannot be added up."""
    buckets = f"sum by (le) (rate(ops_portal_web_request_seconds_bucket{{{_JOB}}}[{_WINDOW}]))"
    return {
        "name": f"latency-p{percent}",
        "title": f"Latency, {percent} of 100 requests",
        "query": f"1000 * histogram_quantile({percent / 100}, {buckets})",
        "unit": "ms",
        "warn": warn,
        "critical": critical,
    }


def _share(series: str, part: str) -> str:
    of_part, of_all = (f"sum(rate({series}{{{labels}}}[{_WINDOW}]))" for labels in (f"{_JOB},{part}", _JOB))
    return f"{of_part} / {of_all}"


QUERIES: tuple[dict[str, Any], ...] = (
    _latency(50, 200.0, 1_000.0),
    _latency(95, 500.0, 2_000.0),
    _latency(99, 1_000.0, 5_000.0),
    {
        "name": "error-rate",
        "title": "Requests that failed (5xx)",
        "query": _share("ops_portal_web_requests_total", 'status="5xx"'),
        "unit": "ratio",
        "warn": 0.01,
        "critical": 0.05,
    },
    {
        "name": "cache-hits",
        "title": "Cache hits (ETag answers not modified)",
        "query": _share("ops_portal_web_etag_answers_total", 'answer="not_modified"'),
        "unit": "ratio",
    },
    {
        "name": "database-connections",
        "title": "Database connections in use",
        "query": f'sum(ops_portal_web_database_connections{{{_JOB},state="in_use"}})',
        "unit": "count",
    },
)
