"""`manage.py collect`: collectstatic, left out when nothing changed since the last time.

The files are collected beside STATIC_ROOT and take its place when they are whole, so nobody ever sees a part of them.
"""

import fcntl
import hashlib
import shutil
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import get_finders
from django.contrib.staticfiles.management.commands.collectstatic import Command as CollectStatic
from django.core.checks import Tags
from django.core.files.storage import storages
from django.core.management import call_command
from django.core.management.base import BaseCommand, CommandError, CommandParser

_TRIES = 3  # a source that is replaced while it is read, by an editor or a checkout, is there again at once


class Command(BaseCommand):
    help = "Collect, hash and compress the static files; with --if-changed only when one of them changed."
    requires_system_checks = [Tags.staticfiles]  # the others read every view, and need not be right for this

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--if-changed", action="store_true")

    def handle(self, *args: Any, **options: Any) -> None:
        root = Path(settings.STATIC_ROOT)
        try:
            root.parent.mkdir(parents=True, exist_ok=True)
            with root.with_name(f"{root.name}.lock").open("w") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX)  # of two at once, the second finds the work of the first
                for left in range(_TRIES, 0, -1):
                    try:
                        return _collect(root, only_if_changed=options["if_changed"])
                    except (FileNotFoundError, ValueError):
                        if left == 1:
                            raise
        except (OSError, ValueError) as reason:  # ValueError: a file that another one refers to is missing
            raise CommandError(f"The static files cannot be collected into {root}: {reason}") from reason


def _collect(root: Path, *, only_if_changed: bool) -> None:
    """Raises OSError, or ValueError for a reference to a file that is not there; `root` is as it was then."""
    stamp, state = root / ".stamp", _state_of_sources()
    if only_if_changed and stamp.exists() and stamp.read_text() == state:
        return
    fresh, old = root.with_name(f"{root.name}.new"), root.with_name(f"{root.name}.old")
    for rest in (fresh, old):  # of a run that was killed
        shutil.rmtree(rest, ignore_errors=True)
    fresh.mkdir()
    command = CollectStatic()
    kind: dict[str, Any] = settings.STORAGES["staticfiles"]
    command.storage = storages.create_storage(kind | {"OPTIONS": kind.get("OPTIONS", {}) | {"location": str(fresh)}})
    call_command(command, interactive=False, verbosity=0)
    (fresh / ".stamp").write_text(state)
    if root.exists():
        root.rename(old)
    fresh.rename(root)
    shutil.rmtree(old, ignore_errors=True)


def _state_of_sources() -> str:
    """A digest over name, size and time of every static file."""
    digest = hashlib.sha256()
    for finder in get_finders():
        for path, storage in finder.list([]):
            stat = (storage.size(path), storage.get_modified_time(path))
            digest.update(f"{path} {stat}\n".encode())
    return digest.hexdigest()
