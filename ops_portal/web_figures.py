"""Figures of this web process: how long requests took, how they ended, whether copies were current, connections in use.

The only figures of /metrics that are not from stored rows: each web process tells its own, under its label `process`.
"""

import os
import time
from collections.abc import Awaitable, Callable

from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.db import DEFAULT_DB_ALIAS, connections
from django.http import HttpRequest, HttpResponseBase
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics, generate_latest

_ROUTES = ("page", "api", "live")
_STATUSES = ("2xx", "3xx", "4xx", "5xx")
_ANSWERS = ("served", "not_modified")
_UNCOUNTED = frozenset({"healthz", "readyz", "metrics"})  # asked every few seconds by machines: they hide the rest
_BUCKETS = (0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 0.75, 1.0, 2.0, 5.0, 10.0)  # seconds

disable_created_metrics()  # type: ignore[no-untyped-call]  # a series more for each, which nobody reads
_registry = CollectorRegistry()
_seconds = Histogram(
    "ops_portal_web_request_seconds",
    "From a request's arrival to the head of its answer, of this web process.",
    ("process", "route"),
    registry=_registry,
    buckets=_BUCKETS,
)
_requests = Counter(
    "ops_portal_web_requests",
    "Requests answered by this web process.",
    ("process", "route", "status"),
    registry=_registry,
)
_revalidated = Counter(
    "ops_portal_web_etag_answers",
    "Answers that carry an ETag: sent whole, or 304 because the caller's copy was current.",
    ("process", "answer"),
    registry=_registry,
)
_connections = Gauge(
    "ops_portal_web_database_connections",
    "Connections of this web process's pool to PostgreSQL, when it was asked.",
    ("process", "state"),
    registry=_registry,
)
_most_connections = Gauge(
    "ops_portal_web_database_connections_max", "Most connections its pool may have.", ("process",), registry=_registry
)
METRICS = frozenset(f"{one.name}_total" if one.type == "counter" else one.name for one in _registry.collect())


class WebFiguresMiddleware:
    """Counts every request that reaches Django's views or is refused before; not the files that WhiteNoise serves."""

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        began = time.perf_counter()
        response = self.get_response(request)
        if isinstance(response, HttpResponseBase):
            return _counted(request, response, began)
        return self._answer(request, response, began)

    async def _answer(
        self, request: HttpRequest, awaited: Awaitable[HttpResponseBase], began: float
    ) -> HttpResponseBase:
        return _counted(request, await awaited, began)


def exposition() -> bytes:
    """In Prometheus' text format. To be called before the scrape itself takes a connection."""
    process = _process()
    for route in _ROUTES:  # all series are there from the start, at 0: rate() sees the first request
        _seconds.labels(process, route)
        for status in _STATUSES:
            _requests.labels(process, route, status)
    for answer in _ANSWERS:
        _revalidated.labels(process, answer)
    _read_pool(process)
    return generate_latest(_registry)


def _counted(request: HttpRequest, response: HttpResponseBase, began: float) -> HttpResponseBase:
    match = request.resolver_match
    if match is None or match.url_name not in _UNCOUNTED:
        process, route = _process(), _route(request.path_info)
        _seconds.labels(process, route).observe(time.perf_counter() - began)
        _requests.labels(process, route, f"{response.status_code // 100}xx").inc()
        if response.has_header("ETag"):
            _revalidated.labels(process, "not_modified" if response.status_code == 304 else "served").inc()
    return response


def _route(path: str) -> str:
    """One of three, whatever is asked for: a path could be anything."""
    if path.startswith("/api/v1/views/"):
        return "live"
    return "api" if path.startswith("/api/") else "page"


def _read_pool(process: str) -> None:
    """What is not free in the pool is in use, or being made. A pool that was never asked has none."""
    pool = getattr(connections[DEFAULT_DB_ALIAS], "pool", None)
    if pool is None:
        return
    found = {"pool_size": 0, "pool_available": 0} if pool.closed else pool.get_stats()
    _connections.labels(process, "in_use").set(max(found["pool_size"] - found["pool_available"], 0))
    _connections.labels(process, "idle").set(found["pool_available"])
    _most_connections.labels(process).set(pool.max_size)


def _process() -> str:
    return str(os.getpid())
