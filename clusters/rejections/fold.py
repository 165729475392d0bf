"""Bursts become series: equal refusals are one series, counted by the minute."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field

from clusters.rejections.types import Kind, Rejected

MINUTE = 60


@dataclass(slots=True)
class Series:
    """Equal refusals. `minutes`: start of the minute in seconds since the epoch -> how many."""

    key: str
    first: Rejected
    count: int
    first_at: float
    last_at: float
    minutes: dict[int, int] = field(default_factory=dict)


def series_key(origin: str, rejected: Rejected) -> str:
    """What makes refusals equal: everything but when and how many. 32 hex digits."""
    kind, _, *parts, _ = rejected
    text = "\x1f".join((origin, kind, *(str(part) for part in parts)))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:32]


def fold(origin: str, found: Iterable[Rejected], *, now: float) -> list[Series]:
    """The series of some refusals, by key. A time ahead of `now`, one before 1970, or none, counts as `now`."""
    # Most of a burst are equal but for the time, so the costly key is made once per distinct refusal.
    keys: dict[Rejected, str] = {}
    series: dict[str, Series] = {}
    for rejected in found:
        at = rejected.at if rejected.at is not None and 0 <= rejected.at <= now else now
        plain = rejected._replace(at=None, times=1)
        key = keys.get(plain)
        if key is None:
            key = keys[plain] = series_key(origin, plain)
        one = series.get(key)
        if one is None:
            one = series[key] = Series(key, plain, 0, at, at)
        one.count += rejected.times
        one.first_at, one.last_at = min(one.first_at, at), max(one.last_at, at)
        minute = int(at // MINUTE) * MINUTE
        one.minutes[minute] = one.minutes.get(minute, 0) + rejected.times
    return [series[key] for key in sorted(series)]


def words_of(rejected: Rejected) -> str:
    """One line about what was refused, for titles: "WRITE on topic orders"."""
    if rejected.kind is Kind.SCHEMA:
        return f"{rejected.operation or 'schema'} of {rejected.subject}" if rejected.subject else "schema"
    if rejected.kind is Kind.AUTHENTICATION:
        return f"{rejected.operation or 'sign-in'} on listener {rejected.listener}" if rejected.listener else "sign-in"
    if rejected.resource_type == "cluster":
        return f"{rejected.operation} on the cluster"
    what = " ".join(word for word in (rejected.resource_type.replace("_", " "), rejected.resource) if word)
    return f"{rejected.operation} on {what}" if what else rejected.operation or rejected.kind.label
