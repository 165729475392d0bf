"""The order in which `make demo` starts everything."""

import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from django.conf import settings

from ops_portal.demo import access, control, monitoring, registry
from ops_portal.demo.disks import Disks, disks
from ops_portal.demo.facts import Facts
from ops_portal.demo.pki import Authority, broker_name
from ops_portal.demo.principals import PRINCIPALS, REGISTRY
from ops_portal.demo.topology import BROKERS, CLUSTER
from ops_portal.lib import portal, rundir
from ops_portal.lib.kafka_runner import (
    STARTED,
    KafkaCluster,
    KafkaUnavailable,
    Secured,
    free_ports,
    kafka_home,
    port_is_free,
)
from ops_portal.lib.supervisor import SERVICE, Child, StartRefused, Step, Supervisor

_FIRST_PORT, _PORT_STEP = 19_092, 100
_REGISTRY_PORT = 19_080
_READY_SECONDS = 180
_HEAP_MB = 256

USERS = "sre, oncall, account-manager, client, lead, admin"


def run() -> None:
    """Start everything, say Ready when the board is true, keep it running until Ctrl-C. Raises StartRefused.

    What the board needs comes first. On a small machine the processors are busy from the first second to Ready, so whatever
    else would start meanwhile is paid for in full: monitoring comes once pages are served, the rest with Ready.
    """
    os.environ["DEMO"] = "1"  # for every child: demo users may sign in
    var, host, port = settings.PORTAL_VAR, settings.HOST, settings.PORT
    with disks() as own_disks, Supervisor(var) as supervisor:
        portal.refuse_taken_port(host, port)
        portal.start_services(supervisor, database_url=settings.DATABASE_URL, valkey_url=settings.VALKEY_URL)
        tables = supervisor.begin("migrate", [*portal.MANAGE, "migrate", "--no-input", "--verbosity=0"])
        cluster = _kafka(supervisor, own_disks)
        os.environ.setdefault("CERTIFICATE_PATHS", ",".join(_certificate_files(var)))
        os.environ.setdefault("CERTIFICATE_PERIOD_SECONDS", "60")  # a rotation is to be seen while one looks
        watched = monitoring.plan(
            var, BROKERS, java=cluster.home.java, say=lambda text: supervisor.say(f"Monitoring: {text}")
        )
        supervisor.start(
            [_node(supervisor, cluster, number, watched.broker_options(number)) for number in cluster.node_ids]
        )
        ground = supervisor.begin(
            "ground", [*_python("ground"), cluster.bootstrap, str(settings.DEMO_RATE), "--rules"], cwd=portal.ROOT
        )
        files = supervisor.begin("static", [*portal.MANAGE, "collect", "--if-changed"])
        fetching = _begin_registry(supervisor)
        supervisor.finish(tables, "Tables are up to date")
        supervisor.finish(ground, "Topics with their history and the rules of access are in Kafka")
        schemas = _registry(supervisor, fetching)
        facts = _facts(var, cluster, own_disks, schemas, watched.prometheus_url)
        facts.save()
        board = supervisor.begin("board", [*portal.MANAGE, "demo", "prepare"], seconds=_READY_SECONDS + 60)
        supervisor.finish(files, "Static files are collected")
        own = {child.name: _patient(child) for child in (_traffic(facts), *portal.portal_children(host, port))}
        upkeep = own.pop("worker")
        supervisor.start(list(own.values()))
        supervisor.start(monitoring.children(watched, var, portal_address=portal.address(host, port)))
        supervisor.finish(board, "The board shows every group with true values")
        rundir.note_address(var, portal.address(host, port))
        shipper = _shipper(facts, cluster, schemas, portal.address(host, port))
        supervisor.start([upkeep, *([schemas.child] if schemas else []), shipper])
        supervisor.say(_ready(f"{portal.address(host, port)}/", facts, monitoring.said(watched)))
        steps = _set_quotas(supervisor, cluster)
        if schemas:
            steps.append(supervisor.begin("introduce", [*portal.MANAGE, "demo", "introduce"]))
        for step in steps:
            supervisor.finish(step)
        supervisor.supervise()


def _patient(child: Child) -> Child:
    """Everything starts at once here: give each as long as the board is given."""
    return replace(child, ready_seconds=_READY_SECONDS)


def _kafka(supervisor: Supervisor, own_disks: Disks) -> KafkaCluster:
    """Three nodes, formatted and with free ports: 19092, 19192 and 19292 where nobody else listens there."""

    def say(text: str) -> None:
        supervisor.check_stop()
        supervisor.say(f"Kafka: {text}")

    directory = supervisor.var / "demo"
    try:
        home = kafka_home(supervisor.var, say)
        own_disks.mount(
            {
                directory / "kafka" / f"node{number}" / "data": directory / "disks" / f"broker-{number}.img"
                for number in range(1, BROKERS + 1)
            }
        )
        ports = [_ports(_FIRST_PORT + number * _PORT_STEP) for number in range(BROKERS)]
        cluster = KafkaCluster(
            home,
            directory / "kafka",
            [one[:2] for one in ports],
            heap_mb=_HEAP_MB,
            secured=_secured(access.certificates(directory / "pki"), [one[2] for one in ports]),
        )
        cluster.prepare(say)
    except KafkaUnavailable as reason:
        raise StartRefused(str(reason)) from reason
    except OSError as error:
        raise StartRefused(f"Kafka's data directory cannot be used: {error.strerror} ({error.filename}).") from error
    return cluster


def _ports(wish: int, count: int = 3) -> tuple[int, ...]:
    """Ports in a row from the one wished for, or others where one of them is taken."""
    wished = tuple(range(wish, wish + count))
    return wished if all(port_is_free(port) for port in wished) else free_ports(count)


