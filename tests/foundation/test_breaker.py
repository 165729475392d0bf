"""The circuit breaker against a model that counts by hand."""

from hypothesis import given
from hypothesis import strategies as st

from ops_portal.lib.resilience import Breaker, BreakerState

LEASE = 25.0


class Model:
    """The rules in plain words: a list of outcomes, and the moment until which nothing is tried."""

    def __init__(self) -> None:
        self.outcomes: list[bool] = []
        self.closed_until: float | None = None  # nothing before this; None = closed breaker

    def admits(self, now: float) -> bool:
        return self.closed_until is None or now >= self.closed_until

    def start(self, now: float) -> None:
        if self.closed_until is not None:
            self.closed_until = now + LEASE

    def end(self, now: float, good: bool) -> None:
        if self.closed_until is not None:
            self.outcomes = []
            self.closed_until = None if good else now + 30
            return
        self.outcomes = [*self.outcomes, good][-10:]
        failed = self.outcomes.count(False)
        if not good and failed >= 5 and failed * 2 >= len(self.outcomes):
            self.outcomes, self.closed_until = [], now + 30


# (seconds since the step before, whether the try succeeds, whether it ends at all)
steps = st.lists(st.tuples(st.floats(0, 40), st.booleans(), st.sampled_from([True, True, True, False])), max_size=80)


@given(steps)
def test_follows_the_model(plan: list[tuple[float, bool, bool]]) -> None:
    breaker, model, now = Breaker(), Model(), 1000.0
    for pause, good, ends in plan:
        now += pause
        assert breaker.admits(now) == model.admits(now)
        if not breaker.admits(now):
            continue
        breaker = breaker.started(now, lease_seconds=LEASE)
        model.start(now)
        if ends:
            now += 1
            breaker = breaker.ended(now, good=good)
            model.end(now, good)
        assert (breaker.state is BreakerState.CLOSED) == (model.closed_until is None)
        assert breaker.outcomes.count("-") == model.outcomes.count(False)


def test_one_probe_at_a_time() -> None:
    breaker = Breaker(BreakerState.OPEN, "", 100.0)
    assert not breaker.admits(99.9)
    assert breaker.admits(100.0)
    probing = breaker.started(100.0, lease_seconds=LEASE)
    assert probing.state is BreakerState.HALF_OPEN
    assert not probing.admits(101.0)
    assert probing.admits(125.0)  # the probe was lost
    assert probing.ended(102.0, good=True) == Breaker()
    assert probing.ended(102.0, good=False, jitter=1.0) == Breaker(BreakerState.OPEN, "", 138.0)


@given(st.floats(-5, 5))
def test_stays_open_for_thirty_to_thirty_six_seconds(jitter: float) -> None:
    breaker = Breaker(BreakerState.HALF_OPEN, "", 0.0).ended(0.0, good=False, jitter=jitter)
    assert breaker.probe_at is not None
    assert 30.0 <= breaker.probe_at <= 36.0
