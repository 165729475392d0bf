"""`make bench`: every measurement of docs/performance.md, as one JSON document on standard output.

BENCH_SCALE (default 1) shrinks the sizes; below 1 the document says `"reduced": true` and may not be quoted. BENCH_ONLY takes
some of the rows: lag, write, fanout, pixel, board, refusals, health, health-page, certificates, demo.
KMINION and KAFKA_EXPORTER name binaries to measure beside.
"""

import json
import os
import random
import subprocess
import sys
import time
from collections.abc import Callable
from typing import Any

from bench.report import SCALE, load, machine, note

ROWS = ("lag", "write", "fanout", "pixel", "board", "refusals", "health", "health-page", "certificates", "demo")
ON_SITE = ("lag", "pixel", "board")  # these share one broker


def main() -> int:
    chosen = os.environ.get("BENCH_ONLY", "").replace(",", " ").split() or list(ROWS)
    if unknown := set(chosen) - set(ROWS):
        sys.stderr.write(f"BENCH_ONLY does not know {', '.join(sorted(unknown))}; it takes {', '.join(ROWS)}.\n")
        return 2
    random.seed(1)
    document: dict[str, Any] = {
        "benchmark": "ops-portal",
        "scale": SCALE,
        "reduced": SCALE < 1,
        "machine": machine(),
        "load_average_at_start": load(),
        "rows": {},
    }
    rows: dict[str, Any] = document["rows"]
    started = time.monotonic()
    if any(name in ON_SITE for name in chosen):
        _on_site(chosen, rows)
    for name in ("write", "fanout", "refusals", "health", "health-page", "certificates", "demo"):
        if name in chosen:
            _measure(rows, name, lambda name=name: _apart(name))  # type: ignore[misc]
    document["rows"] = {name: rows[name] for name in ROWS if name in rows}
    document["minutes"] = round((time.monotonic() - started) / 60, 1)
    document["met"] = all(row["met"] for row in rows.values())
    print(json.dumps(document, indent=2))
    return 1 if any("error" in row for row in rows.values()) else 0


def _on_site(chosen: list[str], rows: dict[str, Any]) -> None:
    from bench.site import Site

    try:
        with Site() as site:
            from bench import board, lag_cycle, pixel

            traffic = lag_cycle.prepare(site)
            if "lag" in chosen:
                _measure(rows, "lag", lambda: lag_cycle.measure(site, traffic))
            if "pixel" in chosen or "board" in chosen:
                with board.Served(site, traffic) as served:
                    if "pixel" in chosen:
                        _measure(rows, "pixel", lambda: pixel.measure(served))
                    if "board" in chosen:
                        _measure(rows, "board", lambda: board.measure(served))
    except Exception as error:  # noqa: BLE001 - the other rows are still worth having
        for name in ON_SITE:
            if name in chosen and name not in rows:
                rows[name] = _failed(error)


def _apart(name: str) -> dict[str, Any]:
    """A measurement with servers of its own, in a process of its own."""
    module = {
        "write": "write_path",
        "fanout": "fanout",
        "refusals": "refusals",
        "certificates": "certificates",
        "health": "health_cycle",
        "health-page": "health_page",
        "demo": "demo_start",
    }[name]
    done = subprocess.run(
        [sys.executable, "-m", f"bench.{module}"], stdout=subprocess.PIPE, timeout=1200, check=True, text=True
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def _measure(rows: dict[str, Any], name: str, measured: Callable[[], dict[str, Any]]) -> None:
    note(f"--- {name}, load average {load()[0]}")
    before, started = load(), time.monotonic()
    try:
        rows[name] = measured()
    except Exception as error:  # noqa: BLE001 - the other rows are still worth having
        rows[name] = _failed(error)
    rows[name] |= {"load_average_before": before, "took_seconds": round(time.monotonic() - started, 1)}
    note(f"{name}: {'met' if rows[name]['met'] else 'not met'}")


def _failed(error: Exception) -> dict[str, Any]:
    import traceback

    traceback.print_exception(error, file=sys.stderr)
    return {"met": False, "error": f"{type(error).__name__}: {error}"}


if __name__ == "__main__":
    raise SystemExit(main())
