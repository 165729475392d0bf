"""`manage.py collect`: whole or not at all, whoever else collects at the same time."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.conf import LazySettings
from django.contrib.staticfiles.finders import get_finder
from django.core.management import CommandError, call_command

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def sources(tmp_path: Path, settings: LazySettings) -> Iterator[Path]:
    """A directory of static files, the only one, and a place to collect them with hashed names."""
    directory = tmp_path / "sources"
    directory.mkdir()
    (directory / "page.css").write_text("body { color: red }")
    settings.STATICFILES_DIRS = [directory]
    settings.STATICFILES_FINDERS = ["django.contrib.staticfiles.finders.FileSystemFinder"]
    get_finder.cache_clear()  # type: ignore[attr-defined]  # has a cache, which its stub does not know
    settings.STATIC_ROOT = tmp_path / "static"
    settings.STORAGES = {
        **settings.STORAGES,
        "staticfiles": {"BACKEND": "whitenoise.storage.CompressedManifestStaticFilesStorage"},
    }
    yield directory
    get_finder.cache_clear()  # type: ignore[attr-defined]


def test_files_are_hashed_and_a_file_that_is_gone_is_gone(sources: Path, settings: LazySettings) -> None:
    (sources / "old.css").write_text("p { color: blue }")
    call_command("collect")
    assert [len(list(settings.STATIC_ROOT.glob(f"{name}.*.css"))) for name in ("old", "page")] == [1, 1]
    (sources / "old.css").unlink()
    call_command("collect", if_changed=True)
    assert list(settings.STATIC_ROOT.glob("old*")) == []
    assert "page.css" in (settings.STATIC_ROOT / "staticfiles.json").read_text()


def test_nothing_is_collected_when_nothing_changed(sources: Path, settings: LazySettings) -> None:
    call_command("collect")
    before = settings.STATIC_ROOT.stat().st_ino
    call_command("collect", if_changed=True)
    assert settings.STATIC_ROOT.stat().st_ino == before


def test_a_broken_reference_is_one_sentence_and_leaves_what_was_there(sources: Path, settings: LazySettings) -> None:
    call_command("collect")
    before = sorted(path.name for path in settings.STATIC_ROOT.iterdir())
    (sources / "page.css").write_text("body { background: url(missing.png) }")
    with pytest.raises(CommandError, match=r"cannot be collected .*missing\.png"):
        call_command("collect")
    assert sorted(path.name for path in settings.STATIC_ROOT.iterdir()) == before


def test_collecting_at_the_same_time_leaves_one_whole_directory(tmp_path: Path, process_env: dict[str, str]) -> None:
    env = process_env | {"PORTAL_VAR": str(tmp_path)}
    argv = [sys.executable, "manage.py", "collect", "--if-changed"]
    children = [subprocess.Popen(argv, cwd=ROOT, env=env, stderr=subprocess.PIPE, text=True) for _ in range(3)]
    assert [(child.communicate(timeout=100)[1], child.returncode) for child in children] == [("", 0)] * 3
    assert (tmp_path / "static" / "staticfiles.json").stat().st_size > 0
    assert sorted(path.name for path in tmp_path.glob("static*")) == ["static", "static.lock"]
