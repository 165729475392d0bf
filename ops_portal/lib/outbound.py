"""The only module that dials HTTP: every call has a deadline, a size cap and an address policy.

The name is resolved once, every address of it is judged, and the connection goes to an address that was judged, while SNI
and Host keep the name: a name that answers otherwise a moment later leads nowhere else. No proxy, netrc or certificate
of the environment is heeded, and no redirect followed unless asked for.

    answer = outbound.call("POST", url, policy=outbound.PUBLIC, deadline=Deadline.after(5), json={...})

Libraries that want a `requests.Session` get `session()` and mount `adapter` once more where they mounted their own.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import NewConnectionError

from ops_portal.lib.destinations import (
    INVENTORY,
    PUBLIC,
    OutboundFailed,
    Policy,
    check_url,
    networks,
    place_of,
    resolve,
)
from ops_portal.lib.resilience import Deadline, DeadlinePassed

__all__ = [
    "INVENTORY",
    "PUBLIC",
    "Answer",
    "Guard",
    "OutboundFailed",
    "Policy",
    "call",
    "check_url",
    "failure",
    "networks",
    "resolve",
    "session",
]

MOST_BYTES = 64 * 1024
CONNECT_SECONDS = 3.0
_CHUNK = 64 * 1024
_REDIRECTS = frozenset({301, 302, 303, 307, 308})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back, whatever its status. Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    url: str


def call(
    method: str,
    url: str,
    *,
    policy: Policy,
    deadline: Deadline,
    most_bytes: int = MOST_BYTES,
    headers: Mapping[str, str] | None = None,
    params: Mapping[str, str] | None = None,
    data: bytes | Mapping[str, str] | None = None,
    json: Any = None,
    redirects: int = 0,
    ca_file: str | None = None,
    cut: bool = False,
) -> Answer:
    """One HTTP call. Raises OutboundFailed; a status of 400 or more is an answer.

    `redirects` are followed for GET and HEAD only, each judged anew. `cut` keeps what fits when the body is larger.
    """
    check_url(url, policy)
    with session(policy, deadline=deadline, most_bytes=most_bytes, ca_file=ca_file, cut=cut) as http:
        for _ in range(redirects + 1):
            try:
                found = http.request(
                    method, url, headers=dict(headers or {}), params=params, data=data, json=json, allow_redirects=False
                )
            except requests.RequestException as error:
                raise failure(error, url) from error
            target = found.headers.get("location")
            if found.status_code not in _REDIRECTS or not target or not redirects:
                return Answer(
                    found.status_code, {name.lower(): text for name, text in found.headers.items()}, found.content, url
                )
            if method not in {"GET", "HEAD"}:
                raise OutboundFailed("redirect", f"{place_of(url)} sends the call elsewhere, which is not followed.")
            headers = _without_secrets(headers, url, target)
            url, params = urljoin(url, target), None
    raise OutboundFailed("redirect", f"{place_of(url)} sends the call on and on.")


def session(
    policy: Policy,
    *,
    deadline: Deadline | None = None,
    most_bytes: int = MOST_BYTES,
    ca_file: str | None = None,
    cut: bool = False,
) -> requests.Session:
    """A session whose every call goes through the guard. Its `adapter` must be the one that serves every URL."""
    made = requests.Session()
    made.trust_env = False
    if ca_file:
        made.verify = ca_file
    guard = Guard(policy, deadline=deadline, most_bytes=most_bytes, cut=cut)
    made.mount("http://", guard)
    made.mount("https://", guard)
    return made


class Guard(HTTPAdapter):
    """Transport of a session. `deadline` may be set anew for each run; without one a call has the time its caller gives."""

    def __init__(self, policy: Policy, *, deadline: Deadline | None, most_bytes: int, cut: bool = False) -> None:
        self.policy = policy
        self.deadline = deadline
        self.most_bytes = most_bytes
        self.cut = cut
        super().__init__(pool_connections=4, pool_maxsize=8, max_retries=0)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self.policy)

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: bool | str = True,
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        url = request.url or ""
        check_url(url, self.policy)
        seconds = _seconds(timeout, self.deadline, url)
        try:
            with _Bell(seconds) as bell:
                found = super().send(
                    request,
                    stream=True,
                    timeout=(min(CONNECT_SECONDS, seconds), seconds),
                    verify=verify,
                    cert=cert,
                    proxies=None,
                )
                found._content = _body(found, self.most_bytes, self.cut, url)
        except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
            if bell.rang:
                raise OutboundFailed("timeout", f"{place_of(url)} did not answer in time.") from error
            raise failure(error, url) from error
        found._content_consumed = True  # type: ignore[attr-defined]  # as requests does after reading
        return found


def failure(error: BaseException, url: str) -> OutboundFailed:
    """What a fault of the client means, as code and sentence without secrets."""
    for cause in _chain(error):
        if isinstance(cause, OutboundFailed):
            return cause
    place = place_of(url)
    if isinstance(error, requests.exceptions.SSLError):
        return OutboundFailed("tls", f"No secure connection to {place} could be made.")
    if isinstance(error, requests.exceptions.Timeout) or any(isinstance(one, TimeoutError) for one in _chain(error)):
        return OutboundFailed("timeout", f"{place} did not answer in time.")
    if isinstance(error, requests.exceptions.InvalidURL | requests.exceptions.MissingSchema):
        return OutboundFailed("bad_url", "The address is not a valid URL.")
    if any(isinstance(one, ConnectionRefusedError) for one in _chain(error)):
        return OutboundFailed("refused", f"Nothing listens at {place} (connection refused).")
    return OutboundFailed("protocol", f"The connection to {place} broke off.")


# --- connections ---------------------------------------------------------------------------------------------------------
class _Guarded(HTTPConnection):
    policy: Policy
    _lever: socket.socket | None = None  # a second hold on the socket: the first goes into TLS

    def request(self, *args: Any, **kwargs: Any) -> None:
        _Bell.watch(self._lever)
        super().request(*args, **kwargs)

    def close(self) -> None:
        super().close()
        if self._lever is not None:
            self._lever.close()
            self._lever = None

    def _new_conn(self) -> socket.socket:
        most = self.timeout if isinstance(self.timeout, int | float) else CONNECT_SECONDS
        host = self._dns_host.strip("[]")
        last: OSError | None = None
        for family, kind, protocol, _, place in resolve(host, self.port, self.policy, _Bell.left(most)):
            if not (seconds := _Bell.left(most)):  # each address has its try, but none beyond the deadline
                last = TimeoutError()
                break
            sock = socket.socket(family, kind, protocol)
            try:
                sock.settimeout(seconds)
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
                sock.connect(place)
            except OSError as error:
                sock.close()
                last = error
                continue
            self._lever = sock.dup()
            _Bell.watch(self._lever)
            return sock
        if isinstance(last, TimeoutError):
            raise OutboundFailed("timeout", f"{host}:{self.port} does not take the connection.") from last
        raise NewConnectionError(self, f"no connection to {host}:{self.port}") from last


class _GuardedTls(_Guarded, HTTPSConnection):
    pass


def _pools(policy: Policy) -> dict[str, type[HTTPConnectionPool]]:
    class Plain(_Guarded):
        pass

    class Tls(_GuardedTls):
        pass

    Plain.policy = Tls.policy = policy

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


@dataclass
class _Bell:
    """Ends the calling thread's connections when the time of its call is over: a timeout alone starts anew with each byte."""

    seconds: float
    ends_at: float = 0.0  # monotonic
    rang: bool = False
    _levers: list[socket.socket] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _timer: threading.Timer | None = None

    _current = threading.local()

    def __enter__(self) -> "_Bell":
        self.ends_at = time.monotonic() + self.seconds
        self._timer = threading.Timer(self.seconds, self._ring)
        self._timer.daemon = True
        self._timer.start()
        _Bell._current.bell = self
        return self

    def __exit__(self, *_: object) -> None:
        _Bell._current.bell = None
        if self._timer is not None:
            self._timer.cancel()
        with self._lock:
            self._levers.clear()

    @staticmethod
    def left(most: float) -> float:
        """Seconds that the calling thread's call still has, at most `most`; 0 when its time is over."""
        bell: _Bell | None = getattr(_Bell._current, "bell", None)
        return most if bell is None else max(0.0, min(most, bell.ends_at - time.monotonic()))

    @staticmethod
    def watch(lever: socket.socket | None) -> None:
        bell: _Bell | None = getattr(_Bell._current, "bell", None)
        if bell is not None and lever is not None:
            with bell._lock:
                bell._levers.append(lever)
                if bell.rang:
                    _hang_up(lever)

    def _ring(self) -> None:
        with self._lock:
            self.rang = True
            for lever in self._levers:
                _hang_up(lever)


