"""Say what the portal cannot find out about the health of a cluster."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from clusters.models import Cluster
from clusters.services.health_settings import health_settings_set


class Command(BaseCommand):
    help = "Set the label that sets a cluster's series apart, its canary topic, and queries of the REST tier."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cluster")
        parser.add_argument("--label", action="append", metavar="NAME=VALUE", help="of the brokers' series")
        parser.add_argument("--host-label", action="append", metavar="NAME=VALUE", help="of node_exporter's series")
        parser.add_argument("--canary-topic", metavar="TOPIC", help="a record is written to it at each poll; '' = none")
        parser.add_argument(
            "--rest-queries", metavar="FILE", help='JSON: [{"name", "title", "query", "unit", "warn"?, "critical"?}]'
        )

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = Cluster.objects.filter(name=options["cluster"], removed_at__isnull=True).first()
        if cluster is None:
            raise CommandError(f"There is no cluster {options['cluster']}.")
        try:
            health_settings_set(
                cluster=cluster,
                matchers=_labels(options["label"]),
                host_matchers=_labels(options["host_label"]),
                canary_topic=options["canary_topic"],
                rest_queries=_queries(options["rest_queries"]),
                acting_user=None,
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(f"The health settings of {cluster.name} are set.")


def _labels(given: list[str] | None) -> dict[str, str] | None:
    """None where the option is not given; `--label ''` takes the labels back."""
    if given is None:
        return None
    found = {}
    for text in filter(None, given):
        name, sign, value = text.partition("=")
        if not sign:
            raise CommandError(f"{text!r} is not NAME=VALUE.")
        found[name] = value
    return found


def _queries(path: str | None) -> list[dict[str, Any]] | None:
    if path is None:
        return None
    try:
        found = json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise CommandError(f"{path} cannot be read: {error}") from error
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        raise CommandError(f"{path} is not a list of objects.")
    return found
