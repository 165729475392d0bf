"""Building PromQL: selectors with every value escaped, the dialects of exporters, templates filled for one of them. Pure."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum


class Dialect(StrEnum):
    """How an exporter names Kafka's beans."""

    JMX = "jmx"  # jmx_exporter with Kafka's example rules, Strimzi's or ours
    CONFLUENT = "confluent"
    REPORTER = "reporter"  # Strimzi's metrics reporter, which needs no agent
    BITNAMI = "bitnami"

    @property
    def label(self) -> str:
        return _LABELS[self]


_LABELS = {
    Dialect.JMX: "JMX exporter",
    Dialect.CONFLUENT: "JMX exporter with Confluent's rules",
    Dialect.REPORTER: "Strimzi metrics reporter",
    Dialect.BITNAMI: "JMX exporter with Bitnami's rules",
}

_BYTES_IN = {
    "kafka_server_brokertopicmetrics_bytesin_total": Dialect.JMX,
    "kafka_server_brokertopicmetrics_bytesinpersec": Dialect.CONFLUENT,
    "kafka_server_brokertopicmetrics_bytesinpersec_total": Dialect.REPORTER,
    "kafka_server_brokertopicmetrics_total_bytesinpersec_count": Dialect.BITNAMI,
    "kafka_server_brokertopicmetrics_bytesinpersec_count": Dialect.BITNAMI,
}


class NotExported(LookupError):
    """The exporter of this dialect does not export a metric that the query needs. The text names it."""


@dataclass(frozen=True, slots=True)
class Metric:
    """One thing that brokers measure and its name in each dialect; a dialect that is not named lacks it.

    Several names are alternatives, of which an exporter has one. `matchers` are label -> value, with `~`, `!` or `!~` in
    front of the value for the other operators of PromQL; `of_dialect` replaces them for one. `host` = measured on the
    machine by node_exporter, in the same words for all.
    """

    title: str
    names: Mapping[Dialect, tuple[str, ...]]
    matchers: Mapping[str, str] = field(default_factory=dict)
    of_dialect: Mapping[Dialect, Mapping[str, str]] = field(default_factory=dict)
    host: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """Whose series are asked for: the dialect, and the matchers that set this cluster apart from others."""

    dialect: Dialect
    matchers: Mapping[str, str] = field(default_factory=dict)
    host_matchers: Mapping[str, str] = field(default_factory=dict)


_PLACE = re.compile(r"\$([a-z][a-z0-9_]*)")
_LABEL = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_]*\Z")


def quoted(value: str) -> str:
    """A PromQL string."""
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\r", "\\r")
    return f'"{escaped}"'


def selector(names: tuple[str, ...], matchers: Mapping[str, str]) -> str:
    """An instant selector of the metric of any of these names. Raises ValueError for a label that is none."""
    parts = []
    for label, value in matchers.items():
        if not _LABEL.match(label):
            raise ValueError(f"{label!r} is no label")
        operator = next((sign for sign in ("!~", "~", "!") if value.startswith(sign)), "")
        sign = {"!~": "!~", "~": "=~", "!": "!=", "": "="}[operator]
        parts.append(f"{label}{sign}{quoted(value[len(operator) :])}")
    if len(names) == 1:
        return f"{names[0]}{{{','.join(parts)}}}" if parts else names[0]
    named = f"__name__=~{quoted('|'.join(names))}"
    return f"{{{','.join([named, *parts])}}}"


def filled(template: str, metrics: Mapping[str, Metric], target: Target) -> str:
    """The template with its `$metrics` in the words of the target's dialect. Raises NotExported."""

    def written(place: re.Match[str]) -> str:
        metric = metrics[place.group(1)]
        names = metric.names.get(target.dialect, ())
        if not names:
            raise NotExported(metric.title)
        own = metric.of_dialect.get(target.dialect, metric.matchers)
        return selector(names, {**own, **(target.host_matchers if metric.host else target.matchers)})

    return _PLACE.sub(written, template)


def places(template: str) -> list[str]:
    """The metrics that a template names, in order."""
    return list(dict.fromkeys(_PLACE.findall(template)))


def detection(by: str | None = None) -> str:
    """The query whose answer tells the dialect, per value of the label `by` too."""
    names = f"{{__name__=~{quoted('|'.join(_BYTES_IN))}}}"
    return f"count by (__name__{f', {by}' if by else ''}) ({names})"


def dialect_of(names: Mapping[str, float]) -> Dialect | None:
    """The dialect of most series, by the names that `detection` found; None when there are none."""
    counts: dict[Dialect, float] = {}
    for name, count in names.items():
        if name in _BYTES_IN:
            dialect = _BYTES_IN[name]
            counts[dialect] = counts.get(dialect, 0.0) + count
    return max(counts, key=lambda dialect: counts[dialect]) if counts else None
