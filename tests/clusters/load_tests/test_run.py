"""Files of a load test, written by hand to the formats k6 documents, read and judged."""

import gzip
import json
import math
import random
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.load_tests import timeline as timelines
from clusters.load_tests.files import parse_moment
from clusters.load_tests.histogram import RELATIVE_ERROR, Histogram, merged
from clusters.load_tests.run import Run, kind_of, read_run
from clusters.load_tests.thresholds import DEFAULT_THRESHOLDS, BadThreshold, parse
from clusters.load_tests.timeline import Timeline
from clusters.load_tests.verdicts import Judgement

START = 1_790_000_000
K6_HEADER = "metric_name,timestamp,metric_value,check,error,error_code,expected_response,group,method,name,extra_tags\n"


def read(directory: Path, *thresholds: str) -> Run:
    files = {path.name: path for path in directory.iterdir()}
    return read_run(files, [parse(text) for text in thresholds or DEFAULT_THRESHOLDS], lambda *_: None)


def traces(directory: Path, latencies: list[float], per_second: int = 10, messages: int = 10_000) -> None:
    rows = [
        f"kafka_writer_write_seconds,{START + number // per_second},{value:f},,,,,,,,\n"
        f"kafka_writer_message_count,{START + number // per_second},{messages:f},,,,,,,,\n"
        for number, value in enumerate(latencies)
    ]
    (directory / "traces.csv").write_text(K6_HEADER + "".join(rows))


def handle_summary(p95: float, *, ok: bool) -> bytes:
    trend = {"avg": 3.0, "min": 1.0, "med": 3.0, "max": 9.0, "p(90)": 5.0, "p(95)": p95}
    return json.dumps(
        {
            "root_group": {"name": "", "path": "", "groups": [], "checks": []},
            "options": {"summaryTrendStats": ["avg", "min", "med", "max", "p(90)", "p(95)"], "noColor": False},
            "state": {"isStdOutTTY": False, "isStdErrTTY": False, "testRunDurationMs": 60_000.0},
            "metrics": {
                "kafka_writer_write_seconds": {
                    "type": "trend", "contains": "time", "values": trend, "thresholds": {"p(95) < 10": {"ok": ok}},
                },
                "kafka_writer_message_count": {
                    "type": "counter", "contains": "default", "values": {"count": 6_000_000, "rate": 100_000.0},
                },
            },
        }
    ).encode()  # fmt: skip


