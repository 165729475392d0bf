"""500 TLS listeners probed at once: `python -m bench.certificates`.

Half speak TLS 1.3, half TLS 1.2; half demand a client certificate. They live in a process of their own on this machine, so both
ends of every handshake are paid for here.
"""

import asyncio
import json
import ssl
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench.report import goal, p95, row, scaled, spread

LISTENERS = 500
RUNS = 3


def measure() -> dict[str, Any]:
    """The row of the table."""
    from clusters.gateways.tls import ClientAuth, Target, probe_all
    from ops_portal.lib.resilience import Deadline

    count = scaled(LISTENERS, least=20)
    walls: list[float] = []
    each: list[float] = []
    wrong = 0
    with tempfile.TemporaryDirectory() as place:
        server = subprocess.Popen(
            [sys.executable, "-m", "bench.certificates", "serve", str(count), place], stdout=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            ports = [int(word) for word in server.stdout.readline().split()]
            targets = [Target("127.0.0.1", port, name=f"broker-{number}.example") for number, port in enumerate(ports)]
            for _ in range(RUNS):
                started = time.perf_counter()
                found = probe_all(targets, Deadline.after(60))
                walls.append(time.perf_counter() - started)
                for number, target in enumerate(targets):
                    (seen,) = found[target]
                    wanted = ClientAuth.REQUIRED if number % 2 else ClientAuth.NONE
                    wrong += len(seen.chain) != 2 or seen.client_auth is not wanted
                    each.append(seen.seconds)
        finally:
            server.kill()
            server.wait()
    return row(
        f"{count} certificate probes",
        {
            "wall_seconds": goal(round(max(walls), 2), 30.0, "s"),
            "wrong_answers": goal(wrong, 0, "probes"),
        },
        {"wall": spread(walls, 2), "probe_p95_seconds": round(p95(each), 3), "listeners": count, "trials": RUNS},
    )


def _context(place: Path, *, version: ssl.TLSVersion, demand: bool) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(place / "chain.pem")
    context.minimum_version = context.maximum_version = version
    if demand:
        context.verify_mode = ssl.CERT_REQUIRED
        context.load_verify_locations(place / "root.pem")
    return context


async def _serve(count: int, place: Path) -> None:
    from tests.clusters.certificates.make import authority, leaf, root

    top = root(kind="rsa2048", number=0)
    low = authority(top, kind="rsa2048", number=1)
    own = leaf(low, kind="rsa2048", number=2)
    (place / "chain.pem").write_bytes(own.key_pem + own.pem + low.pem)
    (place / "root.pem").write_bytes(top.pem)
    versions = (ssl.TLSVersion.TLSv1_3, ssl.TLSVersion.TLSv1_2)
    contexts = [
        _context(place, version=versions[number // 2 % 2], demand=bool(number % 2)) for number in range(min(count, 4))
    ]

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.read(4096)
            writer.write(b"\0\0\0\6\0\0\0\1\0\0")
            await writer.drain()
        except OSError:
            pass  # the probe has gone: that is what it does
        finally:
            writer.close()

    servers = [
        await asyncio.start_server(answer, "127.0.0.1", 0, ssl=contexts[number % len(contexts)])
        for number in range(count)
    ]
    sys.stdout.write(" ".join(str(one.sockets[0].getsockname()[1]) for one in servers) + "\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    if sys.argv[1:2] == ["serve"]:
        asyncio.run(_serve(int(sys.argv[2]), Path(sys.argv[3])))
    else:
        sys.stdout.write(json.dumps(measure()) + "\n")
