"""Log lines that tell of a refusal: Kafka's authorizers, its network layer, and registries' access logs.

Read are:

- StandardAuthorizer (KRaft) and AclAuthorizer and SimpleAclAuthorizer (ZooKeeper era), logger `kafka.authorizer.logger`;
- Aiven's authorizer: `[DENY] Auth request Write on Topic:orders by User alice`;
- Selector: `Failed authentication with /10.1.2.3 (channelId=...) (SSL handshake failed)`;
- access logs of Apicurio (`apicurio-registry.access method="POST" ...`), and those in the common log format.

Layouts differ: what stands before the message and the logger's name after it may be there or not, and a line may be one
JSON object with the text in `message`. Lines of other loggers are passed over; a line that is one of these and cannot be
read, because its end is missing for instance, is handed back.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from urllib.parse import unquote

import orjson

from clusters.rejections.moments import moment_in
from clusters.rejections.types import Kind, Rejected, Resource

LONGEST_LINE = 16_384  # characters; what is longer was written by nobody but a fault
UNREAD_SHOWN = 20
_UNREAD_KEPT = 500  # characters of each

_AUTHORIZER = re.compile(
    r"Principal = (?P<principal>.*?) is (?P<verdict>Denied|Allowed) [Oo]peration = (?P<operation>\w+)"
    r" from host = (?P<host>\S+) on resource = (?P<type>\w+):(?:(?P<pattern>LITERAL|PREFIXED|ANY|MATCH):)?(?P<name>.*?)"
    r"(?: for request = (?P<request>\w+) with resourceRefCount = (?P<references>\d+)(?P<tail>.*))?$"
)
_RULE = re.compile(r" based on rule (DefaultDeny|DefaultAllow|SuperUser|MatchingAcl\(.*\]\))(?: \([\w.$]*)?$")
_ANY_RULE = re.compile(r" based on rule (\S.*)$")
_AIVEN = re.compile(
    r"\[(?P<verdict>DENY|ALLOW)\] Auth request (?P<operation>\w+) on (?P<type>\w+):"
    r"(?:(?P<pattern>LITERAL|PREFIXED):)?(?P<name>.*) by (?P<principal_type>[\w-]+) (?P<principal>.+?)(?: \(cached\))?$"
)
_SELECTOR = re.compile(
    r"Failed (?P<again>re-)?authentication with (?P<name>[^/ ]*)/(?P<host>[0-9A-Fa-f.:]+)(?:%\S+)?"
    r" (?:\(channelId=(?P<channel>[^)]*)\) )?\((?P<reason>.*)\)$"
)
_LOCAL_PORT = re.compile(r":(\d{1,5})-")
_MECHANISM = re.compile(r"SASL mechanism ([A-Z0-9-]+)")
_APICURIO = re.compile(r'(\w+)="([^"]*)"')
_COMMON_LOG = re.compile(
    r'(?P<host>\S+) \S+ (?P<user>\S+) \[[^\]]+\] "(?P<method>[A-Z]+) (?P<path>\S+)[^"]*" (?P<code>\d{3})\b'
)
_SUBJECT = re.compile(r"/subjects/([^/?]+)/versions/?(?:\?.*)?$")
_ARTIFACT = re.compile(r"/groups/[^/?]+/artifacts/([^/?]+)/versions/?(?:\?.*)?$")
_LOGGER = re.compile(r" \([\w$]+(?:\.[\w$]+)+\)")

# Words that only lines of ours hold, beside the authorizer's "Principal =".
_MARKS = ("Auth request ", "Failed authentication", "Failed re-authentication", "registry.access")
_CUT_HEAD = re.compile(r" is Denied [Oo]peration = | based on rule |with resourceRefCount = ")
_NEXT_MESSAGE = re.compile(r"(?<=\))(?=\[\d{4}-\d\d-\d\d )")

_RESOURCES = {word.value.replace("_", ""): word.value for word in Resource}
_REGISTRY_RULES = {
    409: "the registry answered 409: not compatible with what the subject holds",
    422: "the registry answered 422: not a valid schema",
    401: "the registry answered 401: not signed in",
    403: "the registry answered 403: not allowed",
}
_REGISTRY_KINDS = {409: Kind.SCHEMA, 422: Kind.SCHEMA, 401: Kind.AUTHENTICATION, 403: Kind.ACL}


class Unreadable(Exception):
    """The line is one of ours, but not whole."""


@dataclass(slots=True)
class Reading:
    """What some lines told. `passed` counts allowed requests and lines of other loggers."""

    rejected: list[Rejected] = field(default_factory=list)
    lines: int = 0
    passed: int = 0
    unread: int = 0
    unread_lines: list[str] = field(default_factory=list)  # the first of them


def read_lines(lines: Iterable[str], zone: tzinfo = UTC) -> Reading:
    """Read log lines; times without an offset are those of `zone`. Never raises."""
    reading = Reading()
    for line in lines:
        reading.lines += 1
        try:
            found = read_line(line, zone)
        except Unreadable:
            reading.unread += 1
            if len(reading.unread_lines) < UNREAD_SHOWN:
                reading.unread_lines.append(line[:_UNREAD_KEPT])
            continue
        if found:
            reading.rejected.extend(found)
        else:
            reading.passed += 1
    return reading


def why_unread(line: str) -> str:
    """What a line of `Reading.unread_lines` lacks, as words; '' where that cannot be told from what was kept of it."""
    if len(line) >= _UNREAD_KEPT:
        return ""
    try:
        read_line(line)
    except Unreadable as why:
        return str(why)
    return ""


def read_line(line: str, zone: tzinfo = UTC) -> list[Rejected]:
    """Refusals in a line: usually one, two where writers lost the line break, none for others' lines. Raises Unreadable."""
    text = line.rstrip()
    if "\0" in text:  # what is left of UTF-16
        text = text.replace("\0", "")
    start = text.find("Principal =")
    if start < 0 and not any(mark in text for mark in _MARKS):
        if _CUT_HEAD.search(text) is not None:
            raise Unreadable("the line's beginning is missing")
        return _common_log(text, zone)
    if len(text) > LONGEST_LINE:
        raise Unreadable("the line is too long")
    if text.startswith("{"):
        return _json(text, zone)
    if text.find("Principal =", start + 1) > 0 and start >= 0:
        parts = [part for part in _NEXT_MESSAGE.split(text) if part]
        if len(parts) > 1:
            return [found for part in parts for found in read_line(part, zone)]
        # Somebody's group may be called so; two messages in one would leave a rule that is none.
        return _message(_without_logger(text)[0], start, zone, None, whole=False)
    body, whole = _without_logger(text)
    return _message(body, start, zone, None, whole=whole)


