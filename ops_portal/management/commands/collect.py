"""`manage.py collect`: collectstatic, left out when nothing changed since the last time."""

import hashlib
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandParser


class Command(BaseCommand):
    help = "Collect, hash and compress the static files; with --if-changed only when one of them changed."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--if-changed", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        stamp = settings.STATIC_ROOT / ".stamp"
        state = _state_of_sources()
        if options["if_changed"] and stamp.exists() and stamp.read_text() == state:
            return
        call_command("collectstatic", interactive=False, clear=settings.STATIC_ROOT.exists(), verbosity=0)
        stamp.write_text(state)


def _state_of_sources() -> str:
    """A digest over name, size and time of every static file."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            stat = (storage.size(path), storage.get_modified_time(path))
            digest.update(f"{path} {stat}\n".encode())
    return digest.hexdigest()
