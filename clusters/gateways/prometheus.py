"""Queries to a Prometheus-compatible server (Prometheus, Thanos, Mimir, VictoriaMetrics).

`prometheus_api_client` builds the requests; it is imported on first use, for its dependencies are heavy. What it would do
by itself and must not: wait without end, try again and stall the poll, send long queries in the address, drop the
`warnings` that mark a partial answer, and mount a transport of its own over the guarded one.
"""

import math
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

import orjson
import requests
from urllib3.util.retry import Retry

from ops_portal.lib import outbound
from ops_portal.lib.resilience import Deadline

TIMEOUT = (3.0, 8.0)  # seconds to connect, to read
MOST_BYTES = 64 * 1024 * 1024
AT_ONCE = 4
WARNINGS_KEPT = 20
MOST_POINTS = 11_000  # of a range per series: Prometheus refuses more


class PrometheusFailed(Exception):
    """The server did not answer as Prometheus does. `code` is a lower snake word, the text one sentence."""

    def __init__(self, message: str, code: str = "protocol") -> None:
        super().__init__(message)
        self.code = code


@dataclass(frozen=True, slots=True)
class Sample:
    """One series of an instant answer. Values that are no number (NaN, infinite) are None."""

    labels: Mapping[str, str]
    value: float | None


@dataclass(frozen=True, slots=True)
class Series:
    """One series of a range: (seconds since the epoch, value or None)."""

    labels: Mapping[str, str]
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class Answered:
    """What a query brought: its series, or why it failed."""

    samples: tuple[Sample, ...] = ()
    error: str = ""
    code: str = ""


class Prometheus:
    """One server for one run. Close it; `warnings` tell that answers were partial, `requests` counts them."""

    def __init__(self, url: str, deadline: Deadline) -> None:
        from prometheus_api_client import PrometheusConnect

        self._url = url
        self._deadline = deadline
        self.warnings: list[str] = []
        self.requests = 0
        session = _Session(self)
        self._client: PrometheusConnect = PrometheusConnect(
            url,
            session=session,
            timeout=TIMEOUT,
            retry=Retry(total=0),
            method="POST",
        )
        session.mount(url, session.guard(deadline))  # in place of the one it has just mounted

    def __enter__(self) -> "Prometheus":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def query(self, promql: str, *, at: float | None = None) -> tuple[Sample, ...]:
        """The value of every series now, or at a time. Raises PrometheusFailed."""
        params = {"time": f"{at:.3f}"} if at is not None else {}
        found = self._called(lambda: self._client.custom_query(promql, params=params))
        if isinstance(found, list) and found and not isinstance(found[0], dict):  # a scalar: [time, value]
            return (Sample({}, _number(found[1])),)
        try:
            return tuple(Sample(row["metric"], _number(row["value"][1])) for row in found)
        except (KeyError, TypeError, IndexError) as error:
            raise PrometheusFailed(f"{self._url} answered in a form that is not that of Prometheus.") from error

    def query_many(self, queries: Mapping[str, str]) -> dict[str, Answered]:
        """Several instant queries, a few at a time. A query that fails costs no other its answer."""

        def one(promql: str) -> Answered:
            try:
                return Answered(self.query(promql))
            except PrometheusFailed as failure:
                return Answered(error=str(failure), code=failure.code)

        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="prometheus") as pool:
            return dict(zip(queries, pool.map(one, queries.values()), strict=True))

    def query_range(self, promql: str, start: datetime, end: datetime, step_seconds: float) -> tuple[Series, ...]:
        """Every series over [start, end], aware datetimes; `step_seconds` is widened to what the server takes."""
        step = max(1, math.ceil(max(step_seconds, (end - start).total_seconds() / (MOST_POINTS - 1))))
        found = self._called(lambda: self._client.custom_query_range(promql, start, end, str(step)))
        try:
            return tuple(
                Series(row["metric"], tuple((float(at), _number(value)) for at, value in row["values"]))
                for row in found
            )
        except (KeyError, TypeError, ValueError) as error:
            raise PrometheusFailed(f"{self._url} answered in a form that is not that of Prometheus.") from error

    def _called(self, call: Any) -> Any:
        from prometheus_api_client.exceptions import PrometheusApiClientException

        try:
            return call()
        except outbound.OutboundFailed as failure:
            raise PrometheusFailed(failure.message, failure.code) from failure
        except requests.RequestException as error:
            meant = outbound.failure(error, self._url)
            raise PrometheusFailed(meant.message, meant.code) from error
        except PrometheusApiClientException as error:
            raise PrometheusFailed(str(error), "refused_query") from error
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise PrometheusFailed(f"{self._url} answered in a form that is not that of Prometheus.") from error

    def heard(self, response: requests.Response) -> Any:
        """The answer's JSON, once; keeps its warnings. Raises PrometheusFailed for what is none."""
        self.requests += 1
        try:
            found = orjson.loads(response.content)
        except ValueError as error:
            raise _refused(self._url, response, None) from error
        if not isinstance(found, dict) or found.get("status") != "success" or response.status_code != 200:
            raise _refused(self._url, response, found)
        for text in found.get("warnings") or []:
            if isinstance(text, str) and text not in self.warnings and len(self.warnings) < WARNINGS_KEPT:
                self.warnings.append(text[:300])
        return found


