"""A file system of limited size for each broker's log directory, so that a full disk is that broker's trouble alone.

Made as root from an image file that grows as it is used: the data is kept over a stop. Where that is not possible, the
directory stays what it is; nothing of the demo depends on it.
"""

import contextlib
import os
import shutil
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

MOST_BYTES, LEAST_BYTES = 4 * 2**30, 2**30
_SECONDS = 30


class Disks:
    """The log directories that are mounted now."""

    def __init__(self) -> None:
        self.mounted: list[Path] = []

    def mount(self, images: Mapping[Path, Path]) -> None:
        """Mount each directory that can be; its content lies in the image file. One with files of its own stays as it is."""
        if os.geteuid() != 0 or not all(shutil.which(tool) for tool in ("mount", "umount", "mkfs.ext4")):
            return
        for directory, image in images.items():
            with contextlib.suppress(OSError, subprocess.SubprocessError):
                if _mount(directory, image):
                    self.mounted.append(directory)

    def unmount(self) -> None:
        """Undo it; a directory that is still in use is let go once nobody uses it any more."""
        for directory in self.mounted:
            for _ in range(10):
                if _run("umount", directory):
                    break
                time.sleep(0.1)
            else:
                _run("umount", "--lazy", directory)
        self.mounted.clear()


@contextlib.contextmanager
def disks() -> Iterator[Disks]:
    """`Disks` that are unmounted at the end."""
    made = Disks()
    try:
        yield made
    finally:
        made.unmount()


def _mount(directory: Path, image: Path) -> bool:
    directory.mkdir(parents=True, exist_ok=True)
    image.parent.mkdir(parents=True, exist_ok=True)
    if os.path.ismount(directory):  # left over by a start that was killed
        return True
    if not image.exists():
        size = min(MOST_BYTES, shutil.disk_usage(directory).free // 4)
        if size < LEAST_BYTES or any(directory.iterdir()):
            return False
        _make(image, size)
    if not _run("mount", "-o", "loop,noatime,discard", image, directory):
        return False
    with contextlib.suppress(OSError):  # Kafka takes every directory for a partition
        (directory / "lost+found").rmdir()
    return True


def _make(image: Path, size: int) -> None:
    draft = image.with_suffix(".draft")
    with draft.open("wb") as handle:
        handle.truncate(size)
    if not _run("mkfs.ext4", "-q", "-F", "-m", "0", draft):
        draft.unlink()
        raise OSError("mkfs.ext4 failed")
    draft.rename(image)


def _run(*command: str | Path) -> bool:
    words = [str(word) for word in command]
    return subprocess.run(words, capture_output=True, timeout=_SECONDS, check=False).returncode == 0  # noqa: S603
