"""What can be done to the brokers of the running demo: certificates rotated, disks filled, controllers moved, replicas held
back. Each says what it did; `restore` undoes all of it. Raises `Refused` with the reason when something cannot be done."""

import contextlib
import errno
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
    OffsetSpec,
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
_FILLER = ".demo-filler"
_CALL_SECONDS = 20
_SERVED_SECONDS = 10
_SHRINK_SECONDS = 40
_FROZEN_SECONDS = 3.0  # more than controllers wait for their leader, less than the session timeout of a broker


class Refused(Exception):
    """It cannot be done; the text says why."""


def admin_client(bootstrap: str) -> AdminClient:
    """For the functions below; comes by the listener that may do everything."""
    return AdminClient({"bootstrap.servers": bootstrap, "log_level": 2})


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
        try:
            os.posix_fallocate(filler.fileno(), begin, missing)
        except OSError as error:  # the file system keeps a little for itself
            if error.errno != errno.ENOSPC:
                raise
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


def shrink_isr(admin: AdminClient, number: int, hold: Callable[[], object], topic: str = TRADES) -> str:
    """Let the broker copy nothing: `hold` stops its replica fetchers. It leaves the in-sync replicas and stays alive."""
    hold()

    def left() -> bool:
        found = _partitions(admin, topic).values()
        return any(number in one.replicas and number not in one.isrs for one in found)

    if not wait_until(left, seconds=_SHRINK_SECONDS, step_seconds=0.3):
        raise Refused(f"Broker {number} keeps up with {topic} all the same: nothing is written to it.")
    return f"Broker {number} is alive, copies nothing, and leaves the in-sync replicas of whatever is written to."


def _end_of(admin: AdminClient, place: TopicPartition) -> int:
    """The log end offset. A leader that was just elected may not know its own epoch yet: it is asked again."""
    found: list[int] = []

    def asked() -> bool:
        answer = admin.list_offsets({place: OffsetSpec.latest()}, request_timeout=_CALL_SECONDS)[place]
        with contextlib.suppress(KafkaException):
            found.append(answer.result(_CALL_SECONDS).offset)
        return bool(found)

    if not wait_until(asked, seconds=_SHRINK_SECONDS, step_seconds=0.3):
        raise Refused("The new leader does not say where its log ends.")
    return found[0]


def unclean_election(admin: AdminClient, bootstrap: str, hands: "Hands", *, leader: int, follower: int) -> str:
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
        raise Refused("The topic of this scenario is there already: `manage.py demo restore` first.") from error
    writer = _Writer(bootstrap)
    writer.write_until(lambda: _isr(admin) == {leader, follower})
    hands.hold(follower)
    try:
        writer.write_until(lambda: _isr(admin) == {leader})
        hands.kill(leader)
    finally:
        hands.release(follower)  # from a dead leader it cannot copy what it lacks
    if not wait_until(lambda: _leader(admin) < 0, seconds=30, step_seconds=0.3):
        raise Refused("The partition did not go offline.")
    place = TopicPartition(UNCLEAN_TOPIC, 0)
    admin.elect_leaders(ElectionType.UNCLEAN, [place]).result(timeout=_CALL_SECONDS)
    if not wait_until(lambda: _leader(admin) == follower, seconds=_SHRINK_SECONDS, step_seconds=0.3):
        raise Refused(f"Broker {follower} did not become the leader.")
    kept = _end_of(admin, place)
    return (
        f"{UNCLEAN_TOPIC} was offline when broker {leader} was killed; broker {follower}, which was behind, leads it. "
        f"Of {writer.written} records {writer.written - kept} are lost."
    )


@dataclass(frozen=True, slots=True)
class Hands:
    """What a scenario may do to a broker's process: stop and start its replica fetchers, and kill it."""

    hold: Callable[[int], object]
    release: Callable[[int], object]
    kill: Callable[[int], object]


class _Writer:
    """Writes small records that the leader alone has to take."""

    def __init__(self, bootstrap: str) -> None:
        self.written = 0
        self._producer = Producer({"bootstrap.servers": bootstrap, "acks": 1, "log_level": 2})

    def write_until(self, reached: Callable[[], bool]) -> None:
        """Raises Refused when it was not reached in time."""

        def write_and_look() -> bool:
            for _ in range(5):
                self._producer.produce(UNCLEAN_TOPIC, value=os.urandom(200), on_delivery=self._told)
            self._producer.flush(5)
            return reached()

        if not wait_until(write_and_look, seconds=_SHRINK_SECONDS, step_seconds=0.2):
            raise Refused("The replicas did not get where they were to be; `manage.py demo restore` and try again.")

    def _told(self, error: object, _: object) -> None:
        self.written += error is None


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


def forget_election(admin: AdminClient, *, brokers: int, seconds: float) -> None:
    """Remove the topic of the unclean election, once all brokers are back or `seconds` have passed."""
    wait_until(lambda: len(admin.list_topics(timeout=_CALL_SECONDS).brokers) == brokers, seconds=seconds)
    if UNCLEAN_TOPIC in admin.list_topics(timeout=_CALL_SECONDS).topics:
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
