"""A cluster with one source of a kind that the test itself answers."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import pytest

from clusters import sources
from clusters.models import Cluster, Source
from clusters.sources import Outcome, Poll
from ops_portal.lib.database import database_clock

KIND = "probe"


@dataclass
class Probe:
    """The source under test; `answer` is what its handler does."""

    source: Source
    polls: list[Poll] = field(default_factory=list)
    answer: Callable[[Poll], Outcome] = lambda poll: Outcome()

    def handle(self, poll: Poll) -> Outcome:
        self.polls.append(poll)
        return self.answer(poll)

    def slot(self, offset: int = 0) -> int:
        """The slot that is now."""
        return int(database_clock().now() // self.source.period_seconds) + offset

    def fresh(self) -> Source:
        return Source.objects.get(pk=self.source.pk)

    def free_slot(self) -> int:
        """The slot that is now, claimable again whatever ran in it."""
        Source.objects.filter(pk=self.source.pk).update(claimed_slot=-1)
        self.source.runs.filter(slot=self.slot()).delete()
        return self.slot()


@pytest.fixture
def probe(request: pytest.FixtureRequest) -> Iterator[Probe]:
    """Needs `db` or `transactional_db` from the test."""
    cluster = Cluster.objects.create(name="northgate", bootstrap="127.0.0.1:1")
    made = Probe(Source.objects.create(cluster=cluster, kind=KIND, period_seconds=60))
    sources.register(KIND, made.handle, lambda: 60)
    yield made
    sources.unregister(KIND)
