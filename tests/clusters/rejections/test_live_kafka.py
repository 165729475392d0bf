"""What a real broker writes when it refuses is read whole, and the fix that is named lets the client through."""

import os
from pathlib import Path

from confluent_kafka import Producer

from clusters.rejections.fix import minimal_acl
from clusters.rejections.lines import read_lines
from clusters.rejections.types import Kind
from ops_portal.lib.processes import wait_until
from tests.clusters.rejections.provoke import fail_to_sign_in, provoke
from tests.secured_kafka import TRADES, SecuredKafka


def test_every_line_of_a_live_authorizer_is_read(secured_kafka: SecuredKafka) -> None:
    provoke(secured_kafka)
    fail_to_sign_in(secured_kafka)
    lines = secured_kafka.authorizer_log.read_text(encoding="utf-8").splitlines()
    if keep := os.environ.get("KEEP_CORPUS"):
        Path(keep).write_text("\n".join(lines) + "\n", encoding="utf-8")
    found = read_lines(lines)
    assert len(lines) >= 200
    assert found.unread_lines == []
    assert {one.kind for one in found.rejected} == {Kind.ACL, Kind.AUTHENTICATION}
    assert {one.resource_type for one in found.rejected} >= {"topic", "group", "cluster", "transactional_id"}
    assert {str(secured_kafka.secure_port)} == {one.listener for one in found.rejected if one.listener}


def test_the_smallest_acl_that_is_named_lets_the_client_in(secured_kafka: SecuredKafka) -> None:
    """Follow the advice, refusal by refusal, until the record is taken: it never takes more than what was refused."""
    properties = secured_kafka.identity("newcomer") | {"message.timeout.ms": 4000}
    advised: list[list[str]] = []

    def taken() -> bool:
        errors: list[object] = []
        producer = Producer(properties)
        producer.produce(TRADES, b"x", on_delivery=lambda error, _: errors.append(error))
        producer.flush(6)
        return len(errors) == 1 and errors[0] is None  # an error compared with None breaks the interpreter

    while not taken():
        assert wait_until(lambda: bool(secured_kafka.denials("newcomer")), seconds=10)
        refused = read_lines(secured_kafka.denials("newcomer")).rejected
        advice = next(found for one in refused if (found := minimal_acl(one)) not in advised)
        advised.append(advice)
        assert len(advised) <= 3
        secured_kafka.cluster.tool("AclCommand", *advice)
    assert {advice[advice.index("--operation") + 1] for advice in advised} <= {"Describe", "Write"}
