"""Verdicts on labelled traces: at most one in a hundred with a false alarm, at most one in a hundred missed."""

import sys

import pytest

from lag.verdicts import Verdict
from tests.lag.corpus import Judgement, Trace, judged, recorded, replay, replay_burrow, report
from tests.lag.scenarios import SCENARIOS, simulated

BURROW = "Burrow's rules on the same traces"


@pytest.fixture(scope="module")
def traces() -> list[Trace]:
    return [*simulated(variants=4), *recorded()]


def judgements(traces: list[Trace]) -> list[Judgement]:
    return [judged(trace, [result.summary.verdict.value for result in replay(trace)]) for trace in traces]


def test_few_false_alarms_and_few_misses(traces: list[Trace]) -> None:
    ours = judgements(traces)
    burrow = [judged(trace, replay_burrow(trace)) for trace in traces]
    text = report("Portal", ours)
    sys.stdout.write(f"{text}\n{report(BURROW, burrow)}\n")  # seen with pytest -s
    assert len(traces) >= 100
    assert sum(bool(judgement.false_alarms) for judgement in ours) <= len(ours) / 100, text
    assert sum(judgement.missed for judgement in ours) <= len(ours) / 100, text


def test_the_corpus_covers_every_verdict(traces: list[Trace]) -> None:
    assert {trace.expected for trace in traces} >= {verdict.value for verdict in Verdict} - {"unknown"}
    assert len({trace.name for trace in traces}) == len(traces)
    assert len(SCENARIOS) >= 30


def test_every_verdict_comes_with_rule_reason_and_inputs(traces: list[Trace]) -> None:
    for trace in traces[::4]:
        for result in replay(trace):
            summary = result.summary
            assert summary.rule
            assert summary.reason
            assert "{" not in summary.reason
            if summary.verdict not in (Verdict.OK, Verdict.UNKNOWN):
                assert summary.inputs["topic"] == summary.worst_topic
                assert summary.worst_topic in summary.reason


def test_changes_of_verdict_are_events_with_before_and_after(traces: list[Trace]) -> None:
    for trace in traces[::4]:
        before = None
        for result in replay(trace):
            changes = [event for event in result.events if event.kind == "verdict_changed"]
            now = result.summary.verdict
            assert [(event.before, event.after) for event in changes] == (
                [(before, now)] if before not in (None, now) else []
            )
            before = now
