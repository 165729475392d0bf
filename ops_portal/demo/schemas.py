"""The made-up clients at the schema registry: two keep their schemas backward compatible, and one of them has a program that
registers an incompatible schema again and again."""

import contextlib
import http.client
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlsplit

import orjson

from ops_portal.demo.guests import Steered, rest
from ops_portal.demo.principals import ORDERS, VALUATIONS

logger = logging.getLogger(__name__)

INCOMPATIBLE_SECONDS = 30.0
_RETRY_SECONDS = 2.0
API = "/apis/ccompat/v7"  # where the registry speaks as Confluent's does
_TYPE = "application/vnd.schemaregistry.v1+json"


@dataclass(frozen=True, slots=True)
class Answer:
    """Of the registry: its status and its JSON object."""

    status: int
    body: Mapping[str, Any]


def avro(name: str, **fields: object) -> str:
    """An Avro record schema; a field whose type is a pair is (type, default)."""
    made = [
        {"name": key, "type": kind[0], "default": kind[1]} if isinstance(kind, tuple) else {"name": key, "type": kind}
        for key, kind in fields.items()
    ]
    record = {"type": "record", "name": name, "namespace": "example.demo", "fields": made}
    return orjson.dumps(record).decode()


_ORDER: dict[str, object] = {"account": "string", "instrument": "string", "quantity": "long"}
_VALUATION: dict[str, object] = {"account": "string", "net_asset_value": "string", "currency": "string"}
# Versions in the order in which they were registered; each can read what the one before has written.
SUBJECTS = {
    f"{ORDERS}-value": (avro("Order", **_ORDER), avro("Order", **_ORDER, venue=("string", "XLON"))),
    f"{VALUATIONS}-value": (avro("Valuation", **_VALUATION),),
}
BROKEN_SUBJECT = f"{ORDERS}-value"
# A new field without a default, and a number that has become a text.
BROKEN = avro("Order", **{**_ORDER, "quantity": "string"}, venue=("string", "XLON"), desk="string")


def register(url: str, steering: Steered, *, every_seconds: float = INCOMPATIBLE_SECONDS) -> None:
    """Register what is right once, then what is wrong every `every_seconds`. The registry may come late or go away."""
    steering.begun()
    while steering.running() and not _registered(url):
        rest(_RETRY_SECONDS, steering)
    while steering.running():
        with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
            if _knows(url, BROKEN_SUBJECT) or _registered(url):  # one that has begun anew would take anything
                offer(url, BROKEN_SUBJECT, BROKEN, agent="northgate-order-gateway/2.4")
        rest(every_seconds, steering)


def answers(url: str) -> bool:
    """Whether the registry takes requests."""
    with contextlib.suppress(OSError, http.client.HTTPException, ValueError):
        return call(url, "GET", "/subjects", agent="ops-portal-demo").status == 200
    return False


def offer(url: str, subject: str, schema: str, *, agent: str) -> Answer:
    """Register a version of a subject. OSError and HTTPException when the registry does not answer."""
    return call(url, "POST", f"/subjects/{quote(subject, safe='')}/versions", {"schema": schema}, agent=agent)


def call(url: str, method: str, path: str, body: Mapping[str, Any] | None = None, *, agent: str) -> Answer:
    """One request to the registry's Confluent API."""
    link = http.client.HTTPConnection(urlsplit(url).netloc, timeout=5)
    with contextlib.closing(link):
        content = None if body is None else orjson.dumps(body)
        link.request(method, f"{API}{path}", content, {"Content-Type": _TYPE, "User-Agent": agent})
        answer = link.getresponse()
        found = orjson.loads(answer.read() or b"{}")
        return Answer(answer.status, found if isinstance(found, dict) else {})


def _knows(url: str, subject: str) -> bool:
    return call(url, "GET", f"/config/{quote(subject, safe='')}", agent="northgate-order-gateway/2.4").status == 200


def _registered(url: str) -> bool:
    """Every subject with its versions and backward compatibility; False when the registry is not there yet."""
    try:
        for subject, versions in SUBJECTS.items():
            agent = f"{subject.partition('.')[0]}-deploy/1.0"
            for schema in versions:
                answer = offer(url, subject, schema, agent=agent)
                if answer.status not in {200, 409}:  # 409: a later version is there already
                    logger.warning("demo.schema_not_registered subject=%s status=%s", subject, answer.status)
            # After the first version: without a rule of its own a subject takes anything.
            call(url, "PUT", f"/config/{quote(subject, safe='')}", {"compatibility": "BACKWARD"}, agent=agent)
    except (OSError, http.client.HTTPException, ValueError):
        return False
    return True
