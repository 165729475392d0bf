"""deploy/jmx/kafka.yml over the beans of live brokers: every series has its right name and all of its labels.

`beans.tsv` holds what three Kafka 4.3.1 nodes showed, written by `BeanDump.java`: with a StandardAuthorizer, SASL and TLS
listeners, users and client ids with quotas, throttled, denied and wrongly signed-in clients, partitions that move between
directories. Beans that differ only in a partition or a fetcher are kept once; data directories are renamed.
"""

from pathlib import Path

import pytest

from tests.deploy import broker_series
from tests.deploy.expected_series import expected
from tests.deploy.jmx_replay import Exporter, Reading, Series, readings

RULES = Path(__file__).resolve().parents[2] / "deploy" / "jmx" / "kafka.yml"
BEANS = Path(__file__).with_name("beans.tsv")


@pytest.fixture(scope="module")
def exporter() -> Exporter:
    return Exporter(RULES.read_text(encoding="utf-8"))


def corpus() -> list[Reading]:
    return list(readings(BEANS))


def test_the_corpus_holds_more_than_150_beans_of_which_many_are_exported(exporter: Exporter) -> None:
    beans = {reading.bean for reading in corpus()}
    exported = {reading.bean for reading in corpus() if exporter.series(reading)}
    assert len(beans) >= 500
    assert len(exported) >= 300


def test_every_bean_becomes_the_series_it_should_become_and_no_other(exporter: Exporter) -> None:
    wrong = [
        f"{reading.bean} {reading.attribute}: {exporter.series(reading)} and not {expected(reading)}"
        for reading in corpus()
        if exporter.series(reading) != expected(reading)
    ]
    assert not wrong, f"{len(wrong)} mislabelled:\n" + "\n".join(wrong[:40])


def test_no_two_attributes_make_one_series(exporter: Exporter) -> None:
    per_broker = [reading for reading in corpus() if "node2" not in reading.bean and "node3" not in reading.bean]
    states = [reading for reading in per_broker if reading.attribute == "current-state"]
    assert len(states) == 1
    exporter.scrape(per_broker)


def test_every_rule_is_used_by_some_bean(exporter: Exporter) -> None:
    assert exporter.unused(corpus()) == []


def test_no_tenant_topic_or_listener_stands_in_a_name(exporter: Exporter) -> None:
    names = {series.name for series in exporter.scrape(corpus())}
    for word in ("alice", "bob", "desk", "trades", "orders", "plaintext", "ssl", "processor_0", "fetcherthread"):
        assert not [name for name in names if word in name]


@pytest.mark.parametrize(
    ("bean", "attribute", "series"),
    [
        (
            "kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent",
            "OneMinuteRate",
            Series.of("kafka_server_kafkarequesthandlerpool_requesthandleravgidle_percent"),
        ),
        ("kafka.server:type=KafkaRequestHandlerPool,name=RequestHandlerAvgIdlePercent", "MeanRate", None),
        (
            'kafka.server:type=Produce,client-id="desk 7, <fx>=1"',
            "byte-rate",
            Series.of("kafka_server_quota_byte_rate", resource="Produce", clientId="desk 7, <fx>=1"),
        ),
        (
            "kafka.server:type=Fetch,user=bob,client-id=bob-reader",
            "throttle-time",
            Series.of("kafka_server_quota_throttle_time", resource="Fetch", user="bob", clientId="bob-reader"),
        ),
        (
            "kafka.log:type=Log,name=Size,topic=trades,partition=0,is-future=true",
            "Value",
            Series.of("kafka_log_log_size", topic="trades", partition="0", isFuture="true"),
        ),
        (
            "kafka.server:type=BrokerTopicMetrics,name=BytesInPerSec",
            "Count",
            Series.of("kafka_server_brokertopicmetrics_bytesin_total"),
        ),
        (
            "kafka.server:type=group-coordinator-metrics,state=Stable",
            "consumer-group-count",
            Series.of("kafka_server_group_coordinator_metrics_consumer_group_count", state="Stable"),
        ),
    ],
)
def test_the_names_others_rely_on(exporter: Exporter, bean: str, attribute: str, series: Series | None) -> None:
    [reading] = [one for one in corpus() if (one.bean, one.attribute) == (bean, attribute)]
    assert exporter.series(reading) == series


def test_the_document_lists_what_is_exported() -> None:
    written = broker_series.DOCUMENT.read_text(encoding="utf-8")
    assert written == broker_series.document(), "run python -m tests.deploy.broker_series"


@pytest.mark.parametrize(
    ("bean", "attribute", "value", "series"),
    [
        (
            "kafka.connect.mirror:type=MirrorSourceConnector,source=east,target=west,topic=east.trades,partition=0",
            "record-age-ms-max",
            "71.0",
            Series.of(
                "kafka_connect_mirror_source_record_age_ms_max",
                source="east", target="west", topic="east.trades", partition="0",
            ),
        ),
        (
            "kafka.connect.mirror:type=MirrorCheckpointConnector,source=east,target=west,group=risk,topic=trades,partition=1",
            "checkpoint-latency-ms",
            "4.0",
            Series.of(
                "kafka_connect_mirror_checkpoint_checkpoint_latency_ms",
                source="east", target="west", group="risk", topic="trades", partition="1",
            ),
        ),
        (
            "kafka.connect:type=connector-task-metrics,connector=MirrorSourceConnector,task=0",
            "status",
            "running",
            Series.of("kafka_connect_task_status", connector="MirrorSourceConnector", task="0", status="running"),
        ),
        (
            "kafka.connect:type=task-error-metrics,connector=MirrorSourceConnector,task=0",
            "total-record-failures",
            "0.0",
            Series.of("kafka_connect_total_record_failures", connector="MirrorSourceConnector", task="0"),
        ),
    ],
)  # fmt: skip
def test_mirror_maker_keeps_every_key_of_its_beans(bean: str, attribute: str, value: str, series: Series) -> None:
    exporter = Exporter(RULES.with_name("mirror-maker.yml").read_text(encoding="utf-8"))
    kind = "String" if attribute == "status" else "Double"
    assert exporter.series(Reading(bean, attribute, kind, value)) == series
