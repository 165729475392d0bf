"""What each bean of a broker should be exported as, told without regard to the rule file: the oracle of its tests."""

from collections.abc import Callable

from tests.deploy.jmx_replay import Reading, Series

_QUOTA = {"byte-rate", "request-time", "mutation-rate", "tokens", "throttle-time"}
_TIMED = {"Produce", "FetchConsumer", "FetchFollower"}
_SOCKET_TOTALS = {
    "failed-authentication", "failed-reauthentication", "successful-authentication", "successful-reauthentication",
    "connection-creation", "connection-close", "incoming-byte", "outgoing-byte",
}  # fmt: skip
_ACCEPTED = {"connection-accept-rate", "connection-accept-throttle-time", "ip-connection-accept-throttle-time"}
_SYSTEM = {"ProcessCpuLoad", "SystemCpuLoad", "SystemLoadAverage", "AvailableProcessors", "CommittedVirtualMemorySize"}
_LABEL = {"client-id": "clientId", "is-future": "isFuture"}  # every other key is its own label


def expected(reading: Reading) -> Series | None:
    """The series an attribute should become; None when it should not be exported."""
    keys = {key: value.strip('"') for key, value in reading.keys.items()}
    family = _FAMILIES.get((reading.domain, keys.pop("type", "")))
    found = family(reading, keys) if family else None
    return found if reading.kind != "String" or (found and found.name in _FROM_TEXT) else None


_FROM_TEXT = {"kafka_server_raft_metrics_current_state", "kafka_server_app_version"}


def _named(reading: Reading, *parts: str, labels: dict[str, str], **more: str) -> Series:
    words = [reading.domain.replace(".", "_"), reading.keys["type"], *parts]
    name = "_".join(words).lower().replace("-", "_")
    return Series.of(name, **{_LABEL.get(key, key): value for key, value in labels.items()}, **more)


def _gauge(reading: Reading, keys: dict[str, str]) -> Series | None:
    name = keys.pop("name", "")
    return _named(reading, name, labels=keys) if reading.attribute == "Value" else None


def _meter(reading: Reading, keys: dict[str, str]) -> Series | None:
    name = keys.pop("name", "")
    if not name.endswith("PerSec") or reading.attribute != "Count":
        return None
    return _named(reading, name.removesuffix("PerSec"), "total", labels=keys)


def _percentile(attribute: str) -> str:
    return f"0.{attribute.removesuffix('thPercentile')}" if attribute.endswith("thPercentile") else ""


def _meter_timer_or_gauge(reading: Reading, keys: dict[str, str]) -> Series | None:
    name, quantile = keys["name"], _percentile(reading.attribute)
    if quantile:
        return _named(reading, name, labels={"quantile": quantile}) if name.endswith("Ms") else None
    return _meter(reading, dict(keys)) if name.endswith("PerSec") else _gauge(reading, keys)


def _requests(reading: Reading, keys: dict[str, str]) -> Series | None:
    name, quantile = keys["name"], _percentile(reading.attribute)
    if name in ("ErrorsPerSec", "RequestsPerSec"):
        return _meter(reading, keys)
    if not name.endswith("TimeMs") or keys["request"] not in _TIMED or not quantile:
        return None
    return _named(reading, name, labels={"request": keys["request"], "quantile": quantile})


def _handlers(reading: Reading, keys: dict[str, str]) -> Series | None:
    name = keys["name"].removesuffix("Percent")
    ending = {"OneMinuteRate": "percent", "Count": "nanoseconds_total"}.get(reading.attribute)
    return _named(reading, name, ending, labels={}) if ending else None


def _socket_server(reading: Reading, keys: dict[str, str]) -> Series | None:
    if keys["name"] == "NetworkProcessorAvgIdlePercent":
        return _named(reading, "NetworkProcessorAvgIdle", "percent", labels={})
    return _gauge(reading, keys)


def _processor(reading: Reading, keys: dict[str, str]) -> Series | None:
    if keys.pop("name") != "IdlePercent" or "networkProcessor" not in keys:
        return None
    return _named(reading, "idle", "percent", labels=keys)


def _sockets(reading: Reading, keys: dict[str, str]) -> Series | None:
    attribute = reading.attribute
    if keys.keys() == {"listener", "networkProcessor"}:
        if attribute.removesuffix("-total") in _SOCKET_TOTALS and attribute.endswith("-total"):
            return _named(reading, attribute, labels=keys)
        wanted = attribute in ("connection-count", "expired-connections-killed-count")
        return _named(reading, attribute, labels=keys) if wanted else None
    if keys.keys() == {"listener"}:
        return _named(reading, attribute, labels=keys) if attribute in _ACCEPTED else None
    if "cipher" in keys:
        return _named(reading, "connections", "tls", labels=keys)
    return _named(reading, "connections", "software", labels=keys) if "clientSoftwareName" in keys else None


