"""The live state of watched views on the Redis-protocol server, and the scripts that keep it whole.

Per key: `meta` (epoch, seq, ts, pid), `snap` (row key -> stored row), `stream` (the last deltas, entry id = `<seq>-0`) and a
pub/sub channel. A payload is `<epoch> <pid>\n<body>`, the body being the text that sockets send on. All names begin with the
deployment id, because pub/sub ignores database numbers.
"""

import hashlib
import os
import threading
from dataclasses import dataclass, field
from typing import Any

import redis
from django.conf import settings
from redis.backoff import NoBackoff
from redis.retry import Retry

INTEREST_SECONDS = 15
STATE_SECONDS = 900
STREAM_LENGTH = 250  # four minutes at one a second; a board's delta may take 60 kB
TIMEOUT_SECONDS = 1.0

# KEYS meta snap stream; ARGV channel pid epoch expected_seq ts state_seconds stream_length payload rows deleted, then pairs
# and names. Idempotent: asked again with the pid that made expected_seq + 1, it answers as it did the first time.
PUBLISH = """
local now = redis.call('HMGET', KEYS[1], 'epoch', 'seq')
local seq = tonumber(now[2] or '0')
local next = tonumber(ARGV[4]) + 1
if now[1] == ARGV[3] and seq >= next then
  local entry = redis.call('XRANGE', KEYS[3], next .. '-0', next .. '-0')
  if entry[1] and entry[1][2][2] == ARGV[8] then return {1, next} end
end
if (now[1] or ARGV[3]) ~= ARGV[3] or seq ~= next - 1 then return {0, seq} end
if next == 1 then redis.call('DEL', KEYS[2], KEYS[3]) end
redis.call('HSET', KEYS[1], 'epoch', ARGV[3], 'ts', ARGV[5], 'pid', ARGV[2])
redis.call('HINCRBY', KEYS[1], 'seq', 1)
redis.call('XADD', KEYS[3], 'MAXLEN', '~', ARGV[7], next .. '-0', 'p', ARGV[8])
local rows, deleted, at = tonumber(ARGV[9]), tonumber(ARGV[10]), 11
for i = 1, rows do redis.call('HSET', KEYS[2], ARGV[at], ARGV[at + 1]); at = at + 2 end
for i = 1, deleted do redis.call('HDEL', KEYS[2], ARGV[at]); at = at + 1 end
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[6]) end
redis.call('PUBLISH', ARGV[1], ARGV[8])
return {1, next}
"""

# KEYS meta snap; the whole state at one moment.
READ = """
return {redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'ts', 'pid'), redis.call('HGETALL', KEYS[2])}
"""

# KEYS: one sorted set per view name; ARGV seconds, then one member per key. The server's own clock, so all agree.
WATCH = """
local until_ = tonumber(redis.call('TIME')[1]) + tonumber(ARGV[1])
for i, key in ipairs(KEYS) do redis.call('ZADD', key, 'GT', until_, ARGV[i + 1]) end
return #KEYS
"""

# KEYS: a view's sorted set; the keys that somebody watches.
WATCHED = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', '(' .. redis.call('TIME')[1])
return redis.call('ZRANGE', KEYS[1], 0, -1)
"""

# KEYS: meta snap stream of one key; ARGV seconds. Keeps a quiet but watched view, answers its position.
TOUCH = """
for i = 1, 3 do redis.call('EXPIRE', KEYS[i], ARGV[1]) end
return redis.call('HMGET', KEYS[1], 'epoch', 'seq', 'pid')
"""

# KEYS: meta snap stream of one key; ARGV epoch. Forget a state that contradicts what the server had said before.
RESET = """
if redis.call('HGET', KEYS[1], 'epoch') ~= ARGV[1] then return 0 end
return redis.call('DEL', KEYS[1], KEYS[2], KEYS[3])
"""


@dataclass(frozen=True, slots=True)
class Names:
    """Names on the server of one view key."""

    meta: str
    snap: str
    stream: str
    channel: str


@dataclass(slots=True)
class State:
    """A view's state: rows in stored form, as of sequence number `seq` in `epoch`; an empty epoch means there is none."""

    epoch: str = ""
    seq: int = 0
    ts: float | None = None
    pid: str = ""
    rows: dict[str, bytes] = field(default_factory=dict)


def prefix() -> str:
    return f"{settings.DEPLOYMENT_ID}:live:"


def names_of(key: str) -> Names:
    """Names for the key text; hashed, because parameters may be long and hold any character."""
    base = prefix() + hashlib.sha256(key.encode()).hexdigest()[:32]
    return Names(f"{base}:meta", f"{base}:snap", f"{base}:stream", f"{base}:news")


def interest_name(view_name: str) -> str:
    return f"{prefix()}watched:{view_name}"


def control_channel() -> str:
    return f"{prefix()}control"


_clients: dict[int, redis.Redis] = {}
_lock = threading.Lock()


def client() -> redis.Redis:
    """The process's client for publishing. Made after a fork, never before; every call ends within about two seconds."""
    pid = os.getpid()
    found = _clients.get(pid)
    if found is None:
        with _lock:
            found = _clients.get(pid)
            if found is None:
                _clients.clear()
                found = _clients[pid] = redis.Redis.from_url(
                    settings.VALKEY, **connection_options(), max_connections=64
                )
    return found


def forget_clients() -> None:
    """Close this process's clients; for tests that move to another server."""
    for found in _clients.values():
        found.close()
    _clients.clear()


def connection_options() -> dict[str, Any]:
    """Options of every short-lived call, for the blocking and the asyncio client."""
    return {
        "socket_timeout": TIMEOUT_SECONDS,
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "health_check_interval": 25,
        "retry": Retry(NoBackoff(), 1),
    }


def decode_state(answer: Any) -> State:
    """The State in what READ answered."""
    (epoch, seq, ts, pid), flat = answer
    if epoch is None:
        return State()
    # RESP3 answers HGETALL inside a script as a flat list; a map has been seen from some servers
    pairs = flat.items() if isinstance(flat, dict) else zip(flat[::2], flat[1::2], strict=True)
    return State(
        epoch.decode(),
        int(seq),
        float(ts) if ts else None,
        pid.decode(),
        {key.decode(): value for key, value in pairs},
    )
