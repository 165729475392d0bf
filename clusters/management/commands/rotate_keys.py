"""Seal every stored secret with the newest key of FIELD_KEYS, so that the older ones can be dropped."""

from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clusters import services
from clusters.secrets import SecretUnreadable


class Command(BaseCommand):
    help = "Seal stored secrets with the newest key of FIELD_KEYS; then the older keys can go."

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            count = services.secrets_rotate()
        except SecretUnreadable as error:
            raise CommandError(f"Nothing was changed: {error}.") from error
        self.stdout.write(f"{count} secrets were sealed anew.")
