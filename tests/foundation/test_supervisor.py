"""The supervisor keeps its children running and leaves nothing behind."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import textwrap
import time
from collections import namedtuple
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from ops_portal.lib import logfiles, portal, rundir, supervisor
from ops_portal.lib.processes import wait_until
from ops_portal.lib.supervisor import Child, StartRefused, StopRequested, Supervisor

SLEEPER = Path(__file__).with_name("sleeper.py")
ROOT = Path(__file__).resolve().parents[2]


_WAIT_FOR_ANOTHER = """
import sys, time
while open(sys.argv[1]).read() in {"", sys.argv[2]}:
    time.sleep(0.05)
"""


@pytest.fixture
def var() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="ops-portal-supervisor-"))
    yield directory
    shutil.rmtree(directory)


def sleeper(var: Path, name: str = "sleeper", *words: str) -> Child:
    path = var / f"{name}.started"
    return Child(name, [sys.executable, SLEEPER, path, *words], ready=path.exists, ready_text=f"{name} is up")


def alive(pid: int | None) -> bool:
    if pid is None:
        return False
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def tend_until(found: Supervisor, condition: Callable[[], bool]) -> None:
    """Let the supervisor do its rounds until `condition` holds."""

    def round_() -> bool:
        found._tend()
        return condition()

    assert wait_until(round_, seconds=20)


def test_children_start_in_order_and_are_gone_when_the_block_ends(var: Path) -> None:
    said: list[str] = []
    with Supervisor(var, say=said.append) as found:
        found.start([sleeper(var, "one")])
        found.start([sleeper(var, "two")])
        pids = [rundir.child_pid(var, name) for name in ("one", "two")]
        assert all(alive(pid) for pid in pids)
    assert not any(alive(pid) for pid in pids)
    assert [line.split(" s  ")[1] for line in said] == ["one is up", "two is up"]
    assert rundir.child_pid(var, "one") is None


def test_a_child_that_ends_is_started_again_and_the_person_is_told(var: Path) -> None:
    said: list[str] = []
    with Supervisor(var, say=said.append) as found:
        found.start([sleeper(var)])
        first = rundir.child_pid(var, "sleeper")
        assert first is not None
        os.kill(first, signal.SIGKILL)
        tend_until(found, lambda: rundir.child_pid(var, "sleeper") not in {first, None})
    assert any("sleeper was ended by SIGKILL; starting it again in 0.5 s." in line for line in said)


def test_a_child_that_keeps_ending_waits_twice_as_long_each_time(var: Path) -> None:
    said: list[str] = []
    with Supervisor(var, say=said.append) as found:
        found.start([Child("brief", [sys.executable, "-S", "-c", "raise SystemExit(3)"])])
        tend_until(found, lambda: sum("ended with code 3" in line for line in said) == 3)
    delays = [line.rpartition("in ")[2] for line in said if "ended with code 3" in line]
    assert delays == ["0.5 s.", "1 s.", "2 s."]


def test_a_held_child_is_killed_and_stays_down_until_it_is_released(var: Path) -> None:
    with Supervisor(var, say=lambda _: None) as found:
        found.start([sleeper(var)])
        first = rundir.child_pid(var, "sleeper")
        rundir.hold(var, "sleeper")
        tend_until(found, lambda: rundir.child_pid(var, "sleeper") is None)
        assert not alive(first)
        for _ in range(5):
            found._tend()
        assert rundir.child_pid(var, "sleeper") is None
        rundir.release(var, "sleeper")
        tend_until(found, lambda: alive(rundir.child_pid(var, "sleeper")))


def test_a_child_that_ignores_the_request_is_killed(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(supervisor._GRACE_SECONDS, supervisor.PORTAL, 0.3)
    with Supervisor(var, say=lambda _: None) as found:
        found.start([sleeper(var, "stubborn", "ignore")])
        pid = rundir.child_pid(var, "stubborn")
    assert not alive(pid)


def test_grace_leaves_room_in_ten_seconds() -> None:
    assert sum(supervisor._GRACE_SECONDS.values()) + 1 < 10


def _await_stop(found: Supervisor) -> None:
    """Python runs a signal's handler some time after the signal."""
    while True:
        found.check_stop()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_during_the_start_stops_what_runs_and_is_no_failure(var: Path, number: signal.Signals) -> None:
    pids: list[int | None] = []
    ours = signal.signal(number, signal.SIG_DFL)  # under nohup a hang-up is ignored, by the supervisor too
    try:
        with Supervisor(var, say=lambda _: None) as found:
            found.start([sleeper(var)])
            pids.append(rundir.child_pid(var, "sleeper"))
            os.kill(os.getpid(), number)
            with pytest.raises(StopRequested):
                _await_stop(found)
            found.start([Child("never", [sys.executable, SLEEPER, var / "x"], ready=lambda: False)])
            raise AssertionError("the start went on")
        assert not alive(pids[0])
        assert signal.getsignal(number) is signal.SIG_DFL
    finally:
        signal.signal(number, ours)


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells children of their parent's end")
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
def test_no_orphan_stays_when_the_supervisor_is_ended(var: Path, number: signal.Signals) -> None:
    script = textwrap.dedent(
        f"""
        import sys
        from pathlib import Path
        from ops_portal.lib.supervisor import Child, Supervisor
        var = Path({str(var)!r})
        with Supervisor(var) as found:
            found.start([Child("child", [sys.executable, {str(SLEEPER)!r}, var / "child.started"], ready=(var / "child.started").exists)])
            (var / "ready").touch()
            found.supervise()
        """
    )
    process = subprocess.Popen([sys.executable, "-c", script], cwd=ROOT, stdout=subprocess.DEVNULL)
    assert wait_until((var / "ready").exists, seconds=30)
    pid = rundir.child_pid(var, "child")
    assert alive(pid)
    process.send_signal(number)
    code = process.wait(10)
    assert wait_until(lambda: not alive(pid), seconds=5)
    assert code == (-signal.SIGKILL if number == signal.SIGKILL else 0)


