"""The source kind `lag`: what a claimed slot does."""

from clusters.sources import Outcome, Poll, RunDropped
from lag.collector import PollRunning, poll
from lag.services.state import Overtaken


def poll_lag(run: Poll) -> Outcome:
    """One poll of a cluster's lag. Raises GatewayFailed or DeadlinePassed when the cluster as a whole did not answer."""
    try:
        report = poll(
            cluster=run.cluster, period=run.period_seconds, port=run.kafka, clock=run.clock, deadline=run.deadline
        )
    except (Overtaken, PollRunning) as reason:
        raise RunDropped(str(reason)) from reason
    return Outcome(report.errors, report.counts)