def test_thresholds_are_held_against_the_samples_not_against_the_summary(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(handle_summary(6.0, ok=True))
    traces(tmp_path, [4.0] * 90 + [14.0] * 10)
    run = read(tmp_path)
    p95, p99, rate = run.judged
    assert (p95.verdict, p95.source, p95.stated) == (Judgement.MISSED, "traces.csv", True)
    assert p95.value == pytest.approx(14, rel=RELATIVE_ERROR)
    assert "does not support" in p95.reason
    assert p99.verdict is Judgement.KEPT
    assert (rate.verdict, rate.value) == (Judgement.KEPT, 100_000)
    stated = {(row["metric"], row["aggregate"]) for row in run.contradictions}
    assert ("kafka_writer_write_seconds", "p(95)") in stated
    assert (run.started_at, run.ended_at) == (START, START + 10)


def test_a_figure_that_no_file_holds_is_unsupported_never_kept(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(handle_summary(6.0, ok=True))
    p95, p99, rate = read(tmp_path).judged
    assert (p95.verdict, p95.value, p95.source) == (Judgement.KEPT, 6.0, "summary.json")
    assert (p99.verdict, p99.value) == (Judgement.UNSUPPORTED, None)
    assert rate.value == 100_000


def test_the_export_form_says_true_where_a_threshold_was_crossed(tmp_path: Path) -> None:
    body = {
        "metrics": {
            "http_req_duration": {"avg": 3.1, "max": 20, "med": 3, "min": 1, "p(90)": 7, "p(95)": 12.5, "thresholds": {"p(95)<10": True}},
            "http_req_failed": {"passes": 1, "fails": 99, "value": 0.01, "thresholds": {"rate<0.1": False}},
            "http_reqs": {"count": 600, "rate": 10.0},
        },
        "root_group": {"name": ""},
    }  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps(body))
    p95, failed, rate = read(tmp_path, "p95<10", "http_req_failed: rate<0.1", "http_reqs: rate>80000").judged
    assert (p95.verdict, p95.stated, p95.value) == (Judgement.MISSED, False, 12.5)
    assert (failed.verdict, failed.stated, failed.value) == (Judgement.KEPT, True, 0.01)
    assert (rate.verdict, rate.value) == (Judgement.MISSED, 10.0)


def test_the_machine_readable_form_gives_rates_by_its_duration(tmp_path: Path) -> None:
    body = {
        "version": "1.0.0",
        "config": {"duration": 30.0, "execution": "local", "script": "produce.js"},
        "metadata": {"k6Version": "2.3.0", "generatedAt": "2026-11-20T10:00:30Z"},
        "results": {
            "metrics": [
                {"name": "http_reqs", "type": "counter", "contains": "default", "values": {"count": 3_000_000}},
                {"name": "http_req_duration", "type": "trend", "contains": "time", "values": {"avg": 2, "p(90)": 4, "p(95)": 5}},
                {"name": "http_req_failed", "type": "rate", "contains": "default", "values": {"matches": 0, "total": 10, "rate": 0}},
            ]
        },
    }  # fmt: skip
    (tmp_path / "summary.json").write_text(json.dumps(body))
    run = read(tmp_path)
    assert [row.verdict for row in run.judged] == [Judgement.KEPT, Judgement.UNSUPPORTED, Judgement.KEPT]
    assert run.judged[2].value == 100_000
    assert run.ended_at is not None
    assert run.started_at is not None
    assert run.ended_at - run.started_at == 30


def test_every_file_may_be_alone_and_brokers_stand_beside(tmp_path: Path) -> None:
    (tmp_path / "broker-1-cpu.csv").write_text(f"timestamp,cpu_percent\n{START},40\n{START},60\n{START + 1},91.5\n")
    (tmp_path / "broker-eu-2-cpu.csv").write_text("time,cpu\n2026-09-21T09:33:20Z,7%\n")
    (tmp_path / "replication-lag.csv").write_text(f"timestamp,lag_ms\n{START}000,3\n{START}000,18\n")
    (tmp_path / "broker-metrics").write_text(
        '# TYPE kafka_server_replicamanager_underreplicatedpartitions gauge\n'
        'kafka_server_replicamanager_underreplicatedpartitions{broker="1"} 0\n'
    )  # fmt: skip
    run = read(tmp_path)
    assert run.broker_cpu == {"1": [[START, 50.0], [START + 1, 91.5]], "eu-2": [[1_789_983_200, 7.0]]}
    assert (run.replication_lag, run.replication_unit) == ([[START, 18.0]], "ms")
    assert run.broker_metrics == [("kafka_server_replicamanager_underreplicatedpartitions", {"broker": "1"}, 0.0)]
    assert {row.verdict for row in run.judged} == {Judgement.UNSUPPORTED}
    assert run.problems.count == 0


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("summary.json", b"", "summary.json is empty"),
        ("summary.json", b'{"metrics": ', "summary.json is no JSON"),
        ("summary.json", b"[" * 100_000, "summary.json is no JSON"),
        ("summary.json", b"[]", "holds no object"),
        ("summary.json", b'{"version": "3.0"}', "no summary of k6"),
        ("summary.json", b" \n", "summary.json is empty"),
        ("summary.json", b'{"metrics": {}}', "summary.json holds no metric"),
        ("traces.csv", b"", "traces.csv is empty or damaged"),
        ("broker-1-cpu.csv", b"", "broker-1-cpu.csv is empty or damaged"),
        ("replication-lag.csv", b"", "replication-lag.csv is empty or damaged"),
        (
            "traces.csv",
            b"metric_name,timestamp,metric_value\n",
            "traces.csv holds no sample of a metric that is looked for",
        ),
        (
            "traces.csv",
            b"metric_name,timestamp,metric_value\nmy_metric,1790000000,4\n",
            "it holds my_metric: name one in a threshold",
        ),
        ("traces.csv", b"timestamp,latency_ms\n", "traces.csv holds no sample that can be read"),
        ("broker-1-cpu.csv", b"timestamp,cpu_percent\n", "broker-1-cpu.csv holds no sample that can be read"),
        ("traces.csv", b"a,b\n1,2\n", "has neither the columns of k6"),
        ("traces.csv.gz", b"\x1f\x8bnothing", "damaged"),
        ("broker-1-cpu.csv", b"timestamp,load\n1,2\n", "needs the columns timestamp and one of"),
        ("replication-lag.csv", b"\xff\xfe\x00", "needs the columns"),
        ("broker-metrics", b"", "holds no series"),
        ("broker-metrics", b"{{{ 1\n", "not Prometheus text"),
        ("notes.txt", b"hello", "not one of the files"),
    ],
)
def test_what_cannot_be_read_is_said_and_costs_the_other_files_nothing(
    tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    (tmp_path / "replication-lag.csv").write_text(f"timestamp,lag_records\n{START},4\n")
    (tmp_path / name).write_bytes(content)
    run = read(tmp_path)
    assert any(said in str(row["text"]) for row in run.problems.rows), run.problems.rows
    if name != "replication-lag.csv":
        assert run.replication_lag == [[START, 4.0]]


@pytest.mark.parametrize(
    ("name", "limit", "said"),
    [
        ("summary.json", "run.LARGEST_SUMMARY", "summary.json is larger than 0 MB"),
        ("broker-metrics", "files.LARGEST_EXPOSITION", "broker-metrics is larger than 0 MB"),
        ("traces.csv", "run.LARGEST_FILE", "traces.csv is larger than 0 GB"),
    ],
)
def test_a_huge_file_is_left_out_before_it_is_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, limit: str, said: str
) -> None:
    monkeypatch.setattr(f"clusters.load_tests.{limit}", 1000)
    (tmp_path / name).write_bytes(b"x" * 1001)
    (tmp_path / "replication-lag.csv").write_text(f"timestamp,lag_records\n{START},4\n")
    run = read(tmp_path)
    assert [row["text"] for row in run.problems.rows] == [said]
    assert run.replication_lag == [[START, 4.0]]


