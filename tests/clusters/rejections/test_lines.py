"""Lines in every form that Kafka and registries write them are read; what is cut is handed back, and nothing is made up."""

import re
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from zoneinfo import ZoneInfo

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from clusters.rejections.bodies import BodyRefused, decoded, lines_of
from clusters.rejections.fix import fix_of, minimal_acl
from clusters.rejections.fold import fold, series_key
from clusters.rejections.lines import Unreadable, read_line, read_lines
from clusters.rejections.types import Kind, Rejected
from tests.clusters.rejections.corpus import corpus, denied_line

AT = datetime(2026, 11, 22, 14, 16, 51, 50_000, UTC).timestamp()
LIVE = Path(__file__).with_name("live.log")
LOGGER = "(kafka.authorizer.logger)"
OLD_FORM = (
    "[2026-11-22 14:16:51,050] INFO Principal = User:bob is Denied Operation = Write from host = 10.0.0.1 on resource = "
    "Topic:LITERAL:northgate-orders"
)


def only(line: str) -> Rejected:
    (found,) = read_line(line)
    return found


def test_the_corpus_of_a_thousand_lines_is_read() -> None:
    """At least 200 lines as a live broker wrote them, the others from the forms in Kafka's and Aiven's sources."""
    live = LIVE.read_text(encoding="utf-8").splitlines()
    made = corpus(1000 - len(live))
    assert len(live) >= 200
    right = sum(read_line(line) == [expected] for line, expected in made)
    read = read_lines(live)
    assert read.unread == read.passed == 0
    assert len(read.rejected) + right >= 999


def test_a_line_of_the_standard_authorizer() -> None:
    found = only(denied_line(AT, resource="Topic:PREFIXED:orders", request="Metadata", operation="DESCRIBE"))
    assert found == Rejected(
        Kind.ACL, AT, "User:northgate-feed", "topic", "orders", "PREFIXED", "", "10.1.2.3", "", "DESCRIBE", "Metadata",
        "DefaultDeny",
    )  # fmt: skip


def test_a_rule_with_brackets_commas_and_blanks_is_kept_whole() -> None:
    rule = (
        "MatchingAcl(acl=StandardAcl[resourceType=TOPIC, resourceName=a, b), patternType=LITERAL, principal=User:x, "
        "host=*, operation=ALL, permissionType=DENY])"
    )
    assert only(denied_line(AT, rule=rule)).rule == rule


@pytest.mark.parametrize(
    ("line", "principal", "resource", "operation"),
    [
        (f"[2026-11-22 14:16:51,050] INFO Principal = User:CN=feed,OU=Trading, O=Northgate is Denied Operation = DescribeConfigs from host = 10.0.0.1 on resource = TransactionalId:LITERAL:tx 1 for request = InitProducerId with resourceRefCount = 2 {LOGGER}",
         "User:CN=feed,OU=Trading, O=Northgate", ("transactional_id", "tx 1"), "DESCRIBE_CONFIGS"),
        (f"[2026-11-22 14:16:51,050] INFO Principal = User:bob is Denied Operation = Write from host = 0:0:0:0:0:0:0:1 on resource = Topic:orders {LOGGER}",
         "User:bob", ("topic", "orders"), "WRITE"),
        (f"[2026-11-22 14:16:51,050] INFO Principal = User:bob is Denied Operation = WRITE from host = 10.0.0.1 on resource = Cluster:LITERAL:kafka-cluster {LOGGER}",
         "User:bob", ("cluster", "kafka-cluster"), "WRITE"),
        ("[2026-11-22 14:16:51,050] INFO [DENY] Auth request Describe on Topic:orders by User bob (cached) (io.aiven.kafka.auth.AivenAclAuthorizer)",
         "User:bob", ("topic", "orders"), "DESCRIBE"),
        ("[2026-11-22 14:16:51,050] INFO [DENY] Auth request AlterConfigs on Topic:LITERAL:orders by Pruned-User CN=a, O=b (io.aiven.kafka.auth.AivenAclAuthorizerV2)",
         "Pruned-User:CN=a, O=b", ("topic", "orders"), "ALTER_CONFIGS"),
    ],
)  # fmt: skip
def test_lines_of_other_authorizers(line: str, principal: str, resource: tuple[str, str], operation: str) -> None:
    found = only(line)
    assert (found.principal, (found.resource_type, found.resource), found.operation, found.at) == (
        principal, resource, operation, AT,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "listener", "host", "operation"),
    [
        ("[2026-11-22 14:33:54,487] INFO [SocketServer listenerType=BROKER, nodeId=1] Failed authentication with /127.0.0.1 (channelId=127.0.0.1:19094-127.0.0.1:53238-2-1) (SSL handshake failed) (org.apache.kafka.common.network.Selector)", "19094", "127.0.0.1", "TLS"),
        ("[2026-11-22 14:33:57,635] INFO [SocketServer listenerType=BROKER, nodeId=1] Failed authentication with /0:0:0:0:0:0:0:1 (channelId=0:0:0:0:0:0:0:1:19095-0:0:0:0:0:0:0:1:34352-4-0) (Authentication failed during authentication due to invalid credentials with SASL mechanism SCRAM-SHA-256) (org.apache.kafka.common.network.Selector)", "19095", "0:0:0:0:0:0:0:1", "SASL SCRAM-SHA-256"),
        ("[2026-11-22 14:33:57,635] INFO Failed re-authentication with host.example/10.1.1.1 (Cannot change principals) (org.apache.kafka.common.network.Selector)", "", "10.1.1.1", "SASL again"),
    ],
)  # fmt: skip
def test_lines_of_the_network_layer(line: str, listener: str, host: str, operation: str) -> None:
    found = only(line)
    assert (found.kind, found.listener, found.host, found.operation) == (Kind.AUTHENTICATION, listener, host, operation)


