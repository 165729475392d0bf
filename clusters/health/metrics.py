"""From answers of Prometheus to readings and figures of brokers. Pure.

Series name their scrape target (`instance`), not the broker. Which broker that is follows from what the series themselves
say (the id that Kafka gives its app-info bean), from labels that operators set, or from the host when only one broker is on it.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from clusters.health.judge import CLUSTER, Reading
from clusters.health.names import METRICS
from clusters.health.states import Scope
from clusters.promql import NotExported, Target, filled
from clusters.signals import SIGNALS, Signal

ID_LABELS = ("broker_id", "kafka_broker_id", "node_id", "brokerid", "broker")
POD = re.compile(r"-(\d+)$")  # the last number of a pod's name is the broker's id with every operator
UP_VALUES = ("broker_state",)


Place = tuple[str, str]  # (instance, mount point)


class Sampled(Protocol):
    """One series of an instant answer: `clusters.gateways.prometheus.Sample`."""

    @property
    def labels(self) -> Mapping[str, str]: ...

    @property
    def value(self) -> float | None: ...


@dataclass(frozen=True, slots=True)
class Asked:
    """The queries of one cycle: by name what is sent, and what cannot be asked with the reason."""

    queries: dict[str, str] = field(default_factory=dict)
    missing: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Known:
    """Who is who. `brokers`: id -> host. `down` = ids of brokers that are down. `log_dirs`: id -> directories."""

    brokers: Mapping[int, str]
    down: frozenset[int] = frozenset()
    log_dirs: Mapping[int, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Instances:
    """Scrape targets of the cluster's brokers: instance -> broker id, None where it is not known which."""

    of: Mapping[str, int | None]

    def name(self, instance: str) -> str:
        broker = self.of.get(instance)
        return f"broker {broker}" if broker is not None else instance


def asked(target: Target, extra: Mapping[str, str]) -> Asked:
    """The queries of every signal that Prometheus serves and those of `extra` (name -> template), in the target's dialect."""
    found = Asked()
    templates = {signal.id: signal.template(target.dialect) for signal in SIGNALS if signal.query} | dict(extra)
    for name, template in templates.items():
        try:
            found.queries[name] = filled(template, METRICS, target)
        except NotExported as lacking:
            found.missing[name] = f"This exporter ({target.dialect.label}) does not export {lacking}."
    return found


def instances_of(states: Iterable[Sampled], ids: Iterable[Sampled], known: Known) -> Instances:
    """Who the scrape targets are, from the series of broker states and of app-info."""
    by_id: dict[str, int] = {}
    for sample in ids:
        number = sample.labels.get("id") or sample.labels.get("client_id") or ""
        if number.isdecimal():
            by_id[sample.labels.get("instance", "")] = int(number)
    hosts: dict[str, list[int]] = {}
    for broker, host in known.brokers.items():
        hosts.setdefault(host.lower(), []).append(broker)
    found: dict[str, int | None] = {}
    for sample in states:
        instance = sample.labels.get("instance", "")
        found[instance] = by_id.get(instance, _named_in(sample.labels, known))
        if found[instance] is None:
            on_host = hosts.get(_host(instance), [])
            found[instance] = on_host[0] if len(on_host) == 1 else None
    taken = list(found.values())
    return Instances(
        {one: broker if taken.count(broker) == 1 else None for one, broker in found.items()} if taken else found
    )


def reading(signal: Signal, query: str, samples: Sequence[Sampled], instances: Instances, known: Known) -> Reading:
    """The reading of a signal out of its query's answer. A series without a finite value counts as no series."""
    named: dict[str, float] = {}
    brokers_heard: set[int] = set()
    disks = disks_of_brokers(samples, known) if signal.scope is Scope.DISK else {}
    for sample in samples:
        if sample.value is None:
            continue
        for entity, broker in _entities(signal, sample.labels, instances, known, disks):
            worse = min if signal.bad == "below" else max
            named[entity] = worse(named[entity], sample.value) if entity in named else sample.value
            if broker is not None:
                brokers_heard.add(broker)
    if not named:
        return Reading(missing=_nothing(samples, signal), query=query)
    return Reading(named, absent=_absent(signal, brokers_heard, instances, known), query=query)


def exporters_missing(samples: Sequence[Sampled], query: str, known: Known) -> Reading:
    """How many brokers that are up have no figures: the query counts the exporters that answer."""
    count = next((sample.value for sample in samples if sample.value is not None), None)
    if count is None:
        return Reading(missing="No exporter of a broker answers Prometheus.", query=query)
    up = len(known.brokers) - len(known.down)
    if not known.brokers:
        return Reading(missing="How many brokers there are is not known yet.", query=query)
    return Reading(
        {CLUSTER: float(max(0, up - int(count)))}, query=query, note=f"{count:.0f} of {up} brokers are scraped."
    )


