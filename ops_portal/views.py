"""Health of the process and of what it needs (interfaces.md 7)."""

import redis
from django.conf import settings
from django.db import DatabaseError, connection
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_safe
from psycopg_pool import PoolTimeout

from accounts.guards import public


@require_safe
@never_cache
@public("tells only that the process answers")
def healthz(request: HttpRequest) -> HttpResponse:
    """200 as long as the process answers; touches nothing else."""
    return HttpResponse("ok\n", content_type="text/plain")


@require_safe
@never_cache
@public("tells only what is up; balancers ask it")
def readyz(request: HttpRequest) -> JsonResponse:
    """503 only without the database: without the transport pages still render and polls go on."""
    database = "up" if _database_answers() else "down"
    transport = "up" if _transport_answers() else "down"
    status = 200 if database == "up" else 503
    response = JsonResponse({"database": database, "transport": transport}, status=status)
    if status == 503:
        response["Retry-After"] = "5"
    return response


def _database_answers() -> bool:
    try:
        with connection.cursor() as cursor:
            cursor.execute("SELECT 1")
    except (DatabaseError, PoolTimeout):
        return False
    return True


def _transport_answers() -> bool:
    try:
        with redis.Redis.from_url(settings.VALKEY, socket_timeout=1, socket_connect_timeout=1) as client:
            return bool(client.ping())
    except redis.RedisError:
        return False