def _quota(reading: Reading, keys: dict[str, str]) -> Series | None:
    wanted = _QUOTA if keys else {"queue-size", "exempt-request-time"}
    labels = {_LABEL.get(key, key): value for key, value in keys.items()}
    name = f"kafka_server_quota_{reading.attribute.replace('-', '_')}"
    return Series.of(name, resource=reading.keys["type"], **labels) if reading.attribute in wanted else None


def _plugin(reading: Reading, keys: dict[str, str]) -> Series | None:
    if keys["config"] != "authorizer.class.name":
        return None
    return Series.of(f"kafka_server_authorizer_{reading.attribute.replace('-', '_')}", role=keys["role"])


def _plain(reading: Reading, keys: dict[str, str]) -> Series | None:
    if reading.attribute == "current-state":
        return _named(reading, "current_state", labels={"state": reading.value})
    return _named(reading, reading.attribute, labels=keys)


def _groups(reading: Reading, keys: dict[str, str]) -> Series | None:
    name, _, last = reading.attribute.rpartition("-")
    if last[:1] == "p" and last[1:].isdigit():
        return _named(reading, name, labels={"quantile": f"0.{last[1:]}"})
    return _plain(reading, keys)


def _partition(reading: Reading, keys: dict[str, str]) -> Series | None:
    return None if keys["name"] in ("ReplicasCount", "LastStableOffsetLag") else _gauge(reading, keys)


def _log(reading: Reading, keys: dict[str, str]) -> Series | None:
    return _gauge(reading, keys) if keys["name"] == "Size" else None


def _cleaner(reading: Reading, keys: dict[str, str]) -> Series | None:
    return _gauge(reading, keys) if keys["name"] == "DeadThreadCount" else None


def _version(reading: Reading, keys: dict[str, str]) -> Series | None:
    wanted = reading.attribute == "Version" and keys["id"].isdigit()
    return Series.of("kafka_server_app_version", id=keys["id"], version=reading.value) if wanted else None


def _system(reading: Reading, _: dict[str, str]) -> Series | None:
    wanted = reading.attribute in _SYSTEM
    return Series.of(f"java_lang_operatingsystem_{reading.attribute.lower()}") if wanted else None


_FAMILIES: dict[tuple[str, str], Callable[[Reading, dict[str, str]], Series | None]] = {
    ("kafka.server", "KafkaRequestHandlerPool"): _handlers,
    ("kafka.server", "BrokerTopicMetrics"): _meter,
    ("kafka.server", "ReplicaManager"): _meter_timer_or_gauge,
    ("kafka.server", "KafkaServer"): _gauge,
    ("kafka.server", "ReplicaFetcherManager"): _gauge,
    ("kafka.server", "ReplicaAlterLogDirsManager"): _gauge,
    ("kafka.server", "FetcherLagMetrics"): _gauge,
    ("kafka.server", "DelayedOperationPurgatory"): lambda reading, keys: (
        _gauge(reading, keys) if keys["name"] == "PurgatorySize" else None
    ),
    ("kafka.server", "MetadataLoader"): _gauge,
    ("kafka.server", "socket-server-metrics"): _sockets,
    ("kafka.server", "raft-metrics"): _plain,
    ("kafka.server", "broker-metadata-metrics"): _plain,
    ("kafka.server", "group-coordinator-metrics"): _groups,
    ("kafka.server", "transaction-coordinator-metrics"): _plain,
    ("kafka.server", "plugins"): _plugin,
    ("kafka.server", "Produce"): _quota,
    ("kafka.server", "Fetch"): _quota,
    ("kafka.server", "Request"): _quota,
    ("kafka.server", "ControllerMutation"): _quota,
    ("kafka.server", "app-info"): _version,
    ("kafka.controller", "KafkaController"): _gauge,
    ("kafka.controller", "ControllerStats"): _meter,
    ("kafka.controller", "ControllerEventManager"): _meter_timer_or_gauge,
    ("kafka.coordinator.group", "GroupMetadataManager"): _gauge,
    ("kafka.coordinator.transaction", "TransactionMarkerChannelManager"): _gauge,
    ("kafka.network", "RequestMetrics"): _requests,
    ("kafka.network", "RequestChannel"): lambda reading, keys: None if "processor" in keys else _gauge(reading, keys),
    ("kafka.network", "SocketServer"): _socket_server,
    ("kafka.network", "Processor"): _processor,
    ("kafka.log", "Log"): _log,
    ("kafka.log", "LogManager"): _gauge,
    ("kafka.log", "LogCleanerManager"): _gauge,
    ("kafka.log", "LogCleaner"): _cleaner,
    ("kafka.cluster", "Partition"): _partition,
    ("java.lang", "OperatingSystem"): _system,
}
