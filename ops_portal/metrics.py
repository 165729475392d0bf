"""/metrics: the scrape, for whoever holds METRICS_TOKEN."""

import gzip
import ipaddress
import secrets

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe

from accounts.guards import public
from clusters import exporter as clusters_exporter
from lag.exporter import CONTENT_TYPE, exposition
from ops_portal import web_figures


@require_safe
@never_cache
@public("asks for METRICS_TOKEN; in demo mode it is open to callers on loopback")
def metrics(request: HttpRequest) -> HttpResponse:
    """Prometheus text format; absent series are unknown or stale."""
    if not _is_allowed(request):
        response = HttpResponse("Send METRICS_TOKEN as a bearer token.\n", content_type="text/plain", status=401)
        response["WWW-Authenticate"] = "Bearer"
        return response
    own = web_figures.exposition()  # first: the others take a connection
    body = exposition() + clusters_exporter.exposition() + own
    response = HttpResponse(body, content_type=CONTENT_TYPE)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        response.content = gzip.compress(body, compresslevel=1)
        response["Content-Encoding"] = "gzip"
    response["Vary"] = "Accept-Encoding"
    return response


def _is_allowed(request: HttpRequest) -> bool:
    kind, _, given = request.headers.get("Authorization", "").partition(" ")
    token = settings.METRICS_TOKEN
    if token and kind.lower() == "bearer" and secrets.compare_digest(given.strip().encode(), token.encode()):
        return True
    bound_to_loopback = settings.DEMO and _is_loopback(settings.HOST) and not settings.TRUSTED_PROXIES
    return bound_to_loopback and _is_loopback(str(request.META.get("REMOTE_ADDR", "")))


def _is_loopback(address: str) -> bool:
    try:
        return address == "localhost" or ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False
