"""`manage.py services`: the embedded PostgreSQL and Valkey alone, until Ctrl-C."""

from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand

from ops_portal.lib import embedded, portal
from ops_portal.lib.supervisor import StartRefused, Supervisor, exit_with


class Command(BaseCommand):
    help = "Run the embedded PostgreSQL and Valkey in the foreground, for working on the portal."
    requires_system_checks: list[str] = []

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            with Supervisor(settings.PORTAL_VAR) as supervisor:
                portal.start_services(supervisor, database_url=settings.DATABASE_URL, valkey_url=settings.VALKEY_URL)
                supervisor.say(f"Sockets are in {embedded.runtime_directory(settings.PORTAL_VAR)}; Ctrl-C stops both.")
                supervisor.supervise()
        except StartRefused as refusal:
            exit_with(refusal)