def test_a_second_supervisor_on_the_same_data_is_refused_with_one_sentence(var: Path) -> None:
    with (
        Supervisor(var),
        pytest.raises(
            StartRefused, match=rf"^A portal already runs on .* \(process {os.getpid()}\); stop it first, or"
        ),
        Supervisor(var),
    ):
        raise AssertionError("the second one started")


def test_a_second_start_on_the_same_data_works_after_the_first_ended(var: Path) -> None:
    for _ in range(2):
        with Supervisor(var, say=lambda _: None) as found:
            found.start([sleeper(var)])
    assert (var / "log" / "sleeper.log").exists()


def test_a_full_disk_is_one_sentence(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 400 * 2**20))
    with pytest.raises(StartRefused, match=r"^Only 400 MB are free at .*; the portal needs 500 MB\.$"), Supervisor(var):
        raise AssertionError("it started")


def test_a_disk_that_fills_up_while_running_is_told_once(var: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    said: list[str] = []
    usage = namedtuple("usage", "total used free")
    with Supervisor(var, say=said.append) as found:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 2**20))
        found._keep_house()
        found._keep_house()
    assert [line.split(" s  ")[1].partition(":")[0] for line in said] == [f"Only 1 MB are free at {var}"]


def test_a_child_that_ends_at_start_is_told_with_its_last_line(var: Path) -> None:
    words = [sys.executable, "-c", "print('first'); raise SystemExit('no such table')"]
    with (
        Supervisor(var) as found,
        pytest.raises(StartRefused, match=r"^web ended at start: no such table \(all of it in .*web\.log\)\.$"),
    ):
        found.start([Child("web", words, ready=lambda: False)])


def test_a_program_that_is_missing_is_told(var: Path) -> None:
    with (
        Supervisor(var) as found,
        pytest.raises(StartRefused, match=r"^java cannot be started: No such file or directory"),
    ):
        found.start([Child("java", ["/nowhere/java"])])


def test_a_step_returns_its_output_and_a_failing_one_its_last_line(var: Path) -> None:
    said: list[str] = []
    with Supervisor(var, say=said.append) as found:
        assert found.step("Done", [sys.executable, "-c", "print('told')"]) == "told\n"
        with pytest.raises(StartRefused, match=r"failed: it broke \(all of it in .*setup\.log\)\.$"):
            found.step("Never said", [sys.executable, "-c", "raise SystemExit('it broke')"])
    assert [line.split(" s  ")[1] for line in said] == ["Done"]


def test_a_step_that_takes_too_long_is_ended(var: Path) -> None:
    with Supervisor(var) as found, pytest.raises(StartRefused, match="did not end in time"):
        found.step("Never said", [sys.executable, SLEEPER, var / "step"], seconds=0.5)
    assert not alive(int((var / "step").read_text())) if (var / "step").exists() else True


def test_what_runs_already_is_kept_up_during_a_step(var: Path) -> None:
    with Supervisor(var, say=lambda _: None) as found:
        found.start([sleeper(var)])
        first = rundir.child_pid(var, "sleeper")
        assert first is not None
        step = found.begin("wait", [sys.executable, "-c", _WAIT_FOR_ANOTHER, var / "sleeper.started", str(first)])
        os.kill(first, signal.SIGKILL)
        found.finish(step)
        assert alive(rundir.child_pid(var, "sleeper"))


def test_logs_are_numbered_at_the_start_and_the_oldest_goes(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    for number in range(7):
        log.write_text(str(number))
        logfiles.rotate(log)
    kept = {path.name: path.read_text() for path in tmp_path.iterdir()}
    assert kept == {"web.log.1": "6", "web.log.2": "5", "web.log.3": "4", "web.log.4": "3", "web.log.5": "2"}


def test_a_log_that_grows_too_long_is_cut_under_its_writer_without_losing_a_line(tmp_path: Path) -> None:
    log = tmp_path / "web.log"
    with log.open("ab", buffering=0) as writer:
        writer.write(b"a long line of text\n")
        logfiles.cut_when_long(log, limit_bytes=10)
        writer.write(b"next\n")
    assert log.read_text() == "next\n"
    assert log.with_name("web.log.1").read_text() == "a long line of text\n"
    assert logfiles.last_line(log) == "next"
    assert logfiles.last_line(tmp_path / "missing.log") == "it printed nothing"


def test_a_port_in_use_is_one_sentence() -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(StartRefused, match=rf"^Port {port} on 127\.0\.0\.1 is in use .* with PORT=\.$"):
            portal.refuse_taken_port("127.0.0.1", port)
    portal.refuse_taken_port("127.0.0.1", port)


def test_time_since_the_start_stands_before_every_line(var: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with Supervisor(var) as found:
        found._began = time.monotonic() - 12.34
        found.say("Kafka is up")
    assert capsys.readouterr().out == "  12.3 s  Kafka is up\n"
