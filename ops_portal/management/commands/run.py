"""`manage.py run`: the whole portal on one machine, on its embedded services unless URLs replace them."""

import re
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from ops_portal.lib import portal, rundir
from ops_portal.lib.supervisor import StartRefused, Supervisor, exit_with


class Command(BaseCommand):
    help = "Run the portal: embedded services, web, workers and beat, until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--kafka", default="", metavar="HOST:PORT[,...]", help="watch this cluster")
        parser.add_argument("--prometheus", default="", metavar="URL", help="Prometheus of that cluster")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = settings.HOST, settings.PORT
        address = portal.address(host, port)
        try:
            with Supervisor(settings.PORTAL_VAR) as supervisor:
                portal.refuse_taken_port(host, port)
                portal.start_base(supervisor, database_url=settings.DATABASE_URL, valkey_url=settings.VALKEY_URL)
                supervisor.start(portal.portal_children(host, port))
                rundir.note_address(supervisor.var, address)
                supervisor.say(f"The portal is at {address}/ (logs in {supervisor.log_directory}; Ctrl-C stops it).")
                self.offer_first_link(supervisor, address)
                self.add_cluster(supervisor, options["kafka"], options["prometheus"])
                supervisor.supervise()
        except StartRefused as refusal:
            exit_with(refusal)

    def add_cluster(self, supervisor: Supervisor, kafka: str, prometheus: str) -> None:
        """Watch the cluster that was given on the command line, unless it is known from an earlier start."""
        if not kafka:
            return
        words = ["add_cluster", cluster_name(kafka), "--bootstrap", kafka, "--offline", "--if-new"]
        if prometheus:
            words += ["--prometheus", prometheus]
        try:
            said = supervisor.step("", [*portal.MANAGE, *words], name="add-cluster")
        except StartRefused as refusal:  # the portal is of use without it, and the page for it says more
            said = str(refusal)
        for line in filter(None, said.splitlines()):
            supervisor.say(line)

    def offer_first_link(self, supervisor: Supervisor, address: str) -> None:
        """Until an administrator has signed in, every start prints a link that lets one in once."""
        said = supervisor.step("", [*portal.MANAGE, "sign_in_link", "--first", "--base", address], name="first-link")
        if link := said.strip():
            supervisor.say(f"First sign-in as administrator, once, within 24 hours: {link}")
            (supervisor.log_directory / "first-link.log").unlink()  # a link is a secret


def cluster_name(bootstrap: str) -> str:
    """A name for a cluster that only has an address: that of its first broker, in the letters that names may have."""
    first = bootstrap.partition(",")[0].lower().removesuffix(":9092")
    return re.sub(r"[^a-z0-9]+", "-", first).strip("-")[:63] or "kafka"
