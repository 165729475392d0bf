"""Send what a broker's or registry's log tells of refusals to the portal, as it is written."""

import os
import signal
import socket
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from django.core.management.base import BaseCommand, CommandError

from clusters.rejections.ship import Portal, Shipper, ship


class Command(BaseCommand):
    help = (
        "Follow log files and post their lines to the portal: Kafka's authorizer log, its server log (failed "
        "authentications), a registry's access log. Rotation, restarts and a portal that is away lose and double nothing. "
        "The token is read from --token-file, else from PORTAL_TOKEN."
    )
    requires_system_checks: list[str] = []  # it runs beside a broker, where the portal's database is not

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("files", nargs="+", metavar="FILE")
        parser.add_argument("--url", required=True, help="the portal's address, such as https://portal.example.com")
        parser.add_argument("--cluster", required=True, help="the cluster's name in the portal")
        parser.add_argument(
            "--token-file", help="a file with a token of a user who may ingest; read again for each call"
        )
        parser.add_argument("--time-zone", default="UTC", help="of times in the log that name none (default UTC)")
        parser.add_argument(
            "--source", default="", help="who sends; fixed names for containers (default: the host's name)"
        )
        parser.add_argument("--position-dir", help="where positions are kept (default: FILE.position beside each file)")
        parser.add_argument("--ca-file", help="certificate authorities for https, PEM")
        parser.add_argument("--once", action="store_true", help="send what there is and end")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            ZoneInfo(options["time_zone"])
        except (OSError, ValueError, KeyError) as error:
            raise CommandError(f"{options['time_zone']!r} is not a time zone such as Europe/Berlin.") from error
        token_file = options["token_file"]
        if not token_file and not os.environ.get("PORTAL_TOKEN"):
            raise CommandError("Give --token-file, or set PORTAL_TOKEN.")
        portal = Portal(
            url=options["url"],
            token=lambda: _token(token_file),
            cluster=options["cluster"],
            time_zone=options["time_zone"],
            source=options["source"] or socket.gethostname(),
            ca_file=options["ca_file"],
        )
        shippers = [
            Shipper(path, _place_file(path, options["position_dir"]), portal, self._say)
            for path in (Path(name).absolute() for name in options["files"])
        ]
        stopped: list[int] = []
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda number, _: stopped.append(number))
        ship(shippers, lambda: bool(stopped), once=options["once"])

    def _say(self, text: str) -> None:
        self.stderr.write(text)
        self.stderr.flush()


def _token(token_file: str | None) -> str:
    if not token_file:
        return os.environ["PORTAL_TOKEN"].strip()
    try:
        return Path(token_file).read_text(encoding="utf-8").strip()
    except OSError as error:
        return f"unreadable-{error.errno}"  # the portal refuses it and the shipper goes on trying


def _place_file(path: Path, directory: str | None) -> Path:
    if not directory:
        return path.with_name(f"{path.name}.position")
    return Path(directory) / f"{str(path).strip('/').replace('/', '_')}.position"
