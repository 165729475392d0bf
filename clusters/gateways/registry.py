"""A schema registry with Confluent's HTTP API: Confluent's own, Karapace, Apicurio under /apis/ccompat/v7.

They differ where it hurts: an incompatible schema is 409 with 40901 or 409 inside, a subject without compatibility of its own
is 404 with 40401 or 40408, and Apicurio never says in a check what breaks.
"""

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

import orjson

from ops_portal.lib import outbound
from ops_portal.lib.resilience import Deadline

MOST_BYTES = 8 * 1024 * 1024
MOST_VERSIONS_CHECKED = 50
APICURIO_PATH = "/apis/ccompat/v7"
_CONTENT_TYPE = "application/vnd.schemaregistry.v1+json"


class RegistryFailed(Exception):
    """The registry did not answer as one does. `code`: those of outbound, or http_NNN, form. The text is one sentence."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Version:
    """One version of a subject. `schema_type` is AVRO where the registry leaves it out."""

    version: int
    schema_id: int
    schema_type: str
    schema: str


@dataclass(frozen=True, slots=True)
class Checked:
    """Whether a schema may be registered. `version` is the newest it was held against, None for a new subject."""

    compatible: bool
    messages: tuple[str, ...] = ()
    version: int | None = None


class Registry:
    """One registry for one run. `requests` counts the calls."""

    def __init__(self, url: str, deadline: Deadline, *, username: str = "", password: str = "") -> None:
        self._url = url.rstrip("/")
        self._deadline = deadline
        self._headers = {"Accept": f"{_CONTENT_TYPE}, application/json"}
        if username:
            pair = base64.b64encode(f"{username}:{password}".encode()).decode()
            self._headers["Authorization"] = f"Basic {pair}"
        self.requests = 0

    def subjects(self) -> list[str]:
        """Names of all subjects, sorted; and which address they are under, where only the server was named.

        Call it before anything else: under a wrong address every subject would seem to be absent. Raises RegistryFailed.
        """
        try:
            return sorted(str(name) for name in self._list("/subjects"))
        except RegistryFailed as failure:
            if failure.code not in {"http_404", "form"} or self._url.endswith(APICURIO_PATH):
                raise
            given, self._url = self._url, self._url + APICURIO_PATH
            try:
                return sorted(str(name) for name in self._list("/subjects"))
            except RegistryFailed:
                self._url = given
                raise failure from None

    def versions(self, subject: str) -> list[int]:
        """Version numbers, ascending; empty for a subject that is not there. Raises RegistryFailed."""
        return sorted(int(number) for number in self._list(f"/subjects/{_part(subject)}/versions", absent=[]))

    def latest(self, subject: str) -> Version | None:
        """The newest version; None when there is none. Raises RegistryFailed."""
        return self.version(subject, "latest")

    def version(self, subject: str, number: int | str) -> Version | None:
        found = self._get(f"/subjects/{_part(subject)}/versions/{number}", absent=None)
        if found is None:
            return None
        try:
            kind = str(found.get("schemaType") or "AVRO")
            return Version(int(found["version"]), int(found["id"]), kind, str(found["schema"]))
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise self._odd() from error

    def default_compatibility(self) -> str:
        """The mode of subjects that have none of their own. Raises RegistryFailed."""
        return self._mode(self._get("/config"))

    def compatibility(self, subject: str) -> str | None:
        """The subject's own mode; None when the default is in force. Raises RegistryFailed."""
        found = self._get(f"/config/{_part(subject)}", absent=None)
        return None if found is None else self._mode(found)

    def check(self, subject: str, schema: str, schema_type: str, mode: str) -> Checked:
        """Would this schema be taken? Held against the newest version, or all of them in a transitive mode. Raises RegistryFailed."""
        numbers = self.versions(subject)
        if not numbers:
            return Checked(compatible=True)
        held = numbers[-MOST_VERSIONS_CHECKED:] if mode.endswith("_TRANSITIVE") else numbers[-1:]
        messages: list[str] = []
        compatible = True
        for number in reversed(held):
            path = f"/compatibility/subjects/{_part(subject)}/versions/{number}?verbose=true"
            answer = self._call("POST", path, {"schema": schema, "schemaType": schema_type})
            body = self._body(answer)
            if answer.status == 422:
                return Checked(compatible=False, messages=(_message(body),), version=numbers[-1])
            if answer.status != 200 or not isinstance(body, dict) or not isinstance(body.get("is_compatible"), bool):
                raise self._refused(answer.status, body)
            if not body["is_compatible"]:
                compatible = False
                given = body.get("messages")
                messages += [str(text) for text in given] if isinstance(given, list) else []
        return Checked(compatible, tuple(dict.fromkeys(messages)), numbers[-1])

    def _mode(self, found: Any) -> str:
        mode = found.get("compatibilityLevel") or found.get("compatibility") if isinstance(found, dict) else None
        if not isinstance(mode, str):
            raise self._odd()
        return mode

    def _list(self, path: str, absent: Any = ...) -> list[Any]:
        found = self._get(path, absent)
        if not isinstance(found, list):
            raise self._odd()
        return found

    def _get(self, path: str, absent: Any = ...) -> Any:
        """The JSON at a path; `absent` for 404, where that is given."""
        answer = self._call("GET", path)
        body = self._body(answer)
        if answer.status == 404 and absent is not ... and isinstance(body, dict) and "error_code" in body:
            return absent
        if answer.status != 200:
            raise self._refused(answer.status, body)
        return body

    def _call(self, method: str, path: str, body: Mapping[str, str] | None = None) -> outbound.Answer:
        self.requests += 1
        headers = self._headers | ({"Content-Type": _CONTENT_TYPE} if body is not None else {})
        try:
            return outbound.call(
                method, self._url + path, policy=outbound.INVENTORY, deadline=self._deadline, most_bytes=MOST_BYTES,
                headers=headers, data=None if body is None else orjson.dumps(body),
            )  # fmt: skip
        except outbound.OutboundFailed as error:
            raise RegistryFailed(error.code, error.message) from error

    def _body(self, answer: outbound.Answer) -> Any:
        try:
            return orjson.loads(answer.body)
        except orjson.JSONDecodeError as error:
            if answer.status in {401, 403}:
                raise self._refused(answer.status, None) from error
            raise self._odd() from error

    def _refused(self, status: int, body: Any) -> RegistryFailed:
        if status in {401, 403}:
            return RegistryFailed("not_allowed", f"{self._url} does not let the portal in (HTTP {status}).")
        return RegistryFailed(f"http_{status}", f"{self._url} answered HTTP {status}: {_message(body)}")

    def _odd(self) -> RegistryFailed:
        return RegistryFailed("form", f"What answers at {self._url} is not a registry with Confluent's API.")


def _message(body: Any) -> str:
    return str(body.get("message", "without a reason"))[:2000] if isinstance(body, dict) else "without a reason"


def _part(subject: str) -> str:
    return quote(subject, safe="")
