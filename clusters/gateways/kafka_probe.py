"""Does the cluster answer, and does it let the portal see what it needs? For people who set one up."""

import itertools
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from clusters.gateways.kafka_frames import Settings
from clusters.gateways.kafka_process import IsolatedKafka, Place, end_children
from clusters.ports import Broker, GatewayFailed
from clusters.properties import client_certificate
from ops_portal.lib.clock import Clock, as_datetime
from ops_portal.lib.resilience import Deadline, DeadlinePassed

_places = itertools.count(-1, -1)  # settings under test belong to no stored cluster


@dataclass(frozen=True, slots=True)
class ConnectionTest:
    """What one test found. Without an answer `code` and `message` say why, and the figures are None.

    `problems` are sentences about what will not work although the cluster answers: missing rights, brokers out of reach.
    """

    ok: bool
    code: str
    message: str
    seconds: float
    cluster_id: str | None = None
    brokers: tuple[Broker, ...] = ()
    topics: int | None = None
    groups: int | None = None
    problems: tuple[str, ...] = ()


def probe_connection(
    bootstrap: str, properties: Mapping[str, str], *, clock: Clock, seconds: float = 12.0
) -> ConnectionTest:
    """Connect with these settings, within `seconds`. Never raises for what a cluster or a setting does."""
    started = time.monotonic()
    place = Place(next(_places), 1, Settings(bootstrap, properties))
    expiry = _certificate_problems(properties, as_datetime(clock.now()))
    try:
        found = IsolatedKafka(place, clock).survey(Deadline.after(seconds))
    except GatewayFailed as failure:
        said = [failure.message] if failure.code == "configuration" else [*expiry, failure.message]
        return ConnectionTest(False, failure.code, " ".join(said), time.monotonic() - started)
    except DeadlinePassed:
        message = f"The cluster did not answer everything within {seconds:.0f} s."
        return ConnectionTest(False, "timeout", message, time.monotonic() - started)
    finally:
        end_children(place.cluster_id)
    listed = f"{_many(len(found.brokers), 'broker')}, {_many(found.topics, 'topic')}"
    counted = "" if found.groups is None else ", " + _many(found.groups, "consumer group")
    return ConnectionTest(
        ok=True,
        code="ok",
        message=f"The cluster answers: {listed}{counted}.",
        seconds=time.monotonic() - started,
        cluster_id=found.cluster_id,
        brokers=found.brokers,
        topics=found.topics,
        groups=found.groups,
        problems=(*expiry, *found.problems),
    )


def _certificate_problems(properties: Mapping[str, str], now: datetime) -> list[str]:
    certificate = client_certificate(properties)
    if certificate is None:
        return []
    ends, begins = certificate.not_valid_after_utc, certificate.not_valid_before_utc
    if ends < now:
        return [f"The portal's client certificate has expired on {ends:%Y-%m-%d}."]
    if begins > now:
        return [f"The portal's client certificate is not valid before {begins:%Y-%m-%d}."]
    return []


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
