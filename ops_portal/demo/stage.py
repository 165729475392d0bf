"""The order in which `make demo` starts everything."""

import os
import sys
from pathlib import Path

from django.conf import settings

from ops_portal.demo import control
from ops_portal.demo.topology import BROKERS
from ops_portal.lib import portal, rundir
from ops_portal.lib.kafka_runner import STARTED, KafkaCluster, KafkaUnavailable, free_ports, kafka_home, port_is_free
from ops_portal.lib.supervisor import SERVICE, Child, StartRefused, Supervisor

_FIRST_PORT, _PORT_STEP = 19_092, 100
_READY_SECONDS = 180
_HEAP_MB = 256

USERS = "sre, oncall, account-manager, client, lead, admin"


def run() -> None:
    """Start everything, say Ready when the board is true, keep it running until Ctrl-C. Raises StartRefused."""
    os.environ["DEMO"] = "1"  # for every child: demo users may sign in
    var, host, port = settings.PORTAL_VAR, settings.HOST, settings.PORT
    with Supervisor(var) as supervisor:
        portal.refuse_taken_port(host, port)
        cluster = _kafka(supervisor)
        supervisor.start([_node(supervisor, cluster, number) for number in cluster.node_ids])
        ground = supervisor.begin(
            "ground", [*_python("ground"), cluster.bootstrap, str(settings.DEMO_RATE)], cwd=portal.ROOT
        )
        portal.start_base(supervisor, database_url=settings.DATABASE_URL, valkey_url=settings.VALKEY_URL)
        supervisor.finish(ground, "Topics and their history are in Kafka")
        supervisor.start([_traffic(var, cluster.bootstrap)])
        board = supervisor.begin(
            "board",
            [*portal.MANAGE, "demo", "prepare", "--bootstrap", cluster.bootstrap, "--controllers", cluster.controllers],
            seconds=_READY_SECONDS + 60,
        )
        supervisor.start(portal.portal_children(host, port))
        supervisor.finish(board, "The board shows every group with true values")
        rundir.note_address(var, portal.address(host, port))
        supervisor.say(_ready(f"{portal.address(host, port)}/", cluster))
        supervisor.supervise()


def _kafka(supervisor: Supervisor) -> KafkaCluster:
    """Three nodes, formatted and with free ports: 19092, 19192 and 19292 where nobody else listens there."""

    def say(text: str) -> None:
        supervisor.check_stop()
        supervisor.say(f"Kafka: {text}")

    try:
        home = kafka_home(supervisor.var, say)
        ports = [_ports(_FIRST_PORT + number * _PORT_STEP) for number in range(BROKERS)]
        cluster = KafkaCluster(home, supervisor.var / "demo" / "kafka", ports, heap_mb=_HEAP_MB)
        cluster.prepare(say)
    except KafkaUnavailable as reason:
        raise StartRefused(str(reason)) from reason
    except OSError as error:
        raise StartRefused(f"Kafka's data directory cannot be used: {error.strerror} ({error.filename}).") from error
    return cluster


def _ports(wish: int) -> tuple[int, ...]:
    return (wish, wish + 1) if port_is_free(wish) and port_is_free(wish + 1) else free_ports(2)


def _node(supervisor: Supervisor, cluster: KafkaCluster, number: int) -> Child:
    name = node_name(number)
    log = supervisor.log_directory / f"{name}.log"
    return Child(
        name,
        cluster.argv(number),
        env=cluster.home.environment(),
        tier=SERVICE,
        ready=lambda: log.exists() and STARTED in log.read_bytes(),
        ready_text=f"Kafka broker {number} is up",
    )


def node_name(number: int) -> str:
    """The supervisor's name of a broker."""
    return f"kafka-{number}"


def _python(module: str) -> list[str]:
    return [sys.executable, "-m", f"ops_portal.demo.{module}"]


def _traffic(var: Path, bootstrap: str) -> Child:
    argv: list[str | Path] = [
        *_python("traffic"), "--bootstrap", bootstrap, "--rate", str(settings.DEMO_RATE), "--socket", control.socket_path(var),
    ]  # fmt: skip
    return Child(
        "traffic",
        argv,
        cwd=portal.ROOT,
        ready=lambda: control.everyone_begun(var),
        ready_text="Producers and consumers are at work",
    )


def _ready(address: str, cluster: KafkaCluster) -> str:
    return f"""Ready: {address}
          Sign in as {USERS}; the password is demo.
          Kafka listens on {cluster.bootstrap}.
          Try, in another terminal: manage.py demo crash-consumer risk-engine | slow risk-engine | rewind risk-engine
          | kill-broker 2 | restore (.venv/bin/python manage.py demo --help tells more). Ctrl-C stops everything."""
