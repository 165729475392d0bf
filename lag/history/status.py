"""How the jobs of history fare, for the status page: a failure shows there, and as a finding, until the job succeeds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models.functions import Coalesce, Now

from clusters.services.findings import finding_close, finding_open
from lag.models import HistoryStatus


@contextmanager
def watched(job: str) -> Iterator[dict[str, Any]]:
    """Note success with the job's counts, or its error, which goes on to the caller."""
    counts: dict[str, Any] = {}
    HistoryStatus.objects.get_or_create(job=job)
    row = HistoryStatus.objects.filter(job=job)
    try:
        yield counts
    except Exception as error:
        text = f"{type(error).__name__}: {error}".splitlines()[0][:500]
        row.update(error=text, failing_since=Coalesce("failing_since", Now()))
        finding_open(
            dedupe_key=f"history:{job}",
            kind="history_failing",
            severity="warning",
            entity=f"history {job}",
            title=f"Keeping history fails: {job.replace('_', ' ')}",
            reason=text,
        )
        raise
    finding_close(dedupe_key=f"history:{job}")
    row.update(error="", failing_since=None, last_success_at=Now(), counts=counts)
