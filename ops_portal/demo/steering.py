"""The worker's end of its line to the traffic process: when to stop, what to do, and word that it has begun."""

import contextlib
import signal
import socket
from typing import Any

import orjson

Command = dict[str, Any]


class Steering:
    """Made in the forked process. The end of the line (the parent is gone) means the same as SIGTERM."""

    def __init__(self, channel: socket.socket) -> None:
        self._channel = channel
        self._channel.setblocking(False)
        self._received = b""
        self._stopped = False
        self._told = False
        self._waiting: list[Command] = []
        signal.signal(signal.SIGTERM, self._stop)

    def running(self) -> bool:
        """False when the worker is to end. Reads the line, so a worker asks at least every half second."""
        try:
            chunk = self._channel.recv(65_536)
        except BlockingIOError:
            return not self._stopped
        if not chunk:
            self._stopped = True
        *lines, self._received = (self._received + chunk).split(b"\n")
        self._waiting += [orjson.loads(line) for line in lines]
        return not self._stopped

    def commands(self) -> list[Command]:
        """What has been asked since the last call."""
        taken, self._waiting = self._waiting, []
        return taken

    def begun(self) -> None:
        """Tell the parent, once, that the worker takes part: records are sent, or partitions are assigned."""
        if not self._told:
            self._told = True
            with contextlib.suppress(OSError):
                self._channel.send(b".")

    def _stop(self, *_: object) -> None:
        self._stopped = True