class _Session(requests.Session):
    """Sends parameters of a POST in its body, and reads each answer's JSON once."""

    def __init__(self, owner: Prometheus) -> None:
        super().__init__()
        self.trust_env = False
        self._owner = owner

    def guard(self, deadline: Deadline) -> outbound.Guard:
        made = outbound.Guard(outbound.INVENTORY, deadline=deadline, most_bytes=MOST_BYTES)
        for scheme in ("http://", "https://"):
            self.mount(scheme, made)
        return made

    def request(self, method: Any, url: Any, *args: Any, **more: Any) -> requests.Response:
        if str(method).upper() == "POST" and more.get("params"):
            more["data"], more["params"] = more["params"], None
        more["allow_redirects"] = False
        response = super().request(method, url, *args, **more)
        found = self._owner.heard(response)
        response.json = lambda **_: found  # type: ignore[method-assign]  # parsed already
        return response


def check_url(url: str) -> str:
    """The URL without a trailing slash. Raises ValueError with a sentence when it cannot be one of Prometheus."""
    parts = urlsplit(url.strip())
    try:
        port_is_valid = parts.port is None or parts.port >= 1
    except ValueError:
        port_is_valid = False
    if parts.scheme not in {"http", "https"} or not parts.hostname or not port_is_valid:
        raise ValueError("This is not an address such as http://prometheus.example:9090.")
    if parts.username or parts.password:
        raise ValueError("Name and password do not belong in the address: it is shown on pages.")
    if parts.query or parts.fragment:
        raise ValueError("The address ends with its path.")
    return url.strip().rstrip("/")


def check_answers(url: str) -> None:
    """Ask for the value of `1`, within eight seconds. Raises PrometheusFailed."""
    try:
        answer = outbound.call(
            "GET", f"{url}/api/v1/query", params={"query": "1"}, policy=outbound.INVENTORY, deadline=Deadline.after(8),
            cut=True,
        )  # fmt: skip
    except outbound.OutboundFailed as failure:
        raise PrometheusFailed(failure.message, failure.code) from failure
    if answer.status in {401, 403}:
        raise PrometheusFailed(f"{url} asks for a sign-in.", "not_allowed")
    if answer.status != 200 or b'"status":"success"' not in answer.body.replace(b" ", b""):
        raise PrometheusFailed(f"What answers at {url} is not Prometheus (HTTP {answer.status}).")


def _refused(url: str, response: requests.Response, found: Any) -> PrometheusFailed:
    status = response.status_code
    if status in {401, 403}:
        return PrometheusFailed(f"{url} asks for a sign-in.", "not_allowed")
    if status == 429:
        return PrometheusFailed(f"{url} is asked too often (HTTP 429).", "too_many_requests")
    if isinstance(found, dict) and isinstance(found.get("error"), str):
        return PrometheusFailed(f"Prometheus refuses the query: {found['error'][:300]}.", "refused_query")
    if status in {502, 503, 504}:
        return PrometheusFailed(f"{url} is not ready (HTTP {status}).", "unavailable")
    if status == 200:
        return PrometheusFailed(f"The answer of {url} is not the JSON of Prometheus; it may be cut off.", "malformed")
    return PrometheusFailed(f"What answers at {url} is not Prometheus (HTTP {status}).")


def _number(text: Any) -> float | None:
    """A value as Prometheus writes it, a string; None for what is no finite number."""
    try:
        value = float(text)
    except (TypeError, ValueError):
        return None
    return value if math.isfinite(value) else None
