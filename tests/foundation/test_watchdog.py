"""A process that no longer works ends itself."""

import os
import subprocess
import sys
import threading
from pathlib import Path

from ops_portal.lib.watchdog import EXIT_CODE, Deafness, Watchdog

ROOT = Path(__file__).resolve().parents[2]


def test_work_that_passes_its_limit_is_named() -> None:
    ended = threading.Event()
    said: list[str] = []

    def end(sentence: str) -> None:
        said.append(sentence)
        ended.set()

    with Watchdog(end=end, step_seconds=0.01).limit(0.02, "poll of eu-1"):
        assert ended.wait(10)
    assert said == ["poll of eu-1 did not end within 0.02 s"]


def test_work_that_ends_in_time_is_forgotten_also_when_it_raises() -> None:
    watchdog = Watchdog(end=lambda _: None, step_seconds=0.01)
    try:
        with watchdog.limit(60, "poll of eu-1"):
            assert len(watchdog._limits) == 1
            raise ValueError
    except ValueError:
        pass
    assert watchdog._limits == {}


def test_a_process_whose_thread_hangs_is_gone_with_its_own_exit_code() -> None:
    script = (
        "import threading\n"
        "from ops_portal.lib.watchdog import Watchdog\n"
        "with Watchdog(step_seconds=0.02).limit(0.05, 'poll of eu-1'):\n"
        "    threading.Lock().acquire(); threading.Event().wait()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        cwd=ROOT,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == EXIT_CODE
    assert "poll of eu-1 did not end within 0.05 s" in done.stderr
    assert "Thread" in done.stderr  # the stacks, to find out why


def test_an_idle_worker_is_deaf_only_after_messages_waited_the_whole_time() -> None:
    deafness = Deafness(seconds=60)
    assert not deafness.observe(now=0, waiting=5, busy=False)
    assert not deafness.observe(now=59, waiting=5, busy=False)
    assert not deafness.observe(now=61, waiting=5, busy=True), "it took one"
    assert not deafness.observe(now=62, waiting=5, busy=False)
    assert not deafness.observe(now=121, waiting=0, busy=False), "nothing waits"
    assert not deafness.observe(now=122, waiting=1, busy=False)
    assert deafness.observe(now=182, waiting=1, busy=False)