def _secured(authority: Authority, ports: list[int]) -> Secured:
    keystores = [authority.files(broker_name(number + 1)).keystore for number in range(len(ports))]
    return Secured(ports, keystores, authority.root)


def _set_quotas(supervisor: Supervisor, cluster: KafkaCluster) -> list[Step]:
    """Quotas of those who have one, set by Kafka's own tool."""
    steps = []
    for one in PRINCIPALS:
        if one.produce_bytes is not None:
            command = cluster.home.command(
                "kafka.admin.ConfigCommand", "--bootstrap-server", cluster.bootstrap, "--alter",
                "--entity-type", "users", "--entity-name", one.name,
                "--add-config", f"producer_byte_rate={one.produce_bytes}",
                log4j="log4j2-tools.properties",
            )  # fmt: skip
            steps.append(supervisor.begin("quotas", command, env=cluster.home.environment()))
    return steps


@dataclass(frozen=True, slots=True)
class _Schemas:
    """The schema registry: where it answers, its process, and its access log."""

    url: str
    child: Child
    access_log: Path


def _certificate_files(var: Path) -> list[str]:
    """What the portal is to watch beside the listeners, in the words of CERTIFICATE_PATHS."""
    pki = var / "demo" / "pki"
    names = ["issuing.pem", "broker-*.keystore.pem", f"{REGISTRY.name}.pem", *(f"{one.name}.pem" for one in PRINCIPALS)]
    return [f"{CLUSTER}=trust:{pki / 'root.pem'}", *(f"{CLUSTER}={pki / name}" for name in names)]


def _shipper(facts: Facts, cluster: KafkaCluster, schemas: _Schemas | None, address: str) -> Child:
    """Brings what brokers and registry have refused to the portal, line by line."""
    logs = [cluster.authorizer_log(number) for number in cluster.node_ids]
    argv: list[str | Path] = [
        *portal.MANAGE, "ship_authorizer_log", *logs, *([schemas.access_log] if schemas else []),
        "--url", address, "--cluster", CLUSTER, "--token-file", facts.shipper_token, "--source", CLUSTER,
    ]  # fmt: skip
    return Child("shipper", argv, cwd=portal.ROOT)


def _begin_registry(supervisor: Supervisor) -> Step | None:
    """Fetch the registry while other things start; nothing when it is there, or cannot be used anyway."""
    try:
        if registry.find(supervisor.var) is not None:
            return None
    except registry.RegistryUnavailable:
        return None
    supervisor.say("Schema registry: fetching Apicurio with Maven (first run only)")
    return supervisor.begin("registry-fetch", [*_python("registry"), supervisor.var], cwd=portal.ROOT)


def _registry(supervisor: Supervisor, fetching: Step | None) -> _Schemas | None:
    """The registry, or None after saying why there is none. Nobody waits for it to answer."""
    try:
        if fetching is not None:
            supervisor.finish(fetching)
        found = registry.find(supervisor.var)
    except (registry.RegistryUnavailable, StartRefused) as reason:
        supervisor.say(f"There is no schema registry in this demo. {reason}")
        return None
    if found is None:
        return None
    port, management_port = _ports(_REGISTRY_PORT, 2)
    logs = supervisor.var / "demo" / "registry"
    logs.mkdir(parents=True, exist_ok=True)
    child = Child("registry", found.argv(port, management_port, logs), tier=SERVICE)
    return _Schemas(f"http://127.0.0.1:{port}", child, logs / "access.log")


def _facts(var: Path, cluster: KafkaCluster, own_disks: Disks, schemas: _Schemas | None, prometheus_url: str) -> Facts:
    secured = cluster.secured
    return Facts(
        var=str(var),
        ports=[list(pair) for pair in cluster.ports],
        secure_ports=list(secured.ports) if secured else [],
        registry_url=schemas.url if schemas else "",
        prometheus_url=prometheus_url,
        disks=[
            number for number in cluster.node_ids if cluster.directory / f"node{number}" / "data" in own_disks.mounted
        ],
    )


def _node(supervisor: Supervisor, cluster: KafkaCluster, number: int, options: Sequence[str]) -> Child:
    name = node_name(number)
    java, *arguments = cluster.argv(number)
    log = supervisor.log_directory / f"{name}.log"
    return Child(
        name,
        [java, *options, *arguments],
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


def _traffic(facts: Facts) -> Child:
    var, doors = Path(facts.var), facts.doors
    argv: list[str | Path] = [
        *_python("traffic"), "--bootstrap", doors.plaintext, "--rate", str(settings.DEMO_RATE),
        "--socket", control.socket_path(var), "--secure", doors.secure, "--pki", facts.pki, "--registry", facts.registry_url,
    ]  # fmt: skip
    return Child(
        "traffic",
        argv,
        cwd=portal.ROOT,
        ready=lambda: control.everyone_begun(var),
        ready_text="Producers and consumers are at work",
    )


def _ready(address: str, facts: Facts, more: str) -> str:
    schemas = f" The schema registry answers at {facts.registry_url}." if facts.registry_url else ""
    return f"""Ready: {address}
          Sign in as {USERS}; the password is demo.
          Kafka listens on {facts.doors.plaintext}; for clients with a certificate on {facts.doors.secure}.{schemas}{more}
          Try, in another terminal: manage.py demo crash-consumer risk-engine | slow risk-engine | rewind risk-engine
          | kill-broker 2 | rotate-certificates | restore (.venv/bin/python manage.py demo --help tells more).
          Ctrl-C stops everything."""
