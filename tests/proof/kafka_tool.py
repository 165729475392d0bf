"""What Kafka's own `kafka-consumer-groups --describe` says."""

import re
from dataclasses import dataclass

from ops_portal.lib.kafka_runner import KafkaCluster
from tests.proof.view import Place

_NUMBER = r"(-?\d+|-)"
_ROW = re.compile(rf"^(.*?\S)\s+([\w.-]+)\s+(\d+)\s+{_NUMBER}\s+{_NUMBER}\s+{_NUMBER}\s+(\S+)\s+(\S+)\s+(\S+)\s*$")


@dataclass(frozen=True, slots=True)
class Told:
    """One row; `-` is None."""

    committed: int | None
    end: int | None
    lag: int | None
    member: str | None


def described(kafka: KafkaCluster) -> dict[Place, Told]:
    """Every partition of every group of the cluster. Set JAVA_TOOL_OPTIONS to UTF-8 for names beyond ASCII."""
    text = kafka.tool("consumer.group.ConsumerGroupCommand", "--describe", "--all-groups", timeout=110)
    rows = [match.groups() for line in text.splitlines() if (match := _ROW.match(line))]
    return {
        (group, topic, int(number)): Told(
            _number(committed), _number(end), _number(lag), None if member == "-" else member
        )
        for group, topic, number, committed, end, lag, member, _, _ in rows
    }


def _number(word: str) -> int | None:
    return None if word == "-" else int(word)
