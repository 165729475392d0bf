"""Thresholds of a load test as k6 writes them: `p95<10`, `http_req_duration: p(99)<100`, `rate>80000`."""

import re
from dataclasses import dataclass

DEFAULT_THRESHOLDS = ("p95<10", "p99<100", "rate>80000")
LONGEST = 200

_EXPRESSION = re.compile(
    r"^\s*(?:(?P<metric>[A-Za-z_][A-Za-z0-9_]*(?:\{[^}\0]*\})?)\s*:\s*)?"
    r"(?P<aggregate>p\(?\s*(?P<percent>\d{1,3}(?:\.\d+)?)\s*\)?|avg|min|max|med|rate|count|value)"
    r"\s*(?P<operator><=|>=|===|==|!=|<|>)\s*(?P<bound>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)\s*$"
)


class BadThreshold(ValueError):
    """The text is no threshold; the message says what one looks like."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One promise. `metric` None means the latency or the throughput of the run, whichever the aggregate is about."""

    text: str
    metric: str | None
    aggregate: str  # p(N) | avg | min | max | med | rate | count | value
    operator: str
    bound: float


def parse(text: str) -> Threshold:
    """A threshold as k6 writes it, with an optional metric in front. Raises `BadThreshold`."""
    found = _EXPRESSION.match(text) if len(text) <= LONGEST else None
    if found is None:
        raise BadThreshold(
            f"{text[:60]!r} is no threshold: write for example p95<10, p(99)<100 or http_reqs: rate>80000"
        )
    aggregate = found["aggregate"]
    if found["percent"] is not None:
        if not 0 <= float(found["percent"]) <= 100:
            raise BadThreshold(f"{text[:60]!r}: a percentile lies between 0 and 100")
        aggregate = f"p({float(found['percent']):g})"
    return Threshold(text.strip(), found["metric"], aggregate, found["operator"], float(found["bound"]))


def key(threshold: Threshold) -> str:
    """A threshold's expression in one spelling, to find what the summary says of it."""
    return f"{threshold.aggregate}{threshold.operator}{threshold.bound:g}"
