"""docs/broker-metrics.md, written from the recorded beans and deploy/jmx/kafka.yml: `python -m tests.deploy.broker_series`."""

import re
from pathlib import Path

from tests.deploy.jmx_replay import Exporter, Reading, readings

ROOT = Path(__file__).resolve().parents[2]
RULES = ROOT / "deploy" / "jmx" / "kafka.yml"
BEANS = Path(__file__).with_name("beans.tsv")
DOCUMENT = ROOT / "docs" / "broker-metrics.md"

_QUOTAS = ("Produce", "Fetch", "Request", "ControllerMutation")
_HEAD = """\
# What brokers export

The series that `deploy/jmx/kafka.yml` makes of a Kafka 4.3 broker or controller, with the bean and attribute that each comes
from; written from beans of live brokers. Installing the exporter: [operations](operations.md#monitoring). The agent adds `jvm_*` and
`process_*` by itself. Labels are the bean's other keys.

What the figures do not say by themselves:

- `brokertopicmetrics` exists per topic and once for all topics: filter `topic=""` or `topic!=""`.
- Every controller repeats `kafka_controller_*`: take `max`; `activecontrollercount` is the one to add up.
- Quantiles belong to one broker and about five minutes: take the worst broker's, never a mean or a sum.
- Idle shares run from 0 to 1 and read 0 for the first seconds after a start. `rate(..._nanoseconds_total[2m]) / 1e9` is exact.
- `role="broker"` and `role="controller"` of the authorizer repeat one count on a node that is both.
- Quota series exist for users and client ids under a quota; `throttle_time` is NaN or 0 while nobody is held back.
- JMX escapes `"`, `*`, `?` and `\\` in names of clients with a backslash, and the label keeps it.

| Series | Labels | Bean | Attribute |
|---|---|---|---|
"""


def document() -> str:
    """docs/broker-metrics.md."""
    exporter = Exporter(RULES.read_text(encoding="utf-8"))
    rows: dict[str, tuple[set[str], str, str]] = {}
    for reading in readings(BEANS):
        series = exporter.series(reading)
        if series is not None:
            labels, bean, attribute = rows.get(series.name, (set(), _bean(reading), _attribute(reading)))
            rows[series.name] = (labels | {label for label, _ in series.labels}, bean, attribute)
    lines = [
        f"| `{name}` | {', '.join(sorted(labels))} | `{bean}` | {attribute} |\n"
        for name, (labels, bean, attribute) in sorted(rows.items())
    ]
    return _HEAD + "".join(lines)


def _bean(reading: Reading) -> str:
    """Domain, type and name; what else it has are labels."""
    keys = reading.keys
    kind = " or ".join(_QUOTAS) if keys["type"] in _QUOTAS else keys["type"]
    return f"{reading.domain}:type={kind}" + (f",name={keys['name']}" if "name" in keys else "")


def _attribute(reading: Reading) -> str:
    if reading.attribute.endswith("thPercentile"):
        return "percentiles"
    return re.sub(r"-p\d+$", "-pNN", reading.attribute)


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
