"""Which TLS listeners a Kafka cluster has, read off its brokers' settings. Pure.

The metadata names only the listeners of the protocol that was dialled; all of them stand in each broker's own settings.
Listeners in clear are left out: nothing is to be seen there, and a handshake would be logged as an attack.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from clusters.ports import Broker

Settings = Mapping[str, str | None]

_ENTRY = re.compile(r"(?P<name>[^:/,\s]+)://(?P<host>\[[^\]]*\]|[^:,/\[\]]*):(?P<port>\d+)\Z")
_EVERYWHERE = {"", "0.0.0.0", "::", "[::]"}  # noqa: S104 - as written in settings
_TLS = {"SSL", "SASL_SSL"}


@dataclass(frozen=True, slots=True)
class KafkaListener:
    """One TLS listener of a broker. `wants`: ssl.client.auth as configured, `keystore`: its location on the broker."""

    host: str
    port: int
    broker: int
    name: str
    wants: str = ""
    keystore: str = ""


def listeners_of(brokers: Iterable[Broker], configs: Mapping[str, Settings], protocol: str) -> list[KafkaListener]:
    """Every TLS listener, each once. `configs`: settings by broker id as text; `protocol` is that of the portal's own way in.

    A broker whose settings could not be read has the one listener that the metadata names, if the portal's way in is TLS.
    """
    found: dict[tuple[str, int], KafkaListener] = {}
    for broker in brokers:
        settings = configs.get(str(broker.id))
        for one in _of_settings(broker, settings) if settings is not None else _of_metadata(broker, protocol):
            found.setdefault((one.host, one.port), one)
    return list(found.values())


def _of_metadata(broker: Broker, protocol: str) -> Iterator[KafkaListener]:
    if protocol.upper() in _TLS:
        yield KafkaListener(broker.host, broker.port, broker.id, protocol.upper())


def _of_settings(broker: Broker, settings: Settings) -> Iterator[KafkaListener]:
    protocols = _protocols(settings.get("listener.security.protocol.map") or "")
    bound = {name: (host, port) for name, host, port in _entries(settings.get("listeners") or "")}
    advertised = {name: (host, port) for name, host, port in _entries(settings.get("advertised.listeners") or "")}
    for name, (host, port) in {**bound, **advertised}.items():
        if protocols.get(name.upper(), name.upper()) not in _TLS:
            continue
        place = broker.host if host in _EVERYWHERE else host.strip("[]")
        yield KafkaListener(
            place, port, broker.id, name,
            wants=_of_listener(settings, name, "ssl.client.auth"), keystore=_of_listener(settings, name, "ssl.keystore.location"),
        )  # fmt: skip


def _entries(text: str) -> Iterator[tuple[str, str, int]]:
    for part in text.split(","):
        match = _ENTRY.match(part.strip())
        if match and 0 < int(match["port"]) <= 65535:
            yield match["name"], match["host"], int(match["port"])


def _protocols(text: str) -> dict[str, str]:
    pairs = (part.partition(":") for part in text.split(",") if ":" in part)
    return {name.strip().upper(): protocol.strip().upper() for name, _, protocol in pairs}


def _of_listener(settings: Settings, name: str, key: str) -> str:
    return settings.get(f"listener.name.{name.lower()}.{key}") or settings.get(key) or ""
