"""Words of an import: how far it is, and which way it came."""

from enum import StrEnum


class Status(StrEnum):
    """How the reading of a load test's files stands."""

    IMPORTING = "importing"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"

    @property
    def label(self) -> str:
        return self.value.capitalize()

    @property
    def tone(self) -> str:
        return {"failed": "critical", "cancelled": "unknown", "done": "ok"}.get(self.value, "maintenance")


class Via(StrEnum):
    """Where a load test was brought in."""

    PAGE = "page"
    API = "api"
    COMMAND = "command"
    DEMO = "demo"
