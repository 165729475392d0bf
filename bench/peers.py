"""Other collectors on the same broker in the same run: Kafka's own tool always, kminion and kafka_exporter where given.

`KMINION=/path/to/kminion` and `KAFKA_EXPORTER=/path/to/kafka_exporter` name binaries; they are started on loopback with their
defaults and scraped. Their time includes rendering and sending the metrics, as a scrape does.
"""

import http.client
import os
import signal
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]  # has no types

from bench.report import note, spread
from bench.site import Site
from ops_portal.lib.kafka_runner import KafkaCluster, free_ports
from ops_portal.lib.processes import end_all, wait_until

TOOL_RUNS, SCRAPES = 3, 6
_SECONDS = 120


def consumer_groups(kafka: KafkaCluster) -> dict[str, Any]:
    """`kafka-consumer-groups --all-groups --describe`, from start to exit."""
    note("kafka-consumer-groups --all-groups --describe")
    walls, lines = [], 0
    for _ in range(TOOL_RUNS):
        started = time.monotonic()
        text = kafka.tool("consumer.group.ConsumerGroupCommand", "--all-groups", "--describe", timeout=_SECONDS)
        walls.append(time.monotonic() - started)
        lines = text.count("\n")
    return {"wall_seconds": spread(walls, 2), "lines": lines}


def kminion(site: Site, move: Callable[[], object]) -> dict[str, Any] | str:
    """A scrape of kminion with its defaults (adminApi), or `not_run`."""
    binary = os.environ.get("KMINION", "")
    if not binary:
        return "not_run"
    (port,) = free_ports(1)
    config = site.var / "kminion.yaml"
    config.write_text(
        f'logger: {{level: warn}}\nkafka: {{brokers: ["{site.kafka.bootstrap}"]}}\n'
        f'exporter: {{host: "127.0.0.1", port: {port}}}\n'
    )
    return _scraped("kminion", [binary], {"CONFIG_FILEPATH": str(config)}, port, site, move)


def kafka_exporter(site: Site, move: Callable[[], object]) -> dict[str, Any] | str:
    """One scrape of kafka_exporter with its defaults, its first since it listens, or `not_run`. It asks for tens of
    thousands of single offsets, so there is little to warm up and much to wait for."""
    binary = os.environ.get("KAFKA_EXPORTER", "")
    if not binary:
        return "not_run"
    (port,) = free_ports(1)
    argv = [binary, f"--kafka.server={site.kafka.bootstrap}", f"--web.listen-address=127.0.0.1:{port}"]
    return _scraped("kafka_exporter", argv, {}, port, site, move, warm_up=0, scrapes=1)


def _scraped(
    name: str,
    argv: list[str],
    env: dict[str, str],
    port: int,
    site: Site,
    move: Callable[[], object],
    *,
    warm_up: int = 1,
    scrapes: int = SCRAPES,
) -> dict[str, Any]:
    if not Path(argv[0]).is_file():
        return {"error": f"{argv[0]} is not a file"}
    note(f"scraping {name}")
    child = site.spawn(name, argv, env)
    try:
        if not wait_until(lambda: child.poll() is not None or _listens(port), seconds=60, step_seconds=0.2):
            return {"error": "does not listen after 60 s"}
        if child.poll() is not None:
            return {"error": f"ended with code {child.returncode}"}
        process, walls, cpu, size = psutil.Process(child.pid), [], [], 0
        for lap in range(warm_up + scrapes):
            move()
            before = sum(process.cpu_times()[:2])
            started = time.monotonic()
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=_SECONDS) as answer:
                size = len(answer.read())
            if lap >= warm_up:
                walls.append(time.monotonic() - started)
                cpu.append(sum(process.cpu_times()[:2]) - before)
        return {
            "wall_seconds": spread(walls, 2),
            "cpu_seconds": spread(cpu, 2),
            "rss_mb": round(process.memory_info().rss / 1e6),
            "bytes": size,
        }
    except (OSError, http.client.HTTPException) as error:
        return {"error": f"{type(error).__name__}: {error}"}
    finally:
        del site.children[name]
        end_all([(child, signal.SIGTERM)], grace_seconds=3)


def _listens(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
            return True
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False