def _hang_up(lever: socket.socket) -> None:
    """End the connection for everybody who holds it: to close one's own hold alone would not."""
    with contextlib.suppress(OSError):
        lever.shutdown(socket.SHUT_RDWR)


def _body(found: requests.Response, most: int, cut: bool, url: str) -> bytes:
    parts, size = [], 0
    for part in found.iter_content(_CHUNK):
        parts.append(part)
        size += len(part)
        if size > most:
            found.close()
            if cut:
                return b"".join(parts)[:most]
            raise OutboundFailed("too_large", f"The answer of {place_of(url)} is larger than {most:,} bytes.")
    return b"".join(parts)


def _seconds(timeout: Any, deadline: Deadline | None, url: str) -> float:
    asked = timeout[1] if isinstance(timeout, tuple) else timeout
    most = float(asked) if asked is not None else (30.0 if deadline is None else 3600.0)
    try:
        return most if deadline is None else deadline.timeout(most)
    except DeadlinePassed:
        raise OutboundFailed("timeout", f"No time was left to call {place_of(url)}.") from None


def _without_secrets(headers: Mapping[str, str] | None, url: str, target: str) -> dict[str, str]:
    """Headers for where a redirect leads: another origin does not get the credentials."""
    here, there = urlsplit(url), urlsplit(urljoin(url, target))
    if (here.scheme, here.netloc) == (there.scheme, there.netloc):
        return dict(headers or {})
    return {name: text for name, text in (headers or {}).items() if name.lower() not in {"authorization", "cookie"}}


def _chain(error: BaseException) -> list[BaseException]:
    found: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in found:
            found.append(one)
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return found