def _without_logger(text: str) -> tuple[str, bool]:
    """The text without the logger's name in brackets at its end, and whether there was one."""
    if text.endswith(")"):
        start = text.rfind(" (")
        if start > 0 and _LOGGER.fullmatch(text, start):
            return text[:start], True
    return text, False


def _json(text: str, zone: tzinfo) -> list[Rejected]:
    try:
        record = orjson.loads(text)
    except orjson.JSONDecodeError as error:
        raise Unreadable("not a whole JSON object") from error
    message = next((record[key] for key in ("message", "msg", "log") if isinstance(record.get(key), str)), "")
    stamp = next((record[key] for key in ("@timestamp", "timestamp", "time", "ts") if record.get(key)), None)
    at = moment_in(stamp, zone) if isinstance(stamp, str) else None
    if isinstance(stamp, int | float):
        at = stamp / 1000 if stamp > 1e11 else float(stamp)  # log4j's JSON layout counts milliseconds
    body = message.rstrip()
    return _message(body, body.find("Principal ="), zone, at, whole=True)


def _message(body: str, start: int, zone: tzinfo, at: float | None, *, whole: bool) -> list[Rejected]:
    """The refusal in a message without the logger's name; `whole` = its end is known not to be missing.

    `start` is where an authorizer's message begins, below 0 when it is none.
    """
    if start >= 0:
        return _authorizer(body, start, zone, at, whole)
    if "Auth request " in body:
        return _aiven(body, zone, at)
    if "registry.access" in body:
        return _apicurio(body, zone, at)
    return _selector(body, zone, at) if "authentication with" in body else []