@pytest.mark.parametrize(
    ("line", "kind", "subject"),
    [
        ('2026-11-22T14:16:51.050Z INFO apicurio-registry.access method="POST" path="/apis/ccompat/v7/subjects/pay%2Fments-value/versions?normalize=true" response_code="409" remote_ip="10.1.1.1" remote_user="-" user_agent="a "b" c"', Kind.SCHEMA, "pay/ments-value"),
        ('10.1.1.1 - feed [22/Nov/2026:15:16:51 +0100] "POST /subjects/payments-value/versions HTTP/1.1" 422 77', Kind.SCHEMA, "payments-value"),
        ('10.1.1.1 - feed [22/Nov/2026:15:16:51 +0100] "POST /subjects/payments-value/versions HTTP/1.1" 403 77', Kind.ACL, "payments-value"),
        ('10.1.1.1 - feed [22/Nov/2026:15:16:51 +0100] "POST /subjects/payments-value/versions HTTP/1.1" 200 77', None, ""),
        ('10.1.1.1 - feed [22/Nov/2026:15:16:51 +0100] "GET /subjects/payments-value/versions/9 HTTP/1.1" 404 77', None, ""),
        ('10.1.1.1 - feed [22/Nov/2026:15:16:51 +0100] "POST /compatibility/subjects/payments-value/versions/latest HTTP/1.1" 409 7', None, ""),
    ],
)  # fmt: skip
def test_lines_of_registries(line: str, kind: Kind | None, subject: str) -> None:
    found = read_line(line)
    assert [(one.kind, one.subject, one.host) for one in found] == ([(kind, subject, "10.1.1.1")] if kind else [])
    assert all(abs((one.at or 0) - AT) < 1 for one in found)


def test_allowed_requests_and_other_loggers_are_passed_over() -> None:
    lines = [
        denied_line(AT, verdict="Allowed", rule="SuperUser"),
        "[2026-11-22 14:16:51,050] INFO [ALLOW] Auth request Read on Topic:a by User b (io.aiven.kafka.auth.X)",
        "[2026-11-22 14:16:51,050] INFO [GroupCoordinator 1]: Preparing to rebalance (kafka.coordinator.group)",
        "",
        "\tat org.apache.kafka.common.network.SslTransportLayer.handshake(SslTransportLayer.java:443)",
    ]
    found = read_lines(lines)
    assert (found.rejected, found.unread, found.passed) == ([], 0, 5)


@given(st.integers(min_value=0, max_value=400), st.booleans())
def test_a_cut_line_is_never_read_as_another_refusal(length: int, head: bool) -> None:
    """Cut anywhere: the same refusal, nothing, or a line that cannot be read; never half a name."""
    line = denied_line(AT, resource="Topic:LITERAL:northgate-orders.v2", request="Produce")
    cut = line[-length:] if head and length else line[:length]
    found = read_lines([cut])
    whole = only(line)
    assert all(one._replace(at=whole.at) == whole for one in found.rejected)


