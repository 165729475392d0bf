"""Name the schema registry of a cluster."""

import getpass
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from clusters.gateways.registry import RegistryFailed
from clusters.models import Cluster
from clusters.services.schemas import registry_connect, registry_set
from ops_portal.lib.resilience import Deadline, DeadlinePassed

SECONDS = 8.0


class Command(BaseCommand):
    help = "Name the schema registry of a cluster (Confluent's API; Apicurio's is under /apis/ccompat/v7)."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cluster")
        parser.add_argument("url")
        parser.add_argument("--username", default="")
        parser.add_argument("--password-file", help="asked for on the terminal where it is not given")

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = Cluster.objects.filter(name=options["cluster"], removed_at__isnull=True).first()
        if cluster is None:
            raise CommandError(f"There is no cluster named {options['cluster']}.")
        password = ""
        if options["username"]:
            given = options["password_file"]
            password = Path(given).read_text(encoding="utf-8").strip() if given else getpass.getpass()
        try:
            registry = registry_set(
                cluster=cluster, url=options["url"], username=options["username"], password=password, acting_user=None
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        try:
            count = len(registry_connect(registry, Deadline.after(SECONDS)).subjects())
        except (RegistryFailed, DeadlinePassed) as failure:
            self.stdout.write(f"Kept, but it does not answer now: {failure}")
        else:
            self.stdout.write(f"The registry answers; it has {count} subjects.")
