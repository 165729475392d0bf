"""Middleware that every request passes."""

import logging
import re
import time
import uuid
from collections.abc import Awaitable, Callable

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

logger = logging.getLogger(__name__)

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")

_UNLOGGED = frozenset({"healthz", "readyz"})  # asked every few seconds by machines


def current_request_id() -> str:
    """The id of the request being served, as in its log lines and its X-Request-ID header; empty outside a request."""
    return str(structlog.contextvars.get_contextvars().get("request_id", ""))


class RequestIdMiddleware:
    """Gives every request an id, binds it to the log lines and returns it as X-Request-ID.

    The id of a trusted proxy is kept; from anybody else it would let a caller forge log lines.
    """

    sync_capable = True
    async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]]) -> None:
        self.get_response = get_response
        if iscoroutinefunction(get_response):
            markcoroutinefunction(self)

    def __call__(self, request: HttpRequest) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        request_id, began = _request_id(request), time.monotonic()
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
            if isinstance(response, HttpResponseBase):
                return _finished(request, response, request_id, began)
        return self._answer(request, response, request_id, began)

    async def _answer(
        self, request: HttpRequest, awaited: Awaitable[HttpResponseBase], request_id: str, began: float
    ) -> HttpResponseBase:
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            return _finished(request, await awaited, request_id, began)


def _finished(request: HttpRequest, response: HttpResponseBase, request_id: str, began: float) -> HttpResponseBase:
    """Mark the answer and write its line: the route's pattern, because the path itself may carry a secret."""
    response["X-Request-ID"] = request_id
    match = request.resolver_match
    if match is not None and match.url_name not in _UNLOGGED:
        fields = {
            "method": request.method,
            "route": match.route,
            "status": response.status_code,
            "seconds": round(time.monotonic() - began, 4),
        }
        logger.info("web.request_served", extra=fields)
    return response


def _request_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    if settings.TRUSTED_PROXIES and _GIVEN_ID.fullmatch(given):
        return given
    return uuid.uuid4().hex
