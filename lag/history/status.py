"""How the jobs of history fare, for the status page: a failure shows there until the job succeeds again."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.db.models.functions import Coalesce, Now

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
        raise
    row.update(error="", failing_since=None, last_success_at=Now(), counts=counts)
