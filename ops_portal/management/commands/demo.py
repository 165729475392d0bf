"""`manage.py demo`: the portal with a real three-broker Kafka and live traffic, and scenarios to try on it."""

import time
from argparse import ArgumentParser, ArgumentTypeError
from pathlib import Path
from typing import TYPE_CHECKING, Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from ops_portal.demo import control, facts, scenarios, stage
from ops_portal.demo.pki import Authority
from ops_portal.demo.topology import BROKERS, CLUSTER
from ops_portal.lib import portal, rundir
from ops_portal.lib.processes import wait_until
from ops_portal.lib.supervisor import StartRefused, exit_with

if TYPE_CHECKING:
    from confluent_kafka.admin import AdminClient

_WAIT_SECONDS = 180
_SLOW_PACE = 0.3
_FILL_PERCENT = 96.0
_BACK_SECONDS = 30


class Command(BaseCommand):
    help = (
        "Run the demo, or act on the one that runs: crash a consumer, slow a group, rewind it, kill a broker, restore."
    )
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: ArgumentParser) -> None:
        actions = parser.add_subparsers(dest="action", metavar="ACTION")
        actions.add_parser("status", help="groups of the running demo and what they are like")
        crash = actions.add_parser("crash-consumer", help="kill -9 one member of a group")
        crash.add_argument("group")
        slow = actions.add_parser("slow", help="let a group read less than is produced")
        slow.add_argument("group")
        slow.add_argument(
            "--pace", type=float, default=_SLOW_PACE, help="part of what is produced; 0 = nothing (default %(default)s)"
        )
        rewind = actions.add_parser("rewind", help="commit an older offset in every partition of a group")
        rewind.add_argument("group")
        rewind.add_argument("--records", type=int, default=1000, help="in every partition (default %(default)s)")
        kill = actions.add_parser("kill-broker", help="kill -9 a broker and keep it down")
        _broker_number(kill)
        rotate = actions.add_parser(
            "rotate-certificates", help="give brokers new certificates, one after another, without a restart"
        )
        _broker_number(rotate, nargs="*", help="all of them when none is named")
        fill = actions.add_parser("fill-disk", help="take space on a broker's own file system")
        _broker_number(fill)
        fill.add_argument(
            "--percent", type=float, default=_FILL_PERCENT, help="100 = the broker ends (default %(default)s)"
        )
        slow_broker = actions.add_parser("slow-broker", help="let a broker's process run a fifth of the time")
        _broker_number(slow_broker)
        slow_broker.add_argument("--freeze", action="store_true", help="not at all: SIGSTOP")
        actions.add_parser("move-controller", help="make another node the active controller")
        shrink = actions.add_parser("shrink-isr", help="let a broker leave the in-sync replicas, and live")
        _broker_number(shrink)
        actions.add_parser("unclean-election", help="lose the only in-sync replica of a partition of its own topic")
        load = actions.add_parser("load-test", help="a small real load test, brought in as evidence")
        load.add_argument("--seconds", type=float, default=20, help="at most 120 (default %(default)s)")
        load.add_argument("--rate", type=int, default=5000, help="records a second (default %(default)s)")
        actions.add_parser("restore", help="undo all of it")
        traces = actions.add_parser(
            "record-traces", help="write what the groups do as labelled traces for the verdict tests"
        )
        traces.add_argument("directory", type=Path)
        traces.add_argument("--minutes", type=float, default=15)
        actions.add_parser("prepare", help="(part of the start) tell the portal of the demo, wait for a true board")
        actions.add_parser(
            "introduce", help="(part of the start) tell the portal of the schema registry once it answers"
        )

    def handle(self, *args: Any, **options: Any) -> None:
        action = (options["action"] or "start").replace("-", "_")
        try:
            getattr(self, f"do_{action}")(options)
        except (control.DemoNotRunning, control.CommandRefused, scenarios.Refused) as reason:
            raise CommandError(str(reason)) from reason

    def do_start(self, options: dict[str, Any]) -> None:
        try:
            stage.run()
        except StartRefused as refusal:
            exit_with(refusal)

    def do_prepare(self, options: dict[str, Any]) -> None:
        from accounts.roles import Role
        from ops_portal.demo import seed, truth

        clients, users = seed.seed_people()
        var = settings.PORTAL_VAR
        wait_until(lambda: control.everyone_begun(var), seconds=_WAIT_SECONDS, step_seconds=0.2)
        seed.seed_platform(facts.load(var), clients, users)
        self.stdout.write("The portal knows the demo's clients, users, cluster and promises.")
        truth.await_truth(users[Role.SRE], seconds=_WAIT_SECONDS, say=self.stdout.write)

    def do_introduce(self, options: dict[str, Any]) -> None:
        from accounts.models import User
        from accounts.roles import Role
        from clusters.models import Cluster
        from ops_portal.demo import schemas, seed_security

        known = facts.load(settings.PORTAL_VAR)
        wait_until(lambda: schemas.answers(known.registry_url), seconds=_WAIT_SECONDS, step_seconds=0.5)
        cluster = Cluster.objects.get(name=CLUSTER, removed_at__isnull=True)
        seed_security.seed_registry(cluster, User.objects.get(username=Role.SRE.value), known)

    def do_record_traces(self, options: dict[str, Any]) -> None:
        from accounts.policies import Scope, Sight
        from accounts.roles import Role
        from clusters.gateways.connect import kafka_port
        from clusters.selectors import cluster_named
        from ops_portal.demo import traces
        from ops_portal.lib.database import database_clock

        self._ask("begun")  # only a running demo has something to record
        cluster = cluster_named(Sight(Role.SRE, Scope(everything=True)), CLUSTER)
        if cluster is None:
            raise CommandError("The portal does not know the demo's cluster yet; wait until the demo says Ready.")
        clock = database_clock()
        rounds = max(1, int(options["minutes"] * 60 // traces.ROUND_SECONDS))
        port = kafka_port(cluster, clock)
        count = traces.record(
            port, self._ask, clock.now, options["directory"], rounds=rounds, say=lambda text: self.stdout.write(text)
        )
        self.stdout.write(f"{count} traces are in {options['directory']}.")

    def do_status(self, options: dict[str, Any]) -> None:
        self.stdout.write(self._ask("status"))
        for number in range(1, BROKERS + 1):
            pid = rundir.child_pid(settings.PORTAL_VAR, stage.node_name(number))
            self.stdout.write(f"broker {number}: {f'process {pid}' if pid else 'down'}")

    def do_crash_consumer(self, options: dict[str, Any]) -> None:
        self.stdout.write(self._ask("crash", group=options["group"]))
        self._look(options["group"], "the crash view: lost member, rebalance, where each partition went on.")

    def do_slow(self, options: dict[str, Any]) -> None:
        if not 0 <= options["pace"] <= 10:
            raise CommandError("--pace lies between 0 and 10.")
        self.stdout.write(self._ask("slow", group=options["group"], pace=options["pace"]))
        self._look(
            options["group"], "lag grows; after 30 s of lag the verdict is falling behind, or stalled at pace 0."
        )

    def do_rewind(self, options: dict[str, Any]) -> None:
        if options["records"] < 1:
            raise CommandError("--records must be at least 1.")
        self.stdout.write(self._ask("rewind", group=options["group"], records=options["records"]))
        self._look(options["group"], "an event per partition with the offsets before and after, verdict rewound.")

    def do_kill_broker(self, options: dict[str, Any]) -> None:
        self._ask("begun")  # only a running demo has a broker to kill
        name = stage.node_name(options["number"])
        pid = rundir.child_pid(settings.PORTAL_VAR, name)
        if pid is None:
            raise CommandError(f"Broker {options['number']} is down already.")
        rundir.hold(settings.PORTAL_VAR, name)
        self.stdout.write(
            f"Broker {options['number']} (process {pid}) is killed and kept down until `manage.py demo restore`."
        )
        self.stdout.write(
            "Look at the board: partitions move to the other brokers within 6 s, every group stays fresh."
        )

    def do_restore(self, options: dict[str, Any]) -> None:
        text = self._ask("restore")
        down = [number for number, broker in self._brokers().items() if broker.pid is None]
        emptied = scenarios.empty_disks(self._brokers().values())
        scenarios.resume(self._brokers().values())
        for number in range(1, BROKERS + 1):
            rundir.release(settings.PORTAL_VAR, stage.node_name(number))
        self.stdout.write(text)
        if down:
            self.stdout.write(f"Started again: broker {', '.join(map(str, down))}.")
        if emptied:
            self.stdout.write(f"Space is back on the disk of broker {', '.join(map(str, emptied))}.")
        wait_until(lambda: all(one.pid for one in self._brokers().values()), seconds=_BACK_SECONDS, step_seconds=0.2)
        scenarios.forget_election(self._admin(), brokers=BROKERS, seconds=_BACK_SECONDS)

    def do_rotate_certificates(self, options: dict[str, Any]) -> None:
        brokers = self._running()
        chosen = [brokers[number] for number in sorted(set(options["number"])) or brokers]
        authority = Authority(facts.load(settings.PORTAL_VAR).pki)
        scenarios.rotate_certificates(self._admin(), authority, chosen, self.stdout.write)
        self.stdout.write(
            "No broker was restarted and no connection ended. The rotation log shows it after the next probe."
        )

    def do_fill_disk(self, options: dict[str, Any]) -> None:
        brokers, number = self._running(), options["number"]
        if number not in facts.load(settings.PORTAL_VAR).disks:
            raise CommandError(
                f"Broker {number} has no file system of its own: the demo makes one as root, where loop devices are allowed."
            )
        if not 1 <= options["percent"] <= 100:
            raise CommandError("--percent lies between 1 and 100.")
        self._done(scenarios.fill_disk(brokers[number], options["percent"]))

    def do_slow_broker(self, options: dict[str, Any]) -> None:
        broker = self._running()[options["number"]]
        if broker.pid is None:
            raise CommandError(f"Broker {broker.number} is down.")
        self._done(self._ask("slow_broker", number=broker.number, pid=broker.pid, frozen=options["freeze"]))

    def do_move_controller(self, options: dict[str, Any]) -> None:
        brokers = self._running()
        cluster = facts.load(settings.PORTAL_VAR).cluster()
        self.stdout.write(
            scenarios.move_controller(
                lambda: cluster.tool("MetadataQuorumCommand", "describe", "--status", timeout=30), brokers
            )
        )

    def do_shrink_isr(self, options: dict[str, Any]) -> None:
        self._running()
        number = options["number"]
        self._done(scenarios.shrink_isr(self._admin(), number, lambda: self._hold_replication(number)))

    def do_unclean_election(self, options: dict[str, Any]) -> None:
        self._running()
        hands = scenarios.Hands(
            hold=self._hold_replication,
            release=lambda number: self._ask("let_replicate", number=number),
            kill=lambda number: rundir.hold(settings.PORTAL_VAR, stage.node_name(number)),
        )
        bootstrap = facts.load(settings.PORTAL_VAR).doors.plaintext
        self._done(scenarios.unclean_election(self._admin(), bootstrap, hands, leader=BROKERS, follower=1))

    def _hold_replication(self, number: int) -> None:
        pid = self._brokers()[number].pid
        if pid is None:
            raise CommandError(f"Broker {number} is down.")
        self._ask("hold_replication", number=number, pid=pid)

    def do_load_test(self, options: dict[str, Any]) -> None:
        from clusters.load_tests.states import Via
        from clusters.management.commands.import_load_test import import_directory, told
        from clusters.models import Cluster
        from ops_portal.demo import load_test

        brokers, known = self._running(), facts.load(settings.PORTAL_VAR)
        directory = known.directory / "load-tests" / time.strftime("%Y%m%dT%H%M%S", time.gmtime())
        try:
            load_test.run(
                directory, bootstrap=known.doors.plaintext, seconds=options["seconds"], per_second=options["rate"],
                pids={broker.number: broker.pid for broker in brokers.values() if broker.pid},
                prometheus_url=known.prometheus_url, say=self.stdout.write,
            )  # fmt: skip
        except ValueError as error:
            raise CommandError(f"{error}.") from error
        cluster = Cluster.objects.filter(name=CLUSTER, removed_at__isnull=True).first()
        row = import_directory(
            directory,
            name=f"Demo {directory.name}",
            cluster=cluster,
            thresholds=list(load_test.THRESHOLDS),
            via=Via.DEMO,
        )
        for line in told(row):
            self.stdout.write(line)

    def _running(self) -> dict[int, scenarios.Broker]:
        """The brokers of the demo, which must be running."""
        self._ask("begun")
        return self._brokers()

    def _brokers(self) -> dict[int, scenarios.Broker]:
        known = facts.load(settings.PORTAL_VAR)
        return {
            number: scenarios.Broker(
                number,
                known.secure_ports[number - 1],
                rundir.child_pid(settings.PORTAL_VAR, stage.node_name(number)),
                known.data_of(number),
            )
            for number in range(1, BROKERS + 1)
        }

    def _admin(self) -> "AdminClient":
        return scenarios.admin_client(facts.load(settings.PORTAL_VAR).doors.plaintext)

    def _done(self, text: str) -> None:
        self.stdout.write(text)
        self.stdout.write("`manage.py demo restore` brings everything back.")

    def _ask(self, do: str, **more: Any) -> str:
        return control.ask(settings.PORTAL_VAR, do, **more)

    def _look(self, group: str, what: str) -> None:
        page = reverse("lag:group-detail", args=[CLUSTER, group])
        site = rundir.address(settings.PORTAL_VAR) or portal.address(settings.HOST, settings.PORT)
        self.stdout.write(f"Look at {site}{page}: {what}")
        self.stdout.write("`manage.py demo restore` brings everything back.")


def _broker_number(parser: ArgumentParser, **more: Any) -> None:
    parser.add_argument("number", type=_number, **more)


def _number(word: str) -> int:
    if word not in map(str, range(1, BROKERS + 1)):
        raise ArgumentTypeError(f"brokers are 1 to {BROKERS}")
    return int(word)
