"""`manage.py run`: the whole portal on one machine, on its embedded services unless URLs replace them."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandParser

from ops_portal.lib import portal
from ops_portal.lib.supervisor import StartRefused, Supervisor, exit_with


class Command(BaseCommand):
    help = "Run the portal: embedded services, web, workers and beat, until Ctrl-C."
    requires_system_checks: list[str] = []

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--kafka", default="", metavar="HOST:PORT[,...]", help="watch this cluster")
        parser.add_argument("--prometheus", default="", metavar="URL", help="Prometheus of that cluster")

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = settings.HOST, settings.PORT
        try:
            with Supervisor(settings.PORTAL_VAR) as supervisor:
                portal.refuse_taken_port(host, port)
                portal.start_base(supervisor, database_url=settings.DATABASE_URL, valkey_url=settings.VALKEY_URL)
                supervisor.start(portal.portal_children(host, port))
                supervisor.say(
                    f"The portal is at http://{host}:{port}/ (logs in {supervisor.log_directory}; Ctrl-C stops it)."
                )
                supervisor.supervise()
        except StartRefused as refusal:
            exit_with(refusal)
