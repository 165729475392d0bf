"""The example files for production start the same processes as `manage.py run`."""

import configparser
import os
import re
import shlex
import subprocess
from pathlib import Path

import pytest

from ops_portal.lib import portal
from ops_portal.management.commands import run
from ops_portal.settings import env

ROOT = Path(__file__).resolve().parents[2]
UNITS = {"web": "web", "worker-poll": "poll", "worker": "worker", "beat": "beat"}


@pytest.mark.parametrize(("child", "unit"), UNITS.items())
def test_unit_file_has_the_same_command_as_the_supervisor(child: str, unit: str) -> None:
    (ours,) = [one for one in portal.portal_children("127.0.0.1", 8000) if one.name == child]
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.read(ROOT / "deploy" / "systemd" / f"ops-portal-{unit}.service")
    words = shlex.split(parser["Service"]["ExecStart"].replace("%%", "%"))
    assert words[1:] == [str(word) for word in ours.argv][1:]


def test_environment_example_names_real_variables() -> None:
    text = (ROOT / "deploy" / "systemd" / "environment.example").read_text()
    assert set(re.findall(r"^([A-Z_]+)=", text, re.MULTILINE)) <= set(env.DECLARED)


def test_make_help_lists_every_command() -> None:
    text = (ROOT / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.*)$", text, re.MULTILINE)
    done = subprocess.run(["make", "help"], cwd=ROOT, capture_output=True, text=True, check=True, timeout=30)
    listed = re.findall(r"^  make ([a-z-]+) +\S", done.stdout, re.MULTILINE)
    assert sorted(listed[: len(phony.split())]) == sorted(phony.split())


def test_locks_name_no_registry_and_every_package_has_a_hash() -> None:
    for lock in (ROOT / "requirements").glob("*.txt"):
        text = lock.read_text()
        assert "://" not in text
        pinned = re.findall(r"^[a-z0-9][^\s=]*==", text, re.MULTILINE)
        assert pinned
        blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)[1:]
        assert all("--hash=sha256:" in block for block in blocks)
    assert '"resolved"' not in (ROOT / "package-lock.json").read_text()


def test_a_missing_program_is_named_with_what_to_install(tmp_path: Path) -> None:
    for tool in ("sh", "id", "command"):
        if (found := Path("/bin") / tool).exists():
            (tmp_path / tool).symlink_to(found)
    (tmp_path / "id").unlink(missing_ok=True)
    (tmp_path / "id").write_text("#!/bin/sh\necho 1000\n")
    (tmp_path / "id").chmod(0o755)
    done = subprocess.run(
        ["/bin/sh", ROOT / "deploy/bootstrap/system.sh", "java:default-jre-headless", "sh:dash"],
        env=os.environ | {"PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    assert done.returncode == 2
    assert done.stderr == (
        "Not found on this machine: default-jre-headless. "
        "Install it (on Debian or Ubuntu: sudo apt-get install default-jre-headless) and try again.\n"
    )


@pytest.mark.parametrize(
    ("bootstrap", "name"),
    [
        ("kafka.example.com:9092", "kafka-example-com"),
        ("Broker_1.internal:9094,broker_2.internal:9094", "broker-1-internal-9094"),
        ("127.0.0.1:19092", "127-0-0-1-19092"),
        ("[::1]:9092", "1"),
        (":", "kafka"),
    ],
)
def test_a_cluster_given_by_address_alone_gets_a_legal_name(bootstrap: str, name: str) -> None:
    assert run.cluster_name(bootstrap) == name
