"""How measurements are judged and told; the measurements themselves are `make bench`."""

import os
import subprocess
import sys

import pytest

from bench.report import goal, p95, row, spread
from bench.table import table


def _document(*, reduced: bool) -> dict[str, object]:
    machine = dict.fromkeys(
        ("cpu", "system", "python", "java", "confluent_kafka", "postgresql", "valkey", "chromium"), "some"
    )
    return {
        "reduced": reduced,
        "machine": machine | {"cores": 2, "memory_gb": 8.0},
        "rows": {"lag": row("one lag cycle", {"wall_seconds": goal(0.9, 1.2, "s")}, {"load_average_before": [0.1]})},
    }


def test_a_goal_is_met_on_its_own_side_only() -> None:
    assert goal(1.2, 1.2, "s")["met"]
    assert not goal(1.21, 1.2, "s")["met"]
    assert goal(6.0, 6, "times", at_least=True)["met"]
    assert not goal(5.9, 6, "times", at_least=True)["met"]


def test_what_was_not_measured_meets_no_goal() -> None:
    assert not goal(None, 1.2, "s")["met"]
    assert not row("lag", {"one": goal(1, 2, "s"), "other": goal(None, 2, "s")}, {})["met"]


def test_the_95th_percentile_is_a_value_that_was_measured() -> None:
    assert p95([float(value) for value in range(1, 101)]) == 95.0
    assert p95([3.0]) == 3.0
    assert spread([2.0, 1.0, 9.0]) == {"median": 2.0, "min": 1.0, "max": 9.0, "n": 3}


def test_a_table_names_figure_goal_and_load() -> None:
    assert "| `lag` | 0.1 | wall seconds | 0.9 s | at most 1.2 s | yes |" in table(_document(reduced=False))


def test_a_reduced_document_is_not_quoted() -> None:
    with pytest.raises(ValueError, match="reduced"):
        table(_document(reduced=True))


def test_an_unknown_row_is_refused_by_name() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "bench"],
        env=os.environ | {"BENCH_ONLY": "lag,latency"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 2
    assert "latency" in done.stderr
