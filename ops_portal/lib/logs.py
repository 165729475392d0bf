"""Log lines of every process: one JSON object or one console line each, with the ids of request and task, never a secret.

Modules log through `logging.getLogger(__name__)` with lazy arguments and `extra={...}` for fields.
"""

import re
from typing import Any

import structlog
from structlog.typing import EventDict, Processor

REDACTED = "[redacted]"

_SECRET_KEY = re.compile(
    r"password|passwd|secret|token|authorization|cookie|credential|private_key|api_key|sasl_jaas|csrf", re.IGNORECASE
)
_SECRET_TEXT = re.compile(
    r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(?:-----END [A-Z ]*PRIVATE KEY-----|\Z)"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"  # a JWT
    r"|(?<=/sign-in/)[\w-]{16,}"  # a one-time link
    r"|(?<=://)[^/\s:@]*:[^/\s@]+(?=@)"  # user and password of an address
    r"|(?i:(?<=bearer )|(?<=basic ))[\w.~+/=-]{8,}"
    r"|(?i:(?<=password=)|(?<=passwd=)|(?<=secret=)|(?<=token=)|(?<=password: )|(?<=secret: ))[^\s,;&'\"]+",
    re.DOTALL,
)
_NOT_LOGGED = ("taskName", "request", "server_time")  # what asyncio and Django add to a record; a request holds cookies


def redact(_: Any, __: str, event: EventDict) -> EventDict:
    """Replace what looks like a secret, by the field's name or by the text itself, at any depth.

    Line ends in the message become visible, so that nobody's input can pass for a line of its own.
    """
    cleaned = {key: REDACTED if _SECRET_KEY.search(key) else _clean(value) for key, value in event.items()}
    if isinstance(cleaned.get("event"), str):
        cleaned["event"] = cleaned["event"].replace("\r", "\\r").replace("\n", "\\n")
    return cleaned


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return _SECRET_TEXT.sub(REDACTED, value)
    if isinstance(value, bytes):
        return _clean(value.decode("utf-8", "replace"))
    if isinstance(value, dict):
        return {
            key: REDACTED if isinstance(key, str) and _SECRET_KEY.search(key) else _clean(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple | set | frozenset):
        return [_clean(item) for item in value]
    return value


def _drop_noise(_: Any, __: str, event: EventDict) -> EventDict:
    for name in _NOT_LOGGED:
        event.pop(name, None)
    return event


def logging_settings(*, form: str, level: str) -> dict[str, Any]:
    """Django's LOGGING. `form` is `json` or `console`; `level` the lowest that is logged."""
    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    last: list[Processor] = [
        structlog.stdlib.ProcessorFormatter.remove_processors_meta,
        _drop_noise,
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer: Processor = (
        structlog.processors.JSONRenderer(ensure_ascii=False)
        if form == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {
            "structured": {
                "()": structlog.stdlib.ProcessorFormatter,
                "foreign_pre_chain": shared,
                "processors": [*last, renderer],
            }
        },
        "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "structured"}},
        "root": {"handlers": ["stderr"], "level": level},
        "loggers": {
            "django": {"handlers": [], "level": "INFO", "propagate": True},
            "django.server": {"handlers": [], "level": "INFO", "propagate": True},
            "django.security.DisallowedHost": {"level": "CRITICAL"},  # anybody's typing error
            # Their own handlers would print the query string, and with it what links carry.
            "uvicorn": {"handlers": [], "level": "INFO", "propagate": True},
            "uvicorn.access": {"handlers": [], "level": "WARNING", "propagate": True},
            "uvicorn.error": {"handlers": [], "level": "WARNING", "propagate": True},
            # A line for every message of every second; failures of a task are logged by celery.app.trace at ERROR.
            "celery.worker.strategy": {"level": "WARNING"},
            "celery.app.trace": {"level": "WARNING"},
            "celery.beat": {"level": "WARNING"},
        },
    }
