"""Jobs of clusters: enqueue what is due, poll, prune."""

from functools import partial

from celery import shared_task
from django.conf import settings
from django.db import transaction

from clusters.services import certificates, health_history, load_tests, rejection_findings, rejections, runs, schedule

_ensured: list[bool] = []


@shared_task(name="clusters.enqueue_due_sources", ignore_result=True, max_retries=0)
def enqueue_due_sources() -> str:
    """Beat calls this each second; a second beat finds nothing left to send."""
    if not _ensured:  # kinds change with the code only, so once per process is enough
        schedule.sources_ensure()
        _ensured.append(True)
    count = schedule.sources_enqueue(send=_send)
    return f"{count} sources are due."


@shared_task(name="clusters.poll", ignore_result=True, max_retries=0, acks_late=False)
def poll(source_id: int, slot: int) -> str:
    """One slot of a source. Bounded by the run's deadline and the watchdog: time limits do nothing in a pool of threads."""
    return runs.source_run(source_id=source_id, slot=slot)


@shared_task(name="clusters.prune_poll_runs", ignore_result=True, max_retries=0)
def prune_poll_runs() -> str:
    return f"{schedule.poll_runs_prune()} runs were deleted."


@shared_task(name="clusters.settle_rejections", ignore_result=True, max_retries=0)
def settle_rejections() -> str:
    return f"{rejection_findings.rejection_findings_settle()} findings of refusals were closed."


@shared_task(name="clusters.prune_rejections", ignore_result=True, max_retries=0)
def prune_rejections() -> str:
    count = rejections.rejections_prune(
        minute_days=settings.HISTORY_MINUTE_DAYS, event_days=settings.HISTORY_EVENT_DAYS
    )
    return f"{count} rows of refusals were deleted."


@shared_task(name="clusters.keep_health_history", ignore_result=True, soft_time_limit=110, time_limit=120)
def keep_health_history() -> str:
    """Partitions ahead are made, those whose time is over are dropped."""
    return health_history.health_history_keep()


@shared_task(name="clusters.probe_listeners", ignore_result=True, max_retries=0)
def probe_listeners(listener_ids: list[int]) -> str:
    """A probe on demand, which `probe_request` has claimed."""
    return f"{certificates.listeners_probe(listener_ids=listener_ids)} listeners were probed."


def probe_soon(listener_id: int) -> None:
    """Send a probe that was claimed, once the claim is committed. Without the transport server the next poll does it."""
    send = partial(probe_listeners.apply_async, args=([listener_id],), retry=False)
    transaction.on_commit(send, robust=True)


@shared_task(name="clusters.read_load_test", ignore_result=True, max_retries=0, acks_late=False)
def read_load_test(pk: int) -> str:
    """The files of a load test, for as long as `load_test_read` allows."""
    return load_tests.load_test_read(pk=pk)


@shared_task(name="clusters.settle_load_tests", ignore_result=True, max_retries=0)
def settle_load_tests() -> str:
    return f"{load_tests.load_tests_settle()} readings of load tests were given up."


def send_load_test(pk: int) -> None:
    """Have a worker read it. Raises when the queue does not answer."""
    read_load_test.apply_async(args=(pk,), retry=False)


def _send(source_id: int, slot: int) -> None:
    poll.apply_async(args=(source_id, slot), retry=False)  # no waiting for a lost server: the next beat tries again
