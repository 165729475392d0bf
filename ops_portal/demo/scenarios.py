"""What can be done to the brokers of the running demo: certificates rotated, disks filled, controllers moved, replicas held
back. Each says what it did; `restore` undoes all of it. Raises `Refused` with the reason when something cannot be done."""

import contextlib
import os
import signal
import socket
import ssl
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from confluent_kafka import ElectionType, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)
from cryptography import x509

from ops_portal.demo.pki import Authority, broker_certificate, broker_name
from ops_portal.demo.principals import PORTAL
from ops_portal.demo.topology import TRADES
from ops_portal.lib.processes import wait_until

Say = Callable[[str], None]

KEYSTORE = "listener.name.secure.ssl.keystore.location"
UNCLEAN_TOPIC = "demo.unclean-election"
_RATE, _REPLICAS = "follower.replication.throttled.rate", "follower.replication.throttled.replicas"
_FILLER = ".demo-filler"
_CALL_SECONDS = 20
_SERVED_SECONDS = 10
_FROZEN_SECONDS = 3.0  # more than controllers wait for their leader, less than the session timeout of a broker


class Refused(Exception):
    """It cannot be done; the text says why."""


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker of the demo as a scenario sees it; `pid` is None while it is down."""

    number: int
    secure_port: int
    pid: int | None
    data: Path


# --- Certificates -----------------------------------------------------------------------------------------------------


def rotate_certificates(admin: AdminClient, authority: Authority, brokers: Iterable[Broker], say: Say) -> None:
    """New certificates for the brokers, one after another; none of them is restarted and no connection ends."""
    for broker in brokers:
        if broker.pid is None:
            raise Refused(f"Broker {broker.number} is down: bring it back first (`manage.py demo restore`).")
        old = served_serial(authority, broker.secure_port)
        began = time.monotonic()
        new = authority.issue(broker_certificate(broker.number)).serial_number
        place = str(authority.files(broker_name(broker.number)).keystore)
        # The path is the same as before: naming it makes the broker read the file again.
        _configure(admin, ResourceType.BROKER, str(broker.number), {KEYSTORE: place})
        if not wait_until(
            lambda new=new, port=broker.secure_port: served_serial(authority, port) == new,  # type: ignore[misc]
            seconds=_SERVED_SECONDS,
            step_seconds=0.1,
        ):
            raise Refused(f"Broker {broker.number} still shows its old certificate after {_SERVED_SECONDS} s.")
        _configure(admin, ResourceType.BROKER, str(broker.number), {KEYSTORE: None})  # as in its file
        say(f"Broker {broker.number}: {old:x} -> {new:x}, served after {time.monotonic() - began:.1f} s.")


def served_serial(authority: Authority, port: int) -> int:
    """Serial number of the certificate that the listener shows. OSError when there is none."""
    context = ssl.create_default_context(cafile=str(authority.root))
    own = authority.files(PORTAL)
    if own.chain.exists():  # without one of its own every look would be a failed authentication
        context.load_cert_chain(own.chain, own.key)
    with (
        socket.create_connection(("127.0.0.1", port), timeout=5) as link,
        context.wrap_socket(link, server_hostname="localhost") as shown,
    ):
        return x509.load_der_x509_certificate(shown.getpeercert(binary_form=True) or b"").serial_number


# --- Disks ------------------------------------------------------------------------------------------------------------


def fill_disk(broker: Broker, percent: float) -> str:
    """Take space on the broker's own file system until `percent` of it are used."""
    disk = os.statvfs(broker.data)
    size = disk.f_blocks * disk.f_frsize
    missing = int(size * percent / 100) - (size - disk.f_bavail * disk.f_frsize)
    if missing <= 0:
        raise Refused(f"More than {percent:g} % of broker {broker.number}'s disk are used already.")
    with (broker.data / _FILLER).open("ab") as filler:
        begin = filler.tell()
        os.posix_fallocate(filler.fileno(), begin, missing)
    dies = " A write fails before long, and the broker ends." if percent >= 100 else ""
    return f"{percent:g} % of broker {broker.number}'s disk ({size / 2**30:.1f} GB) are used.{dies}"


def _empty_disk(broker: Broker) -> bool:
    filler = broker.data / _FILLER
    if not filler.exists():
        return False
    filler.unlink()
    return True


# --- Controllers ------------------------------------------------------------------------------------------------------


def active_controller(quorum_status: str) -> int:
    """The leader named by `MetadataQuorumCommand describe --status`."""
    for line in quorum_status.splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "LeaderId" and value.strip().isdigit():
            return int(value)
    raise Refused("The quorum names no leader.")


def move_controller(status: Callable[[], str], brokers: dict[int, Broker]) -> str:
    """Let the active controller's process stand still for so long that the others elect another one."""
    before = active_controller(status())
    pid = brokers[before].pid
    if pid is None:
        raise Refused(f"Node {before} leads the quorum and is down.")
    os.kill(pid, signal.SIGSTOP)
    try:
        time.sleep(_FROZEN_SECONDS)
    finally:
        os.kill(pid, signal.SIGCONT)
    after = active_controller(status())
    if after == before:
        raise Refused(f"Node {before} was elected again; try once more.")
    return f"The active controller was node {before} and is node {after}."


# --- Replicas ---------------------------------------------------------------------------------------------------------


