"""Sending what a log file gains to the portal: what has not been taken is sent again, from where the portal says it stands."""

import hashlib
import json
import random
import socket
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from clusters.rejections.tail import Place, Stretch, Tail, keep_place, load_place
from ops_portal.lib import outbound
from ops_portal.lib.resilience import Deadline

LOOK_SECONDS = 0.25  # between two looks at a file that has nothing new
POST_SECONDS = 20.0
LONGEST_PAUSE_SECONDS = 30.0


class NotTaken(Exception):
    """The portal did not answer, or said no. `pause` is how long it wants to be left alone, in seconds."""

    def __init__(self, message: str, *, pause: float | None = None, too_large: bool = False) -> None:
        super().__init__(message)
        self.pause = pause
        self.too_large = too_large


class Send(Protocol):
    """Send a stretch of a file; where its stream stands afterwards, in bytes. Raises NotTaken."""

    def __call__(self, stretch: Stretch, label: str) -> int: ...


@dataclass(frozen=True, slots=True)
class Portal:
    """The portal's ingest. The token is read from its file for each call, so that it can be replaced at any time.

    A stream is named after who sends, the file's path and its first line: brokers may begin their logs alike.
    """

    url: str
    token: Callable[[], str]
    cluster: str
    time_zone: str
    source: str
    ca_file: str | None = None

    def __call__(self, stretch: Stretch, label: str) -> int:
        params = {
            "cluster": self.cluster,
            "time_zone": self.time_zone,
            "stream": f"{self.source[:100]}:{_short(label.partition(':')[2])}:{stretch.stream}",
            "start": str(stretch.start),
            "end": str(stretch.end),
            "label": label,
            "sent_at": repr(time.time()),  # the portal corrects by the difference to its own
        }
        try:
            answer = outbound.call(
                "POST",
                f"{self.url.rstrip('/')}/api/v1/ingest/authorizer-log",
                policy=outbound.INVENTORY,
                deadline=Deadline.after(POST_SECONDS),
                headers={"Authorization": f"Bearer {self.token()}", "Content-Type": "text/plain"},
                params=params,
                data=stretch.data,
                ca_file=self.ca_file,
            )
        except outbound.OutboundFailed as error:
            raise NotTaken(error.message) from error
        return _position(answer)


def _short(path: str) -> str:
    return hashlib.sha256(path.encode("utf-8", "surrogateescape")).hexdigest()[:8]


def _position(answer: outbound.Answer) -> int:
    try:
        body = json.loads(answer.body)
        if answer.status == 200:
            return int(body["position"])
        message = str(body.get("message", "")) + "".join(
            f" {name}: {' '.join(texts)}." for name, texts in (body.get("fields") or {}).items()
        )
    except (ValueError, KeyError, TypeError, AttributeError):
        message = "What answers is not the portal."
    pause = answer.headers.get("retry-after", "")
    raise NotTaken(
        f"HTTP {answer.status}: {message}",
        pause=float(pause) if pause.isdigit() else None,
        too_large=answer.status == 413,
    )


class Shipper:
    """One file on its way to the portal. `place_file` keeps how far it has come."""

    def __init__(self, path: Path, place_file: Path, send: Send, say: Callable[[str], None]) -> None:
        place, kept_at = load_place(place_file)
        self.tail = Tail(path, place, kept_at=kept_at)
        self.label = f"{socket.gethostname()}:{path}"
        self._place_file, self._send, self._say = place_file, send, say
        self._failures = 0
        self._kept, self._began = True, place is not None
        self._not_before = 0.0  # on the monotonic clock

    def step(self) -> bool:
        """Send the next lines, if there are any and it is time; True when there may be more at once."""
        if time.monotonic() < self._not_before:
            return False
        stretch = self.tail.read()
        if self.tail.lost:
            self._say(self.tail.lost)
            self.tail.lost = ""
        if stretch is None:
            return False
        if not self._began:  # so that whoever comes after a crash knows that this file was begun, should it be rotated
            self._keep(Place(stretch.stream, stretch.start))
            self._began = True
        try:
            position = self._send(stretch, self.label)
        except NotTaken as error:
            self._wait(error)
            return False
        if self._failures:
            self._say(f"{self.label}: the portal takes lines again.")
            self._failures = 0
        place = Place(stretch.stream, position)
        self.tail.taken(place)
        self._keep(place)
        return True

    def _keep(self, place: Place) -> None:
        """The portal knows the position too: without the file a restart costs one more call, and no line."""
        try:
            keep_place(self._place_file, place)
            self._kept = True
        except OSError as error:
            if self._kept:
                self._say(f"{self._place_file}: the position cannot be kept: {error.strerror}.")
            self._kept = False

    @property
    def waiting(self) -> bool:
        """Whether the portal is being left alone after a failure."""
        return self._failures > 0

    def _wait(self, error: NotTaken) -> None:
        if error.too_large:
            self.tail.most_bytes = max(64 * 1024, self.tail.most_bytes // 2)
        if not self._failures:
            self._say(f"{self.label}: not taken, sending again. {error}")
        pause = min(LONGEST_PAUSE_SECONDS, 0.5 * 2 ** min(self._failures, 10))
        self._failures += 1
        self._not_before = time.monotonic() + max(error.pause or 0.0, pause * random.uniform(0.5, 1.0))  # noqa: S311


def ship(shippers: Sequence[Shipper], ended: Callable[[], bool], *, once: bool = False) -> None:
    """Send until `ended` says so; with `once`, until every file has been sent to its end."""
    while not ended():
        if sum(shipper.step() for shipper in shippers):  # every one of them takes its step
            continue
        if once and not any(shipper.waiting for shipper in shippers):
            return
        time.sleep(LOOK_SECONDS)
