"""The demo's schema registry: found, fetched or said to be absent; and its clients, on a registry that answers as Apicurio does."""

import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import orjson
import pytest

from ops_portal.demo import registry, schemas
from ops_portal.demo.registry import RegistryUnavailable
from ops_portal.lib.kafka_runner import free_ports
from ops_portal.lib.processes import wait_until
from tests.kafka_fixtures import KAFKA_VAR
from tests.programs import lacking


class Line:
    on = True

    def running(self) -> bool:
        return self.on

    def begun(self) -> None:
        """Nobody waits for it."""


class Rules(BaseHTTPRequestHandler):
    """Takes schemas until a subject is BACKWARD, then refuses what the demo knows to be broken."""

    subjects: dict[str, list[str]]
    config: dict[str, str]
    answers: list[tuple[str, str, int]]

    def do_GET(self) -> None:
        subject = self.path.rpartition("/")[2]
        self._answer(200 if subject in self.config else 404)

    def do_PUT(self) -> None:
        body = self._body()
        self.config[self.path.rpartition("/")[2]] = str(body["compatibility"])
        self._answer(200)

    def do_POST(self) -> None:
        subject, schema = self.path.split("/subjects/")[1].split("/")[0], str(self._body()["schema"])
        if schema == schemas.BROKEN and self.config.get(subject) == "BACKWARD":
            self._answer(409)
        else:
            self.subjects.setdefault(subject, []).append(schema)
            self._answer(200)

    def _body(self) -> dict[str, object]:
        found: dict[str, object] = orjson.loads(self.rfile.read(int(self.headers["Content-Length"])))
        return found

    def _answer(self, status: int) -> None:
        self.answers.append((self.command, self.path, status))
        self.send_response(status)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, format: str, *args: object) -> None:
        """Silence."""


@pytest.fixture
def served() -> Iterator[tuple[str, type[Rules]]]:
    rules = type("TheseRules", (Rules,), {"subjects": {}, "config": {}, "answers": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), rules) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}", rules
        server.shutdown()
        thread.join()


def test_good_schemas_are_registered_and_the_broken_one_is_refused(served: tuple[str, type[Rules]]) -> None:
    url, rules = served
    line = Line()
    thread = threading.Thread(target=schemas.register, args=(url, line), kwargs={"every_seconds": 0.1})
    thread.start()
    refused = ("POST", f"/apis/ccompat/v7/subjects/{schemas.BROKEN_SUBJECT}/versions", 409)
    try:
        assert wait_until(lambda: rules.answers.count(refused) > 1, seconds=20)
        rules.subjects.clear()  # it begins anew
        rules.config.clear()
        seen = rules.answers.count(refused)
        assert wait_until(lambda: rules.answers.count(refused) > seen + 1, seconds=20)
    finally:
        line.on = False
        thread.join(10)
    assert rules.subjects == {name: list(versions) for name, versions in schemas.SUBJECTS.items()}
    assert set(rules.config.values()) == {"BACKWARD"}


def test_a_registry_that_is_not_there_is_waited_for() -> None:
    line = Line()
    url = f"http://127.0.0.1:{free_ports(1)[0]}"
    thread = threading.Thread(target=schemas.register, args=(url, line))
    thread.start()
    line.on = False
    thread.join(10)
    assert not thread.is_alive()


def test_without_a_new_java_the_registry_is_absent_with_a_reason(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    old = tmp_path / "java"
    old.write_text("#!/bin/sh\necho 'openjdk version \"17.0.12\" 2024-07-16' >&2\n")
    old.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(RegistryUnavailable, match="Java 21 or newer"):
        registry.fetch(tmp_path / "var")


def test_without_maven_the_registry_is_absent_with_a_reason(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    new = tmp_path / "java"
    new.write_text("#!/bin/sh\necho 'openjdk version \"25.0.2\" 2026-01-20' >&2\n")
    new.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    with pytest.raises(RegistryUnavailable, match="install the package maven"):
        registry.fetch(tmp_path / "var")


@pytest.mark.timeout(400)
def test_the_real_registry_refuses_what_breaks_compatibility_and_writes_it_down(tmp_path: Path) -> None:
    """Where the registry was fetched or can be; with the access log that the portal's shipper follows."""
    try:
        found = registry.fetch(KAFKA_VAR)
    except RegistryUnavailable as reason:
        lacking(str(reason))
    port, management = free_ports(2)
    url = f"http://127.0.0.1:{port}"
    log = tmp_path / "access.log"
    line = Line()
    with (tmp_path / "out").open("wb") as out:
        process = subprocess.Popen(found.argv(port, management, tmp_path), stdout=out, stderr=out)
    thread = threading.Thread(target=schemas.register, args=(url, line), kwargs={"every_seconds": 0.5})
    thread.start()
    try:
        assert wait_until(lambda: log.exists() and 'response_code="409"' in log.read_text(), seconds=180)
        refusal = next(text for text in log.read_text().splitlines() if 'response_code="409"' in text)
        assert refusal.startswith("[20")
        assert f'path="/apis/ccompat/v7/subjects/{schemas.BROKEN_SUBJECT}/versions"' in refusal
        assert 'user_agent="northgate-order-gateway/2.4"' in refusal
        listening = subprocess.run(["ss", "-ltnp"], capture_output=True, text=True, timeout=20, check=False).stdout
        ours = [text for text in listening.splitlines() if f"pid={process.pid}," in text]
        assert all("127.0.0.1" in text for text in ours)
    finally:
        line.on = False
        thread.join(20)
        process.kill()
        process.wait(20)
