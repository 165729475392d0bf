"""Where everything of the running demo is: written by its start, read by the commands given in another terminal."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson

from ops_portal.demo.access import Doors
from ops_portal.lib.kafka_runner import KafkaCluster, kafka_home


@dataclass(frozen=True, slots=True)
class Facts:
    """`ports` are (broker, controller) and `secure_ports` the clients' listener, by broker; URLs are empty where nothing is.

    `disks` are the brokers whose log directory is a file system of its own.
    """

    var: str
    ports: list[list[int]]
    secure_ports: list[int]
    registry_url: str = ""
    prometheus_url: str = ""
    disks: list[int] = field(default_factory=list)

    @property
    def directory(self) -> Path:
        return Path(self.var) / "demo"

    @property
    def pki(self) -> Path:
        return self.directory / "pki"

    @property
    def shipper_token(self) -> Path:
        """The file with the token of the log shipper."""
        return self.directory / "shipper.token"

    @property
    def doors(self) -> Doors:
        return Doors(_addresses(port for port, _ in self.ports), _addresses(self.secure_ports), self.pki)

    @property
    def controllers(self) -> str:
        return _addresses(port for _, port in self.ports)

    def data_of(self, number: int) -> Path:
        """The log directory of a broker."""
        return self.directory / "kafka" / f"node{number}" / "data"

    def cluster(self) -> KafkaCluster:
        """The cluster, for Kafka's own tools; its nodes belong to the supervisor."""
        return KafkaCluster(kafka_home(Path(self.var)), self.directory / "kafka", self.ports)

    def save(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        draft = self.directory / "facts.draft"
        draft.write_bytes(orjson.dumps(asdict(self)))
        draft.replace(_path(Path(self.var)))


def load(var: Path) -> Facts:
    """Of the demo on this data directory, running or not. OSError when there never was one."""
    return Facts(**orjson.loads(_path(var).read_bytes()))


def _path(var: Path) -> Path:
    return var / "demo" / "facts.json"


def _addresses(ports: Iterable[int]) -> str:
    return ",".join(f"127.0.0.1:{port}" for port in ports)