@pytest.mark.parametrize("form", ["old", "zookeeper"])
@given(length=st.integers(min_value=0, max_value=250))
def test_a_cut_line_of_the_zookeeper_era_is_never_read_as_another(form: str, length: int) -> None:
    tail = " for request = Produce with resourceRefCount = 1" if form == "zookeeper" else ""
    line = f"{OLD_FORM}{tail} {LOGGER}"
    assert all(one == only(line) for one in read_lines([line[:length]]).rejected)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        (denied_line(AT).partition(" on resource")[0], "not a whole message of an authorizer"),
        (denied_line(AT).partition("Principal = ")[2], "the line's beginning is missing"),
        (
            denied_line(AT, rule="MatchingAcl(acl=StandardAcl[resource").removesuffix(f" {LOGGER}"),
            "the rule is not whole",
        ),
        (denied_line(AT).partition(" based on rule")[0], "the rule is missing"),
        (OLD_FORM.partition("-orders")[0], "the end of the message is missing"),
        ("[DENY] Auth request Write on Topic:orders by", "not a whole message of Aiven's authorizer"),
        ("Failed authentication with /10.1.2.3 (SSL hand", "not a whole message of the network layer"),
        ('apicurio-registry.access method="POST" path="/apis', "not a whole line of the registry's access log"),
        ('{"message": "Principal = User:a is Den', "not a whole JSON object"),
        ("Principal = " + "a" * 16_384, "the line is too long"),
    ],
)
def test_a_line_that_cannot_be_read_says_what_it_lacks(line: str, says: str) -> None:
    with pytest.raises(Unreadable) as refused:
        read_line(line)
    assert str(refused.value) == says


def test_two_messages_on_one_line_are_two_refusals() -> None:
    line = denied_line(AT) + denied_line(AT, principal="User:other")
    assert [one.principal for one in read_line(line)] == ["User:northgate-feed", "User:other"]


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "utf-16-le", "utf-16-be", "utf-16"])
def test_lines_in_other_encodings_are_read(encoding: str) -> None:
    raw = denied_line(AT, principal="User:northgate-feed").encode(encoding)
    assert only(decoded(raw)).principal == "User:northgate-feed"


def test_names_in_latin_1_keep_their_letters() -> None:
    assert only(decoded(denied_line(AT, resource="Group:LITERAL:grüße").encode("latin-1"))).resource == "grüße"


@given(st.binary(max_size=300))
def test_no_bytes_break_the_reader(raw: bytes) -> None:
    begins = (
        b"",
        b"Principal = ",
        b"[DENY] Auth request ",
        b"apicurio-registry.access ",
        b"Failed authentication with ",
    )
    found = read_lines([decoded(begin + raw) for begin in begins])
    assert found.lines == len(begins)
    assert found.lines <= len(found.rejected) + found.passed + found.unread


def test_a_monstrous_line_takes_no_time() -> None:
    assert read_lines(["Principal = " + " is Denied operation = " * 5000]).unread == 1
    assert read_lines(["Principal = " + "a is Denied operation = X from host = h on resource = " * 200]).unread == 1


def test_times_are_those_of_the_zone_unless_they_name_one() -> None:
    line = denied_line(AT)
    assert read_line(line, ZoneInfo("Europe/Berlin"))[0].at == AT - 3600
    zoned = line.replace("14:16:51,050", "15:16:51.050+0100")
    assert read_line(zoned, timezone(timedelta(hours=-5)))[0].at == AT
    assert only(line.replace("2026-11-22 14:16:51,050", "not a time")).at is None


def test_json_layouts_are_read() -> None:
    message = denied_line(AT).partition("INFO ")[2].removesuffix(f" {LOGGER}")
    by_text = orjson.dumps({"@timestamp": "2026-11-22T14:16:51.050Z", "message": message}).decode()
    by_number = orjson.dumps({"timestamp": int(AT * 1000), "message": message}).decode()
    assert only(by_text) == only(by_number) == only(denied_line(AT))
    with pytest.raises(Unreadable):
        read_line(by_text[:-20])


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"one\r\ntwo\n\n", "text/plain; charset=utf-8"),
        (b'["one", {"message": "two"}]', "application/json"),
        (b'{"lines": ["one", {"log": "two"}]}', "application/json"),
        (b'{"line": "one"}\n{"msg": "two"}\n', "application/x-ndjson"),
    ],
)
def test_bodies_of_shippers_are_lines(body: bytes, kind: str) -> None:
    assert lines_of(body, kind) == ["one", "two"]


