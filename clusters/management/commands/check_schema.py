"""Whether a schema may be registered, for a job before the deployment that would register it."""

import json
import os
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.db import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from clusters.api.schemas import check_json
from clusters.gateways.registry import RegistryFailed
from clusters.models import Cluster
from clusters.services.schemas import schema_check
from ops_portal.lib import outbound
from ops_portal.lib.resilience import Deadline

COMPATIBLE, INCOMPATIBLE, UNKNOWN = 0, 1, 2
SECONDS = 30.0


class Command(BaseCommand):
    help = (
        "Ask the schema registry whether FILE may become the next version of SUBJECT. Exit code 0: it may; 1: it is not "
        "compatible, and the reasons are printed; 2: nobody can say. With --url the portal is asked over HTTP, with the "
        "token of --token-file or PORTAL_TOKEN, from wherever the job runs; without it, this portal's own database."
    )
    requires_system_checks: list[str] = []  # with --url there is no database

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("subject")
        parser.add_argument("file", help="the schema; - reads standard input")
        parser.add_argument("--cluster", default="", help="needed when several clusters have a registry")
        parser.add_argument("--type", default="", help="AVRO, JSON or PROTOBUF (default: by the subject)")
        parser.add_argument("--url", default="", help="the portal's address")
        parser.add_argument("--token-file", default="")
        parser.add_argument("--ca-file", help="certificate authorities for https, PEM")
        parser.add_argument("--json", action="store_true", help="print the whole answer as JSON")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            text = sys.stdin.read() if options["file"] == "-" else Path(options["file"]).read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"{options['file']} cannot be read: {error}.", returncode=UNKNOWN) from error
        try:
            answer = self._over_http(text, options) if options["url"] else self._here(text, options)
        except (OperationalError, InterfaceError, PoolTimeout) as error:
            raise CommandError(f"The portal's database does not answer: {error}", returncode=UNKNOWN) from error
        if options["json"]:
            self.stdout.write(json.dumps(answer, indent=2))
        else:
            self._say(answer)
        if not answer["compatible"]:
            sys.exit(INCOMPATIBLE)

    def _here(self, text: str, options: dict[str, Any]) -> dict[str, Any]:
        rows = Cluster.objects.filter(removed_at__isnull=True, schema_registry__isnull=False)
        found = list(rows.filter(name=options["cluster"]) if options["cluster"] else rows)
        if len(found) != 1:
            words = (
                "Several clusters have a schema registry: name one with --cluster."
                if found
                else "There is no registry."
            )
            raise CommandError(words, returncode=UNKNOWN)
        try:
            result = schema_check(
                cluster=found[0], subject=options["subject"], schema=text, schema_type=options["type"], acting_user=None
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages), returncode=UNKNOWN) from error
        except RegistryFailed as failure:
            raise CommandError(failure.message, returncode=UNKNOWN) from failure
        return check_json(result)

    def _over_http(self, text: str, options: dict[str, Any]) -> dict[str, Any]:
        token = os.environ.get("PORTAL_TOKEN", "")
        if options["token_file"]:
            token = _token(options["token_file"])
        subject = quote(options["subject"], safe="")
        try:
            answer = outbound.call(
                "POST", f"{options['url'].rstrip('/')}/api/v1/schemas/{subject}/check", policy=outbound.INVENTORY,
                deadline=Deadline.after(SECONDS), headers={"Authorization": f"Bearer {token.strip()}"},
                json={"schema": text, "schema_type": options["type"], "cluster": options["cluster"]},
                most_bytes=2 * 1024 * 1024, ca_file=options["ca_file"],
            )  # fmt: skip
            body = json.loads(answer.body)
        except outbound.OutboundFailed as error:
            raise CommandError(error.message, returncode=UNKNOWN) from error
        except ValueError as error:
            raise CommandError("What answers is not the portal.", returncode=UNKNOWN) from error
        if answer.status != 200 or not isinstance(body, dict):
            fields = " ".join(f"{name}: {' '.join(texts)}." for name, texts in (body.get("fields") or {}).items())
            raise CommandError(f"HTTP {answer.status}: {body.get('message', '')} {fields}".strip(), returncode=UNKNOWN)
        return body

    def _say(self, answer: dict[str, Any]) -> None:
        held = f"version {answer['version']}" if answer["version"] is not None else "nothing: the subject is new"
        word = "compatible" if answer["compatible"] else "NOT compatible"
        self.stdout.write(f"{answer['subject']}: {word} under {answer['compatibility']}, held against {held}.")
        for text in [*answer["reasons"], *answer["fixes"]]:
            self.stdout.write(f"  {text}")
        if not answer["compatible"] and answer["difference"]:
            self.stdout.write(answer["difference"])


def _token(path: str) -> str:
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CommandError(f"The token file {path} cannot be read: {error}.", returncode=UNKNOWN) from error
