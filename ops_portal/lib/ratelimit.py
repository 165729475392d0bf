"""Exact request limits over all web processes: a sliding window of the last N admitted requests, kept in the transport server.

One Lua call decides and records, by the server's own clock, so parallel requests never admit one too many. A key holds at
most `limit` times and vanishes a window after its last request.
"""

import collections
import functools
import hashlib
import logging
import math
import threading
import time
from dataclasses import dataclass

import redis
from django.conf import settings
from django.http import HttpRequest
from redis.backoff import NoBackoff
from redis.retry import Retry

logger = logging.getLogger(__name__)

WINDOW_SECONDS = 60
LOCAL_SHARE = 4  # without the server every process admits limit / LOCAL_SHARE
DOWN_SECONDS = 2.0  # how long a server that failed is left alone
MOST_LOCAL_KEYS = 10_000

# KEYS[1] the key; ARGV limit, window in microseconds. Answers {1, 0} or {0, microseconds until a request is admitted}.
ADMIT = """
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local limit, window = tonumber(ARGV[1]), tonumber(ARGV[2])
local oldest = redis.call('LINDEX', KEYS[1], limit - 1)
if oldest then
  local free = tonumber(oldest) + window
  if free > now then return {0, string.format('%.0f', free - now)} end
end
redis.call('LPUSH', KEYS[1], string.format('%.0f', now))
redis.call('LTRIM', KEYS[1], 0, limit - 1)
redis.call('PEXPIRE', KEYS[1], math.ceil(window / 1000))
return {1, '0'}
"""


class LimiterUnavailable(Exception):
    """The server does not answer and the caller asked not to go on without it."""


@dataclass(frozen=True, slots=True)
class Admission:
    """`retry_after_seconds` is a whole number, at least 1, when the request is not admitted."""

    admitted: bool
    retry_after_seconds: int = 0


ADMITTED = Admission(admitted=True)


def admit(bucket: str, key: str, limit: int, *, fail_closed: bool = False) -> Admission:
    """Count one request of `key` in `bucket` against `limit` a minute.

    Without the server a bucket of this process stands in with a share of the limit; `fail_closed` raises
    LimiterUnavailable instead.
    """
    name = _name(bucket, key)
    if time.monotonic() >= _state.down_until:
        try:
            admitted, wait = _script()(keys=[name], args=[limit, WINDOW_SECONDS * 1_000_000])
        except redis.RedisError as error:
            _state.down_until = time.monotonic() + DOWN_SECONDS
            logger.warning("Requests are limited per process for %s s: %s", DOWN_SECONDS, error)
        else:
            return ADMITTED if admitted else _refusal(int(wait) / 1_000_000)
    if fail_closed:
        raise LimiterUnavailable("the limiter's server does not answer")
    return _state.admit(name, max(1, limit // LOCAL_SHARE))


def client_address(request: HttpRequest) -> str:
    """The caller's address: the connection's, or behind N trusted proxies the entry that the outermost of them wrote."""
    direct = str(request.META.get("REMOTE_ADDR") or "unknown")
    if not settings.TRUSTED_PROXIES:
        return direct
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    return hops[-settings.TRUSTED_PROXIES] if len(hops) >= settings.TRUSTED_PROXIES else direct


class _State:
    """What this process knows when the server is away. `down_until` is on the monotonic clock."""

    def __init__(self) -> None:
        self.down_until = 0.0
        self._lock = threading.Lock()
        self._times: collections.OrderedDict[str, collections.deque[float]] = collections.OrderedDict()

    def admit(self, name: str, limit: int) -> Admission:
        now = time.monotonic()
        with self._lock:
            times = self._times.setdefault(name, collections.deque())
            self._times.move_to_end(name)
            while len(self._times) > MOST_LOCAL_KEYS:
                self._times.popitem(last=False)
            while times and times[0] <= now - WINDOW_SECONDS:
                times.popleft()
            if len(times) >= limit:
                return _refusal(times[-limit] + WINDOW_SECONDS - now)
            times.append(now)
        return ADMITTED


_state = _State()


def _refusal(seconds: float) -> Admission:
    return Admission(admitted=False, retry_after_seconds=max(1, math.ceil(seconds)))


def _name(bucket: str, key: str) -> str:
    """Hashed, because keys hold what callers send: names of any length and character."""
    return f"{settings.DEPLOYMENT_ID}:limit:{bucket}:{hashlib.sha256(key.encode()).hexdigest()[:32]}"


@functools.cache
def _script() -> "redis.commands.core.Script":
    client = redis.Redis.from_url(
        settings.VALKEY,
        socket_timeout=1,
        socket_connect_timeout=1,
        health_check_interval=25,
        retry=Retry(NoBackoff(), 1),
    )
    return client.register_script(ADMIT)