def _authorizer(body: str, start: int, zone: tzinfo, at: float | None, whole: bool) -> list[Rejected]:
    found = _AUTHORIZER.match(body, start)
    if found is None:
        raise Unreadable("not a whole message of an authorizer")
    principal, verdict, operation, host, kind, pattern, name, request, _, tail = found.groups()
    rule = ""
    if request is None:
        if not whole:  # the oldest form ends with the name, so half a name looks like a name
            raise Unreadable("the end of the message is missing")
    elif tail:
        ruled = (_ANY_RULE if whole else _RULE).match(tail)
        if ruled is None:
            raise Unreadable("the rule is not whole")
        rule = ruled[1]
    elif operation.isupper() and not whole:  # KRaft's authorizer always names the rule
        raise Unreadable("the rule is missing")
    if verdict == "Allowed":
        return []
    if at is None:
        at = moment_in(body, zone, start)
    return [
        Rejected(
            Kind.ACL, at, principal, _resource(kind), name, pattern or "LITERAL", "", host, "", _operation(operation),
            request or "", rule,
        )
    ]  # fmt: skip


def _aiven(body: str, zone: tzinfo, at: float | None) -> list[Rejected]:
    found = _AIVEN.search(body)
    if found is None:
        raise Unreadable("not a whole message of Aiven's authorizer")
    if found["verdict"] == "ALLOW":
        return []
    if at is None:
        at = moment_in(body, zone, found.start())
    principal = f"{found['principal_type']}:{found['principal']}"
    return [
        Rejected(
            Kind.ACL, at, principal, _resource(found["type"]), found["name"], found["pattern"] or "LITERAL",
            operation=_operation(found["operation"]),
        )
    ]  # fmt: skip


def _selector(body: str, zone: tzinfo, at: float | None) -> list[Rejected]:
    found = _SELECTOR.search(body)
    if found is None:
        raise Unreadable("not a whole message of the network layer")
    port = _LOCAL_PORT.search(found["channel"] or "")
    mechanism = _MECHANISM.search(found["reason"])
    operation = f"SASL {mechanism[1]}" if mechanism else "TLS" if "SSL" in found["reason"] else "SASL"
    if at is None:
        at = moment_in(body, zone, found.start())
    return [
        Rejected(
            Kind.AUTHENTICATION, at, host=found["host"], listener=port[1] if port else "",
            operation=f"{operation} again" if found["again"] else operation, rule=found["reason"],
        )
    ]  # fmt: skip


def _apicurio(body: str, zone: tzinfo, at: float | None) -> list[Rejected]:
    start = body.find("registry.access")
    pairs = dict(_APICURIO.findall(body, start))
    if not {"method", "path", "response_code"} <= pairs.keys() or not pairs["response_code"].isdigit():
        raise Unreadable("not a whole line of the registry's access log")
    if at is None:
        at = moment_in(body, zone, start)
    user = pairs.get("remote_user", "-")
    return _registry(pairs["method"], pairs["path"], int(pairs["response_code"]), pairs.get("remote_ip", ""), user, at)


def _common_log(text: str, zone: tzinfo) -> list[Rejected]:
    if "/versions" not in text or (found := _COMMON_LOG.search(text)) is None:
        return []
    return _registry(
        found["method"], found["path"], int(found["code"]), found["host"], found["user"], moment_in(text, zone)
    )


def _registry(method: str, path: str, code: int, host: str, user: str, at: float | None) -> list[Rejected]:
    found = _SUBJECT.search(path) or _ARTIFACT.search(path)
    if method != "POST" or found is None or code not in _REGISTRY_KINDS:
        return []
    principal = "" if user in {"-", ""} else f"User:{user}"
    return [
        Rejected(
            _REGISTRY_KINDS[code], at, principal, subject=unquote(found[1]), host=host, operation="register",
            rule=_REGISTRY_RULES[code],
        )
    ]  # fmt: skip


def _resource(word: str) -> str:
    """Kafka's word for a resource type in any of its spellings: TransactionalId, TRANSACTIONAL_ID."""
    return _RESOURCES.get(word.replace("_", "").lower(), word.lower())


def _operation(word: str) -> str:
    """WRITE, DESCRIBE_CONFIGS of `WRITE`, `Write`, `DescribeConfigs`."""
    return word if word.isupper() else re.sub(r"(?<=[a-z])(?=[A-Z])", "_", word).upper()
