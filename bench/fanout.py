"""Live fan-out: many sockets on one web process, one publish a second to all of them.

`python -m bench.fanout` starts a PostgreSQL, a Valkey and one uvicorn of its own, and prints one JSON object. CPU is that of
the web process alone; the load generator and the servers share the machine, so latencies are upper bounds.
"""

import argparse
import asyncio
import base64
import gc
import json
import os
import shutil
import signal
import struct
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
import psutil  # type: ignore[import-untyped]  # has no types

from bench.report import goal, p95, row, scaled

GOALS = {"cpu_us_per_delivery": 40.0, "kib_per_socket": 40.0, "p95_ms": 300.0, "lost": 0}
_UNITS = {"cpu_us_per_delivery": "us", "kib_per_socket": "KiB", "p95_ms": "ms", "lost": "deliveries"}
SOCKETS = 2000
_OPEN_AT_ONCE = 50
_HEADER = 2


@dataclass(slots=True)
class Tally:
    """What all sockets together have seen."""

    latencies: list[float] = field(default_factory=list)
    deliveries: int = 0
    payload_bytes: int = 0
    merged: int = 0
    lost: int = 0
    closed: int = 0


class Socket(asyncio.Protocol):
    """A raw client: it costs little enough for thousands of them on the machine that is measured."""

    __slots__ = ("buffer", "ready", "seq", "subscribed", "tally", "tick", "transport", "upgraded", "user")

    def __init__(self, user: int, tally: Tally) -> None:
        self.user, self.tally = user, tally
        self.buffer = b""
        self.upgraded = False
        self.tick = -1
        self.seq = 0
        self.subscribed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.transport: Any = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        host, port = self.transport.get_extra_info("peername")[:2]
        key = base64.b64encode(os.urandom(16)).decode()
        self.transport.write(
            f"GET /ws/live/ HTTP/1.1\r\nHost: {host}:{port}\r\nOrigin: http://{host}:{port}\r\nCookie: user={self.user}\r\n"
            f"Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        if not self.upgraded:
            head, found, rest = self.buffer.partition(b"\r\n\r\n")
            if not found:
                return
            if b" 101 " not in head.split(b"\r\n", 1)[0]:
                self.subscribed.set_exception(ConnectionError(head.decode("latin-1")))
                return
            self.upgraded, self.buffer = True, rest
            self.send({"type": "hello", "proto": 1})
            self.send({"type": "sub", "id": "v", "view": "bench.fanout", "params": {}})
        while self._frame():
            pass

    def connection_lost(self, exc: Exception | None) -> None:
        self.tally.closed += 1

    def send(self, message: dict[str, Any], opcode: int = 1) -> None:
        self.write(orjson.dumps(message), opcode)

    def write(self, payload: bytes, opcode: int) -> None:
        # A mask of zeros is a mask; the payloads stay below 126 bytes.
        self.transport.write(bytes((0x80 | opcode, 0x80 | len(payload))) + b"\0\0\0\0" + payload)

    def _frame(self) -> bool:
        buffer = self.buffer
        if len(buffer) < _HEADER:
            return False
        length, start = buffer[1] & 0x7F, _HEADER
        if length == 126:
            length, start = int.from_bytes(buffer[2:4]), 4
        elif length == 127:
            length, start = struct.unpack("!Q", buffer[2:10])[0], 10
        if len(buffer) < start + length:
            return False
        payload, self.buffer = buffer[start : start + length], buffer[start + length :]
        opcode = buffer[0] & 0x0F
        if opcode == 9:
            self.write(payload, 10)
        elif opcode == 1:
            data = orjson.loads(payload)
            for message in data if isinstance(data, list) else [data]:
                self._take(message, length)
        return True

    def _take(self, message: dict[str, Any], size: int) -> None:
        if message["type"] == "snap":
            self.seq = message["s"]
            if not self.subscribed.done():
                self.subscribed.set_result(None)
        elif message["type"] == "d":
            now = time.time()
            if message["ps"] != self.seq:
                self.tally.lost += 1
            self.tally.merged += message["s"] - message["ps"] - 1
            self.seq = message["s"]
            for key, mask, *values in message["rows"]:
                if key == "0" and mask & 8:
                    self.tick = values[0]
            self.tally.deliveries += 1
            self.tally.payload_bytes += size
            self.tally.latencies.append(now - message["ts"])


async def load(port: int, pid: int, sockets: int, seconds: int) -> dict[str, Any]:
    """Open the sockets, publish once a second, and say what it cost."""
    from bench import fanout_app
    from ops_portal.lib.live import publish, views

    key = views.key_for(fanout_app.VIEW, {}, "all")
    server, tally = psutil.Process(pid), Tally()
    loop = asyncio.get_running_loop()
    warm = await _open(port, range(20), tally)  # first sockets pay for imports and caches
    await asyncio.sleep(2)
    idle_memory = server.memory_full_info().uss
    cpu = _cpu(server)
    everybody = warm + await _open(port, range(20, sockets + 20), tally)
    accept_cpu = _cpu(server) - cpu
    await asyncio.sleep(3)
    memory = server.memory_full_info().uss
    gc.disable()  # the generator's own pauses are not the server's latency
    tally.latencies.clear()
    tally.deliveries = tally.payload_bytes = 0
    cpu, started = _cpu(server), time.monotonic()
    last = 0
    for tick in range(1, seconds + 1):
        await asyncio.sleep(max(0.0, started + tick - time.monotonic()))
        snapshot = fanout_app.rows_at(tick, time.time())
        await loop.run_in_executor(None, publish.publish, key, snapshot)
        last = tick
    end = time.monotonic() + 10
    while time.monotonic() < end and any(socket.tick != last for socket in everybody):
        await asyncio.sleep(0.05)
    cpu = _cpu(server) - cpu
    behind = sum(socket.tick != last for socket in everybody)
    loaded_memory = server.memory_full_info().uss
    latencies = sorted(tally.latencies)
    figures = {
        "sockets": len(everybody),
        "seconds": seconds,
        "deliveries": tally.deliveries,
        "bytes_per_delivery": round(tally.payload_bytes / max(1, tally.deliveries)),
        "merged": tally.merged,
        "lost": tally.lost + behind,
        "closed": tally.closed,
        "cpu_us_per_delivery": round(cpu / max(1, tally.deliveries) * 1e6, 1),
        "cpu_share": round(cpu / (time.monotonic() - started), 3),
        "accept_cpu_ms": round(accept_cpu / sockets * 1e3, 2),
        "kib_per_socket": round((memory - idle_memory) / sockets / 1024, 1),
        "kib_per_socket_loaded": round((loaded_memory - idle_memory) / sockets / 1024, 1),
        "p50_ms": round(latencies[len(latencies) // 2] * 1e3, 1),
        "p95_ms": round(p95(latencies) * 1e3, 1),
        "max_ms": round(latencies[-1] * 1e3, 1),
    }
    goals = {name: goal(float(figures[name]), limit, _UNITS[name]) for name, limit in GOALS.items()}
    return row("live fan-out", goals, figures)


async def _open(port: int, users: range, tally: Tally) -> list[Socket]:
    loop = asyncio.get_running_loop()
    gate = asyncio.Semaphore(_OPEN_AT_ONCE)

    async def one(user: int) -> Socket:
        async with gate:
            _, socket = await loop.create_connection(lambda: Socket(user, tally), "127.0.0.1", port)
            async with asyncio.timeout(30):
                await socket.subscribed
            return socket

    return await asyncio.gather(*(one(user) for user in users))


def _cpu(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--sockets", type=int, default=0, help="default 2,000, times BENCH_SCALE")
    parser.add_argument("--seconds", type=int, default=30)
    options = parser.parse_args()
    sockets = options.sockets or scaled(SOCKETS)

    var = Path(tempfile.mkdtemp(prefix="ops-portal-bench-"))
    for name in ("DATABASE_URL", "VALKEY_URL"):
        os.environ.pop(name, None)
    os.environ |= {"PORTAL_VAR": str(var), "DEPLOYMENT_ID": f"bench-{os.getpid()}"}
    os.environ["DJANGO_SETTINGS_MODULE"] = "ops_portal.settings.base"

    from ops_portal.lib import embedded, portal, processes
    from ops_portal.lib.kafka_runner import free_ports

    (port,) = free_ports(1)
    servers = embedded.RunningServers(var)
    argv = [word.replace("ops_portal.asgi:", "bench.fanout_app:") for word in portal.web_argv("127.0.0.1", port)]
    try:
        servers.start(durable=False)
        web = processes.spawn(argv, log=var / "log" / "web.log", env=dict(os.environ))
        servers.children.append((web, signal.SIGTERM))
        if not processes.wait_until(
            lambda: web.poll() is not None or portal._web_answers("127.0.0.1", port), seconds=40
        ):
            raise SystemExit(f"The web process does not answer; see {var}/log/web.log.")

        import bench.fanout_app  # noqa: F401 - loads the portal in this process, which publishes

        report = asyncio.run(load(port, web.pid, sockets, options.seconds))
    finally:
        servers.stop()
        shutil.rmtree(var, ignore_errors=True)
    report["reduced"] = sockets < SOCKETS
    print(json.dumps(report, indent=2))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