def test_a_packed_file_that_is_huge_unpacked_is_read_up_to_the_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("clusters.load_tests.files.LARGEST_FILE", 20_000)
    rows = "timestamp,latency_ms\n" + f"{START},4\n" * 5000
    (tmp_path / "traces.csv.gz").write_bytes(gzip.compress(rows.encode()))
    run = read(tmp_path)
    assert "GB unpacked: the rest is left out" in str(run.problems.rows[0]["text"])
    assert run.problems.cut == ["traces.csv.gz"]
    assert 1000 < int(run.latency[0][1] or 0) < 5000
    assert {row.verdict for row in run.judged} == {Judgement.UNSUPPORTED}


def test_series_beyond_the_most_are_left_out_and_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("clusters.load_tests.files.MOST_SERIES", 10)
    (tmp_path / "broker-metrics").write_text("".join(f'a{{n="{n}"}} 1\n' for n in range(20)))
    run = read(tmp_path)
    assert (len(run.broker_metrics), run.problems.rows[0]["text"]) == (10, "more than 10 series: the rest is left out")


def test_broken_lines_are_counted_and_skipped(tmp_path: Path) -> None:
    good = f"http_req_duration,{START},5.0\n"
    bad = "http_req_duration,yesterday,5\nhttp_req_duration\nhttp_req_duration,1,-3\nhttp_req_duration,1,nan\n"
    (tmp_path / "traces.csv").write_text("metric_name,timestamp,metric_value\n" + good + bad * 30 + good)
    run = read(tmp_path)
    assert run.problems.count == 120
    assert len(run.problems.rows) == 50
    assert run.problems.rows[0]["line"] == 3
    assert run.metrics["http_req_duration"].values["count"] == 2


