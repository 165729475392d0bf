"""What the Prometheus JMX exporter 1.0.1 makes of a bean, without Java: the matching of its `JmxCollector`, in Python.

Rules are tried in order against `domain<key=value, ...><>Attribute: value` with `^.*(?:pattern).*$`; the first that
matches wins, a bean that none matches is dropped. A rule with `cache` sees `<cache>` instead of the value.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import yaml

_PROPERTY = re.compile(r'([^,=:*?]+)=("(?:[^\\"]*(?:\\.)?)*"|[^,=:"]*),?')
_RESERVED = ("_total", "_created", "_bucket", "_info")


class Reading(NamedTuple):
    """One attribute of a bean. `kind` is the Java class of the value, without its package."""

    bean: str
    attribute: str
    kind: str
    value: str

    @property
    def domain(self) -> str:
        return self.bean.partition(":")[0]

    @property
    def keys(self) -> dict[str, str]:
        """The bean's properties in their order; quotes stay."""
        return dict(_PROPERTY.findall(self.bean.partition(":")[2]))


class Series(NamedTuple):
    """A series as a scrape shows it."""

    name: str
    labels: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, name: str, /, **labels: str) -> "Series":
        return cls(name, frozenset((label, value) for label, value in labels.items() if value))

    def __str__(self) -> str:
        return f"{self.name}{{{', '.join(f'{label}={value!r}' for label, value in sorted(self.labels))}}}"


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    name: str
    kind: str
    value: str | None
    labels: tuple[tuple[str, str], ...]
    cache: bool


class Exporter:
    """The exporter with one rule file."""

    def __init__(self, text: str) -> None:
        config: dict[str, Any] = yaml.safe_load(text)
        self._lower = bool(config.get("lowercaseOutputName"))
        self._included = [_object_name(name) for name in config.get("includeObjectNames", [])]
        self._excluded = [_object_name(name) for name in config.get("excludeObjectNames", [])]
        self._rules = [
            _Rule(
                pattern=re.compile(f"^.*(?:{rule['pattern']}).*$"),
                name=rule["name"],
                kind=rule.get("type", "UNKNOWN"),
                value=None if rule.get("value") is None else str(rule["value"]),
                labels=tuple((str(label), str(value)) for label, value in rule.get("labels", {}).items()),
                cache=bool(rule.get("cache")),
            )
            for rule in config["rules"]
        ]

    def series(self, reading: Reading) -> Series | None:
        """The series of an attribute; None when it is not exported."""
        found = self._match(reading)
        if found is None or (reading.kind == "String" and not found[0].value):
            return None
        return self._matched(*found)

    def scrape(self, readings: Iterable[Reading]) -> dict[Series, Reading]:
        """All series of a scrape. Raises ValueError where two attributes make one series: the agent would then add an
        `_objectname` label to every series of that name."""
        found: dict[Series, Reading] = {}
        for reading in readings:
            series = self.series(reading)
            if series is None:
                continue
            if series in found:
                raise ValueError(f"{series} comes from {found[series].bean} and from {reading.bean}")
            found[series] = reading
        return found

    def unused(self, readings: Iterable[Reading]) -> list[str]:
        """Patterns that no attribute matches first."""
        used = {found[0] for found in map(self._match, readings) if found is not None}
        return [rule.pattern.pattern for rule in self._rules if rule not in used]

    def _match(self, reading: Reading) -> tuple[_Rule, re.Match[str]] | None:
        if not self._queried(reading):
            return None
        properties = ", ".join(f"{key}={value}" for key, value in reading.keys.items())
        for rule in self._rules:
            value = "<cache>" if rule.cache else reading.value
            match = rule.pattern.fullmatch(f"{reading.domain}<{properties}><>{reading.attribute}: {value}")
            if match is not None:
                return rule, match
        return None

    def _queried(self, reading: Reading) -> bool:
        def named(patterns: list[tuple[str, dict[str, str], bool]]) -> bool:
            return any(_fits(reading, *pattern) for pattern in patterns)

        return (not self._included or named(self._included)) and not named(self._excluded)

    def _matched(self, rule: _Rule, match: re.Match[str]) -> Series:
        name = _safe(_filled(rule.name, match))
        name = name.lower() if self._lower else name
        while name.endswith(_RESERVED):
            name = name[: name.rfind("_")]
        labels = {_safe(_filled(label, match)): _filled(value, match) for label, value in rule.labels}
        return Series.of(f"{name}_total" if rule.kind == "COUNTER" else name, **labels)


def readings(path: Path) -> Iterator[Reading]:
    """A dump of beans as `BeanDump.java` writes it."""
    for line in path.read_text(encoding="utf-8").splitlines():
        yield Reading(*line.split("\t"))


def scraped(text: str) -> set[Series]:
    """The series of a scrape in Prometheus' text format."""
    return {series for series in map(_scraped_line, text.splitlines()) if series is not None}


_SAMPLE = re.compile(r'([a-zA-Z_:][\w:]*)(?:\{((?:[^"}]|"(?:[^"\\]|\\.)*")*)\})? \S+')
_LABEL = re.compile(r'(\w+)="((?:[^"\\]|\\.)*)"')


def _scraped_line(line: str) -> Series | None:
    match = _SAMPLE.match(line)
    if match is None:
        return None
    labels = {label: re.sub(r"\\(.)", r"\1", value) for label, value in _LABEL.findall(match[2] or "")}
    return Series.of(match[1], **labels)


def _object_name(text: str) -> tuple[str, dict[str, str], bool]:
    domain, _, rest = text.partition(":")
    keys = dict(_each.partition("=")[::2] for _each in rest.split(",") if _each != "*")
    return domain, keys, "*" in rest.split(",")


def _fits(reading: Reading, domain: str, keys: dict[str, str], open_ended: bool) -> bool:
    own = reading.keys
    if domain != reading.domain or not (keys.keys() <= own.keys() if open_ended else keys.keys() == own.keys()):
        return False
    return all(re.fullmatch(".*".join(map(re.escape, value.split("*"))), own[key]) for key, value in keys.items())


def _filled(template: str, match: re.Match[str]) -> str:
    return re.sub(r"\$(\d)", lambda group: match[int(group[1])] or "", template)


def _safe(name: str) -> str:
    return re.sub(r"_{2,}", "_", re.sub(r"[^a-zA-Z0-9:_]", "_", ("_" if name[:1].isdigit() else "") + name))
