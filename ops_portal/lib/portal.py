"""The portal's own processes: what `manage.py run` and `manage.py demo` start (in production: docs/operations.md)."""

import contextlib
import http.client
import socket
import sys
from collections.abc import Sequence
from pathlib import Path

from ops_portal.lib import embedded
from ops_portal.lib.supervisor import SERVICE, Child, StartRefused, Supervisor

ROOT = Path(__file__).resolve().parents[2]
MANAGE = (sys.executable, ROOT / "manage.py")
# Two heaps instead of one per thread, and no views loaded by system checks that every command has made already.
_LEAN = {"MALLOC_ARENA_MAX": "2", "CELERY_SKIP_CHECKS": "1"}
_READABLE = {"postgres": "PostgreSQL", "valkey": "Valkey"}


def address(host: str, port: int) -> str:
    """Where a browser finds a portal that listens there, without a slash at the end."""
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def refuse_taken_port(host: str, port: int) -> None:
    """Raise `StartRefused` when nothing more can listen on `host:port`."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except PermissionError as error:
            raise StartRefused(
                f"Port {port} may not be opened by this user; choose one above 1023 with PORT=."
            ) from error
        except OSError as error:
            raise StartRefused(
                f"Port {port} on {host} is in use or not available; end the other program or choose another port with PORT=."
            ) from error


def service_children(var: Path, *, database_url: str, valkey_url: str) -> list[Child]:
    """The embedded servers that are not replaced by a URL, prepared to start.

    Raises `StartRefused` when one cannot be prepared.
    """
    try:
        servers = [] if database_url else [embedded.prepare_postgres(var)]
        servers += [] if valkey_url else [embedded.prepare_valkey(var)]
    except embedded.EmbeddedFailure as failure:
        raise StartRefused(str(failure)) from failure
    except OSError as error:
        raise StartRefused(f"The embedded servers cannot be prepared: {error}.") from error
    return [
        Child(
            name=server.name,
            argv=server.argv,
            env=server.env,
            user=server.user,
            tier=SERVICE,
            ready=server.answers,
            ready_text=f"{_READABLE[server.name]} is up",
            stop_signal=server.stop_signal,
            orphan_signal=server.stop_signal,
        )
        for server in servers
    ]


def start_base(supervisor: Supervisor, *, database_url: str, valkey_url: str) -> None:
    """Start the embedded servers and bring tables and static files up to date: what every other process needs."""
    files = supervisor.begin("static", [*MANAGE, "collect", "--if-changed"])
    start_services(supervisor, database_url=database_url, valkey_url=valkey_url)
    supervisor.step("Tables are up to date", [*MANAGE, "migrate", "--no-input", "--verbosity=0"], name="migrate")
    supervisor.finish(files, "Static files are collected")


def start_services(supervisor: Supervisor, *, database_url: str, valkey_url: str) -> None:
    """Start the embedded servers alone and make sure that the portal's database exists."""
    supervisor.start(service_children(supervisor.var, database_url=database_url, valkey_url=valkey_url))
    if not database_url:
        embedded.ensure_database(supervisor.var)


def portal_children(host: str, port: int, *, poll_threads: int = 8) -> list[Child]:
    """Web, both workers and beat."""
    celery = (sys.executable, "-m", "celery", "--quiet", "-A", "ops_portal")
    worker = (sys.executable, "-m", "ops_portal.worker")  # the same, smaller
    quiet = ("--without-gossip", "--without-mingle")  # a restarted broker is taken up again in half the time
    return [
        Child(
            "web", web_argv(host, port), cwd=ROOT, ready=lambda: _web_answers(host, port), ready_text="Pages are served"
        ),
        Child(
            "worker-poll",
            [*worker, "-Q", "poll", "-n", "poll@%h", "--pool", "threads", "-c", str(poll_threads), *quiet],
            env=_LEAN,
            cwd=ROOT,
        ),
        Child(
            "worker",
            [*celery, "worker", "-Q", "default,notify,billing", "-n", "worker@%h", "-c", "2", *quiet],
            cwd=ROOT,
        ),
        Child("beat", [*celery, "beat", "--scheduler", "celery.beat:Scheduler", "--pidfile", ""], cwd=ROOT),
    ]


def web_argv(host: str, port: int) -> Sequence[str]:
    """Command line of one web process (measured choices: notes in docs/operations.md)."""
    return [
        *(sys.executable, "-m", "uvicorn", "ops_portal.asgi:application"),
        *("--host", host, "--port", str(port), "--loop", "uvloop", "--http", "httptools"),
        *("--ws", "websockets-sansio", "--ws-per-message-deflate", "false", "--ws-max-size", "65536"),
        *("--ws-ping-interval", "20", "--ws-ping-timeout", "20", "--timeout-graceful-shutdown", "4"),
        *("--no-access-log", "--no-server-header", "--no-proxy-headers", "--lifespan", "off"),
    ]


def _web_answers(host: str, port: int) -> bool:
    name = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104 - compared, not bound
    link = http.client.HTTPConnection(name, port, timeout=1)
    with contextlib.closing(link), contextlib.suppress(OSError, http.client.HTTPException):
        link.request("GET", "/healthz", headers={"Host": "127.0.0.1"})
        return link.getresponse().status == 200
    return False