def test_a_quote_that_is_never_closed_costs_its_own_line_only(tmp_path: Path) -> None:
    broken = f'http_req_duration,{START},5.0,"oops\n' + 'x"\ry,1,2\n'
    good = "".join(f"http_req_duration,{START + n},5.0,ok\n" for n in range(20_000))
    (tmp_path / "traces.csv").write_text("metric_name,timestamp,metric_value,check\n" + broken + good)
    run = read(tmp_path)
    assert run.metrics["http_req_duration"].values["count"] == 20_001
    assert [row["line"] for row in run.problems.rows] == [3]


def test_a_time_that_cannot_be_leaves_the_length_of_the_run_alone(tmp_path: Path) -> None:
    rows = [f"http_reqs,{START + n},1000\n" for n in range(10)] + ["http_reqs,17,1000\n", "http_reqs,9e18,1000\n"]
    (tmp_path / "traces.csv").write_text("metric_name,timestamp,metric_value\n" + "".join(rows))
    run = read(tmp_path, "rate>900")
    assert (run.judged[0].value, run.problems.count) == (1000.0, 2)


def test_a_stated_rate_that_the_samples_do_not_bear_out_is_a_contradiction(tmp_path: Path) -> None:
    stated = {"http_reqs": {"type": "counter", "contains": "default", "values": {"count": 100_000, "rate": 10_000.0}}}
    summary = {"metrics": stated, "state": {"testRunDurationMs": 9_500.0}}
    (tmp_path / "summary.json").write_text(json.dumps(summary))
    rows = [f"http_reqs,{START + n},1000\n" for n in range(10)]
    (tmp_path / "traces.csv").write_text("metric_name,timestamp,metric_value\n" + "".join(rows))
    run = read(tmp_path, "rate>1050")
    assert run.judged[0].verdict is Judgement.KEPT  # times in whole seconds: the summary knows the length better
    assert {(row["aggregate"], row["stated"]) for row in run.contradictions} == {("count", 100_000), ("rate", 10_000)}


def test_a_percentile_of_the_neighbouring_sample_is_no_contradiction(tmp_path: Path) -> None:
    (tmp_path / "traces.csv").write_text(
        "timestamp,latency_ms\n" + f"{START},1\n" * 90 + f"{START + 1},100\n" * 9 + f"{START + 1},300\n"
    )

    def stated(p90: float) -> list[str]:
        trend = {"type": "trend", "contains": "time", "values": {"p(90)": p90, "max": 300}}
        (tmp_path / "summary.json").write_text(json.dumps({"metrics": {"produce_latency": trend}}))
        return [row["aggregate"] for row in read(tmp_path).contradictions]

    assert stated(1.0) == stated(100.0) == stated(42.0) == []
    assert stated(0.5) == stated(120.0) == ["p(90)"]


def test_thresholds_of_the_summary_are_judged_though_nobody_asked(tmp_path: Path) -> None:
    (tmp_path / "summary.json").write_bytes(handle_summary(12.0, ok=True))
    traces(tmp_path, [4.0] * 100)
    asked, own = read(tmp_path, "kafka_writer_write_seconds: p(99)<100").judged
    assert (asked.verdict, own.verdict, own.stated) == (Judgement.KEPT, Judgement.KEPT, True)
    assert own.threshold == "kafka_writer_write_seconds: p(95)<10"
    assert len(read(tmp_path, "p95<10").judged) == 1


def test_of_two_files_of_a_kind_the_first_counts(tmp_path: Path) -> None:
    traces(tmp_path, [4.0] * 10)
    (tmp_path / "traces.csv.gz").write_bytes(gzip.compress((tmp_path / "traces.csv").read_bytes()))
    run = read(tmp_path)
    assert run.metrics["kafka_writer_write_seconds"].values["count"] == 10
    assert "has been read already" in str(run.problems.rows[0]["text"])


def test_progress_of_a_packed_file_stays_within_its_size(tmp_path: Path) -> None:
    rows = "timestamp,latency_ms\n" + "".join(f"{START + n % 60},{n % 7}\n" for n in range(300_000))
    (tmp_path / "traces.csv.gz").write_bytes(gzip.compress(rows.encode()))
    told: list[tuple[int, int]] = []
    read_run({"traces.csv.gz": tmp_path / "traces.csv.gz"}, [], lambda name, read, whole: told.append((read, whole)))
    assert len(told) > 2
    assert all(0 < part <= whole for part, whole in told)
    assert [part for part, _ in told] == sorted(part for part, _ in told)