@pytest.mark.parametrize(
    ("body", "kind", "says"),
    [
        (b"{", "application/json", "The body is not JSON: "),
        (b"", "application/json", "The body is not JSON: "),
        (b'{"rows": []}', "application/json", 'neither a JSON array nor an object with "lines"'),
        (b"[1]", "application/json", "neither a text nor an object with one of message, log, line, msg"),
        (b'[{"text": "a"}]', "application/json", "neither a text nor an object with one of message, log, line, msg"),
        (b'{"line": "a"}\n{"line', "application/x-ndjson", "The body is not JSON: "),
        (b"a\n" * 50_001, "text/plain", "A batch has at most 50,000 lines."),
    ],
)
def test_a_body_without_lines_is_refused_and_told_why(body: bytes, kind: str, says: str) -> None:
    with pytest.raises(BodyRefused, match=re.escape(says)):
        lines_of(body, kind)


def test_folding_counts_by_series_and_minute() -> None:
    lines = [denied_line(AT), denied_line(AT + 5), denied_line(AT + 61), denied_line(AT, host="10.9.9.9")]
    series = {one.first.host: one for one in fold("log", read_lines(lines).rejected, now=AT + 100)}
    one = series["10.1.2.3"]
    assert (one.count, one.first_at, one.last_at, sorted(one.minutes.values())) == (3, AT, AT + 61, [1, 2])
    assert series["10.9.9.9"].count == 1


@given(st.lists(st.text(max_size=4), min_size=2, max_size=2, unique=True))
def test_texts_never_flow_into_one_another_in_a_key(texts: list[str]) -> None:
    first, second = (Rejected(Kind.ACL, principal=text, resource="x") for text in texts)
    assert series_key("log", first) != series_key("log", second)
    assert series_key("log", first) != series_key("report", first)


@pytest.mark.parametrize(
    ("rejected", "arguments"),
    [
        (Rejected(Kind.ACL, principal="User:a", resource_type="topic", resource="t", operation="DESCRIBE_CONFIGS"),
         ["--add", "--allow-principal", "User:a", "--operation", "DescribeConfigs", "--topic", "t"]),
        (Rejected(Kind.ACL, principal="User:a", resource_type="cluster", resource="kafka-cluster", operation="CREATE"),
         ["--add", "--allow-principal", "User:a", "--operation", "Create", "--cluster"]),
        (Rejected(Kind.ACL, principal="User:a", resource_type="transactional_id", resource="x", operation="WRITE"),
         ["--add", "--allow-principal", "User:a", "--operation", "Write", "--transactional-id", "x"]),
        (Rejected(Kind.ACL, principal="User:a", resource_type="sorcery", resource="x", operation="WRITE"), []),
    ],
)  # fmt: skip
def test_the_smallest_acl(rejected: Rejected, arguments: list[str]) -> None:
    assert minimal_acl(rejected) == arguments


def test_names_in_a_command_are_quoted() -> None:
    advice = fix_of(Rejected(Kind.ACL, principal="User:a", resource_type="group", resource="$(id) x", operation="READ"))
    assert "--group '$(id) x'" in advice


def test_against_a_denial_an_allow_is_not_advised() -> None:
    rule = (
        "MatchingAcl(acl=StandardAcl[resourceType=TOPIC, resourceName=ord, patternType=PREFIXED, principal=User:m, "
        "host=10.1.1.1, operation=ALL, permissionType=DENY])"
    )
    advice = fix_of(only(denied_line(AT, principal="User:m", rule=rule)))
    assert "kafka-acls.sh --remove --deny-principal User:m --deny-host 10.1.1.1 --operation All --topic ord" in advice
    assert "--resource-pattern-type prefixed" in advice


@pytest.mark.parametrize(
    "name", ["Principal =", "x for request = Fetch", " is Denied operation = READ", LOGGER, "a based on rule SuperUser"]
)
def test_a_client_cannot_hide_behind_the_name_of_its_group(name: str) -> None:
    """Group ids are chosen by clients: who, from where and what come before them in a line, so they cannot be feigned."""
    found = only(denied_line(AT, principal="User:mallory", resource=f"Group:LITERAL:{name}", operation="READ"))
    assert (found.principal, found.host, found.operation, found.resource) == ("User:mallory", "10.1.2.3", "READ", name)