def shrink_isr(admin: AdminClient, number: int, topic: str = TRADES) -> str:
    """Let the broker copy next to nothing of a topic: it leaves the in-sync replicas and stays alive."""
    _hold_back(admin, number, topic)

    def left() -> bool:
        return any(number in one.replicas and number not in one.isrs for one in _partitions(admin, topic).values())

    if not wait_until(left, seconds=40, step_seconds=0.5):
        raise Refused(f"Broker {number} still keeps up with {topic}: there is not enough traffic.")
    return f"Broker {number} copies {topic} at one byte a second and has left the in-sync replicas of its partitions."


def unclean_election(
    admin: AdminClient, bootstrap: str, kill: Callable[[int], None], *, leader: int, follower: int
) -> str:
    """A partition whose only in-sync replica is lost is led by one that was behind: records are lost."""
    new = NewTopic(
        UNCLEAN_TOPIC,
        num_partitions=1,
        replica_assignment=[[leader, follower]],
        config={"min.insync.replicas": "1", "unclean.leader.election.enable": "false"},
    )
    try:
        admin.create_topics([new], operation_timeout=_CALL_SECONDS)[UNCLEAN_TOPIC].result(timeout=_CALL_SECONDS)
    except KafkaException as error:
        raise Refused(
            f"The topic of this scenario is there already: `manage.py demo restore` first. ({error})"
        ) from error
    producer = Producer({"bootstrap.servers": bootstrap, "acks": 1, "log_level": 2})
    written = _write_until(producer, lambda: _isr(admin) == {leader, follower}, seconds=15)
    _hold_back(admin, follower, UNCLEAN_TOPIC)
    written += _write_until(producer, lambda: _isr(admin) == {leader}, seconds=40)
    kill(leader)
    if not wait_until(lambda: _leader(admin) < 0, seconds=30, step_seconds=0.3):
        raise Refused("The partition did not go offline.")
    admin.elect_leaders(ElectionType.UNCLEAN, [TopicPartition(UNCLEAN_TOPIC, 0)], request_timeout=_CALL_SECONDS).result(
        timeout=_CALL_SECONDS
    )
    if not wait_until(lambda: _leader(admin) == follower, seconds=20, step_seconds=0.3):
        raise Refused(f"Broker {follower} did not become the leader.")
    return (
        f"{UNCLEAN_TOPIC} was offline when broker {leader} was killed; broker {follower}, which was behind, leads it now. "
        f"Of {written} records those it had not copied are lost."
    )


def _write_until(producer: Producer, reached: Callable[[], bool], *, seconds: float) -> int:
    """Write until the condition holds; how many records."""
    written = 0

    def one_more() -> bool:
        nonlocal written
        producer.produce(UNCLEAN_TOPIC, value=b"x" * 500)
        producer.flush(5)
        written += 1
        return reached()

    if not wait_until(one_more, seconds=seconds, step_seconds=0.2):
        raise Refused("The replicas did not get where they were to be.")
    return written


def _hold_back(admin: AdminClient, number: int, topic: str) -> None:
    _configure(admin, ResourceType.BROKER, str(number), {_RATE: "1"})
    _configure(admin, ResourceType.TOPIC, topic, {_REPLICAS: f"{_all_partitions(admin, topic, number)}"})


def _all_partitions(admin: AdminClient, topic: str, number: int) -> str:
    """Kafka's list of the topic's replicas on the broker: `partition:broker,...`."""
    found = _partitions(admin, topic)
    return ",".join(f"{partition}:{number}" for partition, one in found.items() if number in one.replicas)


def _partitions(admin: AdminClient, topic: str) -> dict[int, Any]:
    found = admin.list_topics(topic, timeout=_CALL_SECONDS).topics.get(topic)
    return dict(found.partitions) if found is not None else {}


def _isr(admin: AdminClient) -> set[int]:
    found = _partitions(admin, UNCLEAN_TOPIC)
    return set(found[0].isrs) if found else set()


def _leader(admin: AdminClient) -> int:
    found = _partitions(admin, UNCLEAN_TOPIC)
    return int(found[0].leader) if found else -1


# --- Back again -------------------------------------------------------------------------------------------------------


def resume(brokers: Iterable[Broker]) -> None:
    """Let every broker run that stands still."""
    for broker in brokers:
        if broker.pid is not None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(broker.pid, signal.SIGCONT)


def empty_disks(brokers: Iterable[Broker]) -> list[int]:
    """Give back what `fill_disk` took; the numbers of those brokers."""
    return [broker.number for broker in brokers if _empty_disk(broker)]


def let_replicas_go(admin: AdminClient, brokers: Iterable[Broker]) -> None:
    """Lift what holds replicas back, and remove the topic of the unclean election. Brokers that are down keep theirs."""
    topics = admin.list_topics(timeout=_CALL_SECONDS).topics
    for broker in brokers:
        if broker.pid is not None:
            with contextlib.suppress(KafkaException):
                _configure(admin, ResourceType.BROKER, str(broker.number), {_RATE: None})
    if TRADES in topics:
        _configure(admin, ResourceType.TOPIC, TRADES, {_REPLICAS: None})
    if UNCLEAN_TOPIC in topics:
        for future in admin.delete_topics([UNCLEAN_TOPIC], operation_timeout=_CALL_SECONDS).values():
            future.result(timeout=_CALL_SECONDS)


def _configure(admin: AdminClient, kind: ResourceType, name: str, values: dict[str, str | None]) -> None:
    """Set the values, None removes one."""
    entries = [
        ConfigEntry(
            key,
            value or "",
            incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET,
        )
        for key, value in values.items()
    ]
    resource = ConfigResource(kind, name, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource], request_timeout=_CALL_SECONDS).values():
        future.result(timeout=_CALL_SECONDS)
