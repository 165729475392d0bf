"""Runs the one Kafka broker of a test run: `python -m tests.kafka_keeper DIRECTORY VAR`, started by tests/kafka_fixtures.py.

Everyone who uses the broker holds a shared lock on `<directory>/users`, which the kernel drops with its process. When
nobody holds it any more, the broker goes. `<directory>/ports` exists while the broker can be used; `failed` says why it
cannot.
"""

import fcntl
import sys
import tempfile
import time
from pathlib import Path

from ops_portal.lib.kafka_runner import KafkaCluster, KafkaUnavailable, free_ports, kafka_home

SETTINGS = {
    # Housekeeping that tests wait for runs every second instead of every few minutes.
    "transaction.abort.timed.out.transaction.cleanup.interval.ms": "1000",
    "log.retention.check.interval.ms": "1000",
    "log.initial.task.delay.ms": "1000",
    "offsets.retention.check.interval.ms": "1000",
}


def keep(directory: Path, var: Path) -> None:
    """Start the broker, say where it listens, and stay until the last user has gone."""
    with tempfile.TemporaryDirectory(prefix="ops-portal-kafka-", ignore_cleanup_errors=True) as data:
        try:
            broker, controller = free_ports(2)
            cluster = KafkaCluster(kafka_home(var), Path(data), ((broker, controller),), settings=SETTINGS)
            cluster.start()
        except KafkaUnavailable as reason:
            (directory / "failed").write_text(str(reason), encoding="utf-8")
            return
        try:
            draft = directory / "ports.draft"
            draft.write_text(f"{broker} {controller}", encoding="ascii")
            draft.rename(directory / "ports")
            await_last_user(directory)
        finally:
            cluster.stop_all()


def await_last_user(directory: Path) -> None:
    """Returns with the users' lock taken for good, so that nobody begins to use a broker that is about to stop."""
    users = (directory / "users").open("a")
    while True:
        try:
            fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(0.3)
        else:
            (directory / "ports").unlink(missing_ok=True)
            _kept_open.append(users)
            return


_kept_open: list[object] = []  # the lock goes with the process, after the broker has stopped

if __name__ == "__main__":
    keep(Path(sys.argv[1]), Path(sys.argv[2]))