def test_own_traces_may_be_packed_and_cut_off(tmp_path: Path) -> None:
    rows = "timestamp,latency_ms,messages\n" + "".join(f"{START + n},{n % 7},100\n" for n in range(5000))
    packed = gzip.compress(rows.encode())
    (tmp_path / "traces.csv.gz").write_bytes(packed)
    run = read(tmp_path)
    assert run.metrics["messages"].values == {"count": 500_000.0, "rate": 100.0}
    assert len(run.latency) <= timelines.MOST_SLOTS
    assert sum(int(row[1] or 0) for row in run.latency) == 5000
    (tmp_path / "traces.csv.gz").write_bytes(packed[: len(packed) // 2])
    cut = read(tmp_path)
    assert cut.problems.count == 1
    assert "damaged after this line" in str(cut.problems.rows[0]["text"])
    assert 1000 < sum(int(row[1] or 0) for row in cut.latency) < 5000


def test_a_wide_run_keeps_every_sample_in_few_slots() -> None:
    line = Timeline()
    moments = [START + random.Random(7).randrange(86_400) for _ in range(1)] + list(range(START, START + 86_400, 20))
    for moment in moments:
        line.add(moment, 1.0)
    assert len(line.slots) <= timelines.MOST_SLOTS
    assert line.whole.count == len(moments)
    assert [at for at, _ in line.rows()] == sorted(at for at, _ in line.rows())


@given(st.lists(st.floats(0, 1e9), min_size=1, max_size=300), st.floats(0, 100))
def test_percentiles_are_those_of_sorting_within_the_stated_error(values: list[float], percent: float) -> None:
    histogram = Histogram()
    for value in values:
        histogram.add(value)
    ordered = sorted(values)
    exact = {ordered[max(0, min(len(values), round(rank)) - 1)] for rank in _ranks(percent, len(values))}
    found = histogram.percentile(percent)
    assert found is not None
    assert any(abs(found - value) <= value * RELATIVE_ERROR + 1e-300 for value in exact)
    assert merged([histogram, Histogram()]).percentile(percent) == found


def _ranks(percent: float, count: int) -> set[int]:
    return {max(1, math.ceil(count * percent / 100 - slack)) for slack in (0.0, 1e-9, 2e-9)}


@pytest.mark.parametrize(
    ("text", "aggregate", "metric"),
    [
        ("p95<10", "p(95)", None), ("p(99.9) <= 100", "p(99.9)", None), ("rate>80000", "rate", None),
        ("http_req_duration: avg<3.5", "avg", "http_req_duration"), ("iterations:count>=1e6", "count", "iterations"),
        ("http_req_duration{status:200}: med<3", "med", "http_req_duration{status:200}"),
    ],
)  # fmt: skip
def test_thresholds_are_written_as_k6_writes_them(text: str, aggregate: str, metric: str | None) -> None:
    found = parse(text)
    assert (found.aggregate, found.metric) == (aggregate, metric)


@pytest.mark.parametrize("text", ["", "p95", "p(101)<1", "95<10", "p95<ten", "p95<10; drop", "x" * 500, "rate>=>1"])
def test_what_is_no_threshold_says_what_one_looks_like(text: str) -> None:
    with pytest.raises(BadThreshold):
        parse(text)


def test_times_come_in_any_unit_of_k6() -> None:
    moments = {
        f"{START}",
        f"{START}000",
        f"{START}000000",
        f"{START}000000000",
        "2026-09-21T14:13:20Z",
        "2026-09-21T15:13:20+01:00",
    }
    assert {parse_moment(text) for text in moments} == {parse_moment(f"{START}")}


def test_only_the_files_of_a_load_test_are_known() -> None:
    names = [
        "summary.json",
        "traces.csv",
        "traces.csv.gz",
        "broker-metrics",
        "Broker-3-CPU.csv",
        "replication-lag.csv",
        "broker-cpu.csv",
        "x",
    ]
    assert [kind_of(name) for name in names] == [
        "summary", "traces", "traces", "broker_metrics", "broker_cpu", "replication_lag", None, None,
    ]  # fmt: skip
