"""The Celery app; queues and schedule are in the settings, processes in docs/operations.md."""

import gc
import logging
import os
import threading
import time
from datetime import UTC, datetime
from typing import Any

import redis
import structlog
from celery import Celery
from celery.signals import beat_init, setup_logging, task_postrun, task_prerun, task_received, worker_init, worker_ready
from celery.worker import state

from ops_portal.lib.watchdog import Deafness, leave

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ops_portal.settings.base")

app = Celery("ops_portal")
app.config_from_object("django.conf:settings", namespace="CELERY")
app.autodiscover_tasks()

logger = logging.getLogger(__name__)
_WATCH_SECONDS = 5.0
_received = threading.Event()


@setup_logging.connect
def keep_log_settings(**_: Any) -> None:
    """Being connected is enough: Celery then leaves logging as Django has set it."""


@task_prerun.connect
def bind_task(*, task_id: str, task: Any, **_: Any) -> None:
    """Name the task in its log lines."""
    structlog.contextvars.bind_contextvars(task=task.name, task_id=task_id)


@task_postrun.connect
def unbind_task(**_: Any) -> None:
    structlog.contextvars.unbind_contextvars("task", "task_id")


@beat_init.connect
def run_all_at_start(*, sender: Any, **_: Any) -> None:
    """Everything scheduled is due at once: beat remembers nothing, and a job of every ten minutes should not wait that long."""
    for entry in sender.scheduler.schedule.values():
        entry.last_run_at = datetime(2000, 1, 1, tzinfo=UTC)


@task_received.connect
def note_received(**_: Any) -> None:
    _received.set()


@worker_init.connect
def collect_cycles_seldom(**_: Any) -> None:
    """A poll of a large cluster makes hundreds of thousands of objects, none of them in a cycle: by default, looking for
    cycles among them took a quarter of its CPU time."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(100_000, 10, 10)


@worker_ready.connect
def watch_for_deafness(*, sender: Any, **_: Any) -> None:
    """A worker can lose its broker and stay alive, consuming nothing; then it ends itself and is started again."""
    queues = [f"{_key_prefix()}{name}" for name in sender.app.amqp.queues.consume_from]
    threading.Thread(target=_watch, args=(queues,), name="deafness", daemon=True).start()


def _watch(queues: list[str]) -> None:
    from django.conf import settings

    deafness = Deafness()
    with redis.Redis.from_url(settings.VALKEY, socket_timeout=2, socket_connect_timeout=2) as client:
        while True:
            time.sleep(_WATCH_SECONDS)
            busy = _received.is_set() or bool(state.reserved_requests) or bool(state.active_requests)
            _received.clear()
            if deafness.observe(now=time.monotonic(), waiting=_waiting(client, queues), busy=busy):
                leave("messages wait in this worker's queues and it takes none")


def _waiting(client: redis.Redis, queues: list[str]) -> int:
    try:
        return sum(int(client.llen(queue)) for queue in queues)
    except redis.RedisError:
        return 0  # nobody can work without the broker; ending would not help


def _key_prefix() -> str:
    return str(app.conf.broker_transport_options.get("global_keyprefix", ""))
