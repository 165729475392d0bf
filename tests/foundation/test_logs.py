"""Log lines carry ids and never a secret."""

import io
import json
import logging
import logging.config
from collections.abc import Iterator
from typing import Any

import pytest
import structlog

from ops_portal.lib import logs


@pytest.fixture
def lines() -> Iterator[Any]:
    """Logger with the portal's JSON formatter, and a function that reads what it wrote."""
    written = io.StringIO()
    description = logs.logging_settings(form="json", level="DEBUG")
    formatter = dict(description["formatters"]["structured"])
    handler = logging.StreamHandler(written)
    handler.setFormatter(formatter.pop("()")(**formatter))
    logger = logging.getLogger("tests.logs")
    logger.propagate = False
    logger.setLevel("DEBUG")
    logger.addHandler(handler)
    yield logger, lambda: [json.loads(line) for line in written.getvalue().splitlines()]
    logger.removeHandler(handler)


def test_line_has_time_level_logger_fields_and_bound_ids(lines: Any) -> None:
    logger, read = lines
    with structlog.contextvars.bound_contextvars(request_id="r-1"):
        logger.warning("clusters.poll_timed_out %s", "eu-1", extra={"after_s": 5})
    (line,) = read()
    assert line["event"] == "clusters.poll_timed_out eu-1"
    assert (line["level"], line["logger"], line["after_s"], line["request_id"]) == ("warning", "tests.logs", 5, "r-1")
    assert line["timestamp"].endswith("Z")


@pytest.mark.parametrize(
    "text",
    [
        "postgresql://portal:hunter22@db/portal",
        "Authorization: Bearer hunter22hunter22",
        "sasl.password=hunter22, next",
        "token=hunter22&x=1",
        "Gone: /sign-in/hunter22hunter22hunter22",
        "eyJhbGciOiJIUzI1NiJ9.hunter22hunter22.c2ln",
        "-----BEGIN PRIVATE KEY-----\nhunter22\n-----END PRIVATE KEY-----",
        "-----BEGIN EC PRIVATE KEY-----\nhunter22",
    ],
)
def test_secrets_in_texts_and_exceptions_are_not_written(lines: Any, text: str) -> None:
    logger, read = lines
    try:
        raise ValueError(text)
    except ValueError:
        logger.exception("failed for %s", text, extra={"detail": {"nested": [text]}})
    assert "hunter22" not in json.dumps(read())
    assert logs.REDACTED in json.dumps(read())


@pytest.mark.parametrize(
    "key", ["password", "sasl_password", "SECRET_KEY", "access_token", "Authorization", "set_cookie"]
)
def test_fields_named_like_secrets_are_not_written_at_any_depth(lines: Any, key: str) -> None:
    logger, read = lines
    logger.info("x", extra={key: "hunter22", "outer": {"inner": {key: "hunter22"}}})
    assert "hunter22" not in json.dumps(read())


def test_a_line_end_in_somebody_s_input_starts_no_new_line(lines: Any) -> None:
    logger, read = lines
    logger.info("group %s", "a\n2026-01-01 [error] forged")
    (line,) = read()
    assert line["event"] == "group a\\n2026-01-01 [error] forged"


def test_ordinary_words_stay_as_they_are() -> None:
    event = {"event": "http://127.0.0.1:8000/ group risk-engine at 10:15:30 token bucket", "group": "a:b@c"}
    assert logs.redact(None, "info", dict(event)) == event
