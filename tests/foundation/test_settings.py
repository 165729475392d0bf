"""Settings come from the environment, are typed, and each is documented."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from celery.app.defaults import NAMESPACES, flatten
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from ops_portal.settings import base, env

ROOT = Path(__file__).resolve().parents[2]
DOCUMENT = ROOT / "docs" / "settings.md"


def documented() -> dict[str, str]:
    """Name -> default, from the tables of docs/settings.md."""
    rows = re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", DOCUMENT.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: default.strip().strip("`") for name, default in rows}


def declared() -> dict[str, env.Declared]:
    """What the settings read, without the `_FILE` twin that every secret has (one sentence of the document covers them)."""
    return {name: one for name, one in env.DECLARED.items() if not name.endswith("_FILE")}


def test_every_setting_is_documented_and_nothing_else_is() -> None:
    assert set(documented()) == set(declared())


def test_documented_defaults_are_the_real_ones() -> None:
    told = documented()
    own = {"PORTAL_VAR"}  # depends on where the checkout lies
    assert {name: told[name] for name in told if name not in own} == {
        name: one.default or "none" for name, one in declared().items() if name not in own
    }


def test_every_celery_setting_is_one_that_celery_knows() -> None:
    known = {str(option[0]).upper() for option in flatten(NAMESPACES)}
    ours = {name.removeprefix("CELERY_") for name in vars(base) if name.startswith("CELERY_")}
    assert ours
    assert ours <= known


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PORT", "eighty", "PORT='eighty' is not a whole number."),
        ("PORT", "0", "PORT=0 is outside 1 to 65535."),
        ("DEMO", "maybe", "DEMO='maybe' is neither 1 nor 0."),
        ("LAG_TARGET_SECONDS", "soon", "LAG_TARGET_SECONDS='soon' is not a number."),
        ("LOG_FORMAT", "xml", "LOG_FORMAT='xml' is none of console, json."),
        ("DATABASE_URL", "mysql://db/portal", "DATABASE_URL must start with postgresql://"),
        ("SECRET_KEY_FILE", "/nowhere/key", "SECRET_KEY_FILE=/nowhere/key cannot be read"),
        ("PORTAL_VAR", "/proc/portal", "PORTAL_VAR=/proc/portal cannot be used"),
    ],
)
def test_a_wrong_value_is_one_sentence_that_names_the_variable(
    name: str, value: str, sentence: str, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "manage.py", "check"],
        env=os.environ
        | {"DJANGO_SETTINGS_MODULE": "ops_portal.settings.base", "PORTAL_VAR": str(tmp_path), name: value},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.startswith(sentence)
    assert len(done.stderr.splitlines()) == 1


def test_a_secret_may_come_from_a_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "key").write_text("from a file\n")
    monkeypatch.setenv("PROBE_FILE", str(tmp_path / "key"))
    assert env.env_secret("PROBE", "a test") == "from a file"
    monkeypatch.setenv("PROBE", "given")
    assert env.env_secret("PROBE", "a test") == "given"
    for name in ("PROBE", "PROBE_FILE"):
        del env.DECLARED[name]


def test_secrets_of_the_embedded_default_are_made_once_and_only_the_owner_reads_them(tmp_path: Path) -> None:
    first = env.kept_secret(tmp_path, "secret_key")
    assert env.kept_secret(tmp_path, "secret_key") == first
    assert len(first) >= 50
    assert (tmp_path / "secrets" / "secret_key").stat().st_mode & 0o077 == 0


def test_a_directory_that_cannot_be_written_is_named() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^PORTAL_VAR=/proc/portal cannot be used"):
        env.kept_secret(Path("/proc/portal"), "secret_key")


def test_test_run_ignores_what_the_developer_s_shell_has_set() -> None:
    assert settings.DATABASE_URL == ""
    assert str(settings.PORTAL_VAR) == os.environ["PORTAL_TEST_VAR"]
