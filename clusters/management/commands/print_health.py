"""Print docs/health.md from the table of signals."""

from typing import Any

from django.core.management.base import BaseCommand

from clusters.health.document import printed


class Command(BaseCommand):
    help = "Print docs/health.md: manage.py print_health > docs/health.md"
    requires_system_checks = ()

    def handle(self, *args: Any, **options: Any) -> None:
        self.stdout.write(printed(), ending="")
