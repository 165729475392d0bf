"""Finds the few files of the front-end packages that the pages use; the packages hold hundreds more."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.contrib.staticfiles.finders import BaseFinder
from django.core.checks import CheckMessage
from django.core.checks import Error as CheckError
from django.core.files.storage import FileSystemStorage, Storage


class PickedFilesFinder(BaseFinder):
    """Serves `settings.VENDOR_FILES`: name below STATIC_URL -> file."""

    def check(self, **kwargs: Any) -> list[CheckMessage]:
        missing = sorted(str(path) for path in settings.VENDOR_FILES.values() if not path.is_file())
        if not missing:
            return []
        return [
            CheckError(
                f"Front-end files are missing: {', '.join(missing)}.",
                hint="Run `npm ci` or `make`.",
                id="ops_portal.E006",
            )
        ]

    def find(self, path: str, find_all: bool = False, **kwargs: Any) -> Any:
        found = settings.VENDOR_FILES.get(path)
        if found is None or not found.is_file():
            return []
        return [str(found)] if find_all else str(found)

    def list(self, ignore_patterns: Iterable[str] | None) -> Iterator[tuple[str, Storage]]:
        for name, path in settings.VENDOR_FILES.items():
            yield path.name, _storage(path.parent, name.rpartition("/")[0])


def _storage(directory: Path, prefix: str) -> Storage:
    storage = FileSystemStorage(location=directory)
    storage.prefix = prefix  # type: ignore[attr-defined]  # where collectstatic puts it
    return storage
