"""Celery: every task has a name, a limit and a worker that takes it; a restarted beat and a deaf worker do no harm."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import redis
from celery.app.task import Task
from celery.schedules import schedule
from django.conf import settings

from ops_portal import celery as glue
from ops_portal.celery import app
from ops_portal.lib import portal
from ops_portal.lib.processes import wait_until

ROOT = Path(__file__).resolve().parents[2]
APPS = ("accounts", "clusters", "lag", "incidents", "billing")


def own_tasks() -> dict[str, Task[Any, Any]]:
    app.loader.import_default_modules()
    return {name: task for name, task in app.tasks.items() if type(task).__module__.partition(".")[0] in APPS}


def queue_of(task: str) -> str:
    return str(app.amqp.router.route({}, task)["queue"].name)


def test_every_task_is_named_after_its_app() -> None:
    tasks = own_tasks()
    assert tasks
    for name, task in tasks.items():
        assert name.partition(".")[0] == type(task).__module__.partition(".")[0], name
        assert ".tasks" not in name, f"{name} has no explicit name"


def test_every_task_is_bounded() -> None:
    """By a time limit where the pool can enforce one; what runs in threads is bounded by deadlines and the watchdog."""
    assert (
        app.conf.task_soft_time_limit
        < app.conf.task_time_limit
        < app.conf.broker_transport_options["visibility_timeout"]
    )
    for name, task in own_tasks().items():
        if queue_of(name) != "poll":
            limit = task.time_limit or app.conf.task_time_limit
            soft = task.soft_time_limit or app.conf.task_soft_time_limit
            assert 0 < soft < limit <= app.conf.task_time_limit, name


def test_what_is_scheduled_exists_and_every_queue_has_a_worker() -> None:
    tasks = own_tasks()
    assert {entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()} <= set(tasks)
    consumed: set[str] = set()
    for child in portal.portal_children("127.0.0.1", 8000):
        words = [str(word) for word in child.argv]
        if "-Q" in words:
            consumed |= set(words[words.index("-Q") + 1].split(","))
    assert {queue_of(name) for name in tasks} <= consumed


def test_a_restarted_beat_runs_everything_at_once() -> None:
    from celery.beat import ScheduleEntry

    entry = ScheduleEntry(name="keep", task="x", schedule=schedule(timedelta(minutes=10), app=app), app=app)
    assert not entry.is_due()[0]
    glue.run_all_at_start(sender=SimpleNamespace(scheduler=SimpleNamespace(schedule={"keep": entry})))
    assert entry.last_run_at == datetime(2000, 1, 1, tzinfo=UTC)
    assert entry.is_due()[0]


def test_messages_that_wait_are_counted_where_celery_puts_them(valkey: redis.Redis) -> None:
    queue = "probe"
    app.send_task("nowhere.task", queue=queue)
    assert glue._waiting(valkey, [f"{glue._key_prefix()}{queue}"]) == 1


def test_without_the_broker_nothing_counts_as_waiting() -> None:
    with redis.Redis.from_url("unix:///nowhere.sock") as gone:
        assert glue._waiting(gone, ["poll"]) == 0


@pytest.fixture
def worker(process_env: dict[str, str], tmp_path: Path) -> Iterator[Any]:
    """The real poll worker of this test's own broker keys, as the supervisor starts it."""
    (child,) = [one for one in portal.portal_children("127.0.0.1", 8000) if one.name == "worker-poll"]
    log = tmp_path / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [str(word) for word in child.argv], cwd=ROOT, env=process_env, stdout=output, stderr=subprocess.STDOUT
        )
    assert wait_until(lambda: "ready." in log.read_text() or process.poll() is not None, seconds=60)
    yield SimpleNamespace(process=process, log=log)
    if process.poll() is None:
        process.kill()
    process.wait(10)


def test_the_poll_worker_takes_its_messages_and_ends_on_request(worker: Any, valkey: redis.Redis) -> None:
    assert worker.process.poll() is None, worker.log.read_text()
    app.send_task("clusters.enqueue_due_sources")
    key = f"{glue._key_prefix()}poll"
    assert wait_until(lambda: glue._waiting(valkey, [key]) == 0, seconds=20)
    worker.process.send_signal(signal.SIGTERM)
    assert worker.process.wait(20) == 0


def test_log_lines_of_a_worker_are_the_portal_s_own(process_env: dict[str, str]) -> None:
    """Celery would put its own handlers in place, and with them what the redaction leaves out."""
    script = "import ops_portal.celery as c, logging; c.app.log.setup(); print([type(h.formatter).__name__ for h in logging.root.handlers])"
    done = subprocess.run(
        [sys.executable, "-c", f"import django; django.setup(); {script}"],
        cwd=ROOT,
        env=process_env | {"PYTHONPATH": str(ROOT), "PATH": os.environ["PATH"]},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "['ProcessorFormatter']"
