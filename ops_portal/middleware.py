"""Middleware that every request passes."""

import re
import uuid
from collections.abc import Awaitable, Callable

import structlog
from asgiref.sync import iscoroutinefunction, markcoroutinefunction
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase

_GIVEN_ID = re.compile(r"[A-Za-z0-9._-]{8,64}")


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
        request_id = _request_id(request)
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = self.get_response(request)
            if isinstance(response, HttpResponseBase):
                response["X-Request-ID"] = request_id
                return response
        return self._answer(response, request_id)

    async def _answer(self, awaited: Awaitable[HttpResponseBase], request_id: str) -> HttpResponseBase:
        with structlog.contextvars.bound_contextvars(request_id=request_id):
            response = await awaited
            response["X-Request-ID"] = request_id
            return response


def _request_id(request: HttpRequest) -> str:
    given = request.headers.get("X-Request-ID", "")
    if settings.TRUSTED_PROXIES and _GIVEN_ID.fullmatch(given):
        return given
    return uuid.uuid4().hex