def by_broker(
    samples: Iterable[Sampled], instances: Instances, known: Known, *, host: bool = False
) -> dict[int, float]:
    """Value by broker id, for the broker table; targets that belong to no broker are left out."""
    found: dict[int, float] = {}
    for sample in samples:
        if sample.value is None:
            continue
        instance = sample.labels.get("instance", "")
        own = instances.of.get(instance)
        for broker in _on_host(instance, known) if host else [own] if own is not None else []:
            found[broker] = found.get(broker, 0.0) + sample.value
    return found


def by_label(samples: Iterable[Sampled], label: str) -> dict[str, float]:
    """Value by a label; several series of one label value are added."""
    found: dict[str, float] = {}
    for sample in samples:
        if sample.value is not None and sample.labels.get(label):
            found[sample.labels[label]] = found.get(sample.labels[label], 0.0) + sample.value
    return found


def total(samples: Iterable[Sampled]) -> float | None:
    """The sum of all series; None of none."""
    values = [sample.value for sample in samples if sample.value is not None]
    return sum(values) if values else None


def most(samples: Iterable[Sampled]) -> float | None:
    """The largest value; None of none. Percentiles of several brokers have no other sum."""
    return max((sample.value for sample in samples if sample.value is not None), default=None)


# --- entities ------------------------------------------------------------------------------------------------------------
def _entities(
    signal: Signal, labels: Mapping[str, str], instances: Instances, known: Known, disks: Mapping[Place, list[int]]
) -> list[tuple[str, int | None]]:
    instance = labels.get("instance", "")
    if signal.scope is Scope.CLUSTER:
        return [(CLUSTER, None)]
    if signal.scope is Scope.DISK:
        mountpoint = labels.get("mountpoint", "")
        return [(f"broker {broker} {mountpoint}", broker) for broker in disks.get((instance, mountpoint), ())]
    if _of_host(signal):
        return [(f"broker {broker}", broker) for broker in _on_host(instance, known)]
    if instance not in instances.of:
        return []  # another program that Prometheus scrapes
    name, broker = instances.name(instance), instances.of[instance]
    if signal.scope is Scope.LISTENER:
        return [(f"{labels.get('listener', '?')} of {name}", broker)]
    return [(name, broker)]


def disks_of_brokers(samples: Iterable[Sampled], known: Known) -> dict[Place, list[int]]:
    """(instance, mount point) -> brokers that keep logs there: of each directory the longest mount point on the host.

    Where a broker's directories are not known, it answers for every disk of its host.
    """
    places = [(one.labels.get("instance", ""), one.labels.get("mountpoint", "")) for one in samples]
    found: dict[Place, list[int]] = {}
    for broker in known.brokers:
        mine = [place for place in places if broker in _on_host(place[0], known)]
        directories = known.log_dirs.get(broker)
        chosen = mine
        if directories:
            fitting = [[place for place in mine if _inside(directory, place[1])] for directory in directories]
            chosen = [max(some, key=lambda place: len(place[1])) for some in fitting if some]
        for place in dict.fromkeys(chosen):
            found.setdefault(place, []).append(broker)
    return found


def _inside(directory: str, mountpoint: str) -> bool:
    return directory == mountpoint or directory.startswith(mountpoint.rstrip("/") + "/")


def _on_host(instance: str, known: Known) -> list[int]:
    host = _host(instance)
    return [broker for broker, name in known.brokers.items() if _same_host(name.lower(), host)]


def _same_host(broker: str, host: str) -> bool:
    local = {"localhost", "127.0.0.1", "::1"}
    return broker == host or (broker in local and host in local)


def _of_host(signal: Signal) -> bool:
    return "$host_" in signal.query


def _host(instance: str) -> str:
    host, _, port = instance.rpartition(":")
    return (host if port.isdecimal() else instance).strip("[]").lower()


def _named_in(labels: Mapping[str, str], known: Known) -> int | None:
    for label in ID_LABELS:
        text = labels.get(label, "")
        if text.isdecimal() and int(text) in known.brokers:
            return int(text)
    for label in ("pod", "kubernetes_pod_name", "strimzi_io_pod_name"):
        found = POD.search(labels.get(label, ""))
        if found and int(found.group(1)) in known.brokers:
            return int(found.group(1))
    return None


def _absent(signal: Signal, heard: set[int], instances: Instances, known: Known) -> tuple[str, ...]:
    """Brokers that are up, can be told apart, and have no value."""
    told_apart = {broker for broker in instances.of.values() if broker is not None}
    if signal.scope is Scope.CLUSTER or None in instances.of.values() or not (told_apart or _of_host(signal)):
        return ()
    return tuple(f"broker {broker}" for broker in sorted(set(known.brokers) - known.down - heard))


def _nothing(samples: Sequence[Sampled], signal: Signal) -> str:
    if not samples:
        return "Prometheus has no such series; the exporter's rules may leave it out."
    if all(sample.value is None for sample in samples):
        return "The series has no number now (NaN)."
    if _of_host(signal) or signal.scope is Scope.DISK:
        return "node_exporter's series belong to hosts on which no broker of this cluster is known."
    return "The series belong to no broker of this cluster."
