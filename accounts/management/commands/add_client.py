"""Add a client and what belongs to it; run again, it adds the globs that are new."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts import selectors, services
from accounts.services import OwnershipSpec

KINDS = ("group", "topic", "principal", "key")


class Command(BaseCommand):
    help = "Add a client and the groups, topics, principals and record keys that belong to it."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument(
            "--cluster", default="", help="the globs hold on this cluster only; default: on every cluster"
        )
        for kind in KINDS:
            parser.add_argument(
                f"--{kind}", action="append", default=[], metavar="GLOB", help="case-sensitive, may be given again"
            )

    def handle(self, *args: Any, **options: Any) -> None:
        specs = [OwnershipSpec(kind, glob, options["cluster"]) for kind in KINDS for glob in options[kind]]
        client = selectors.client_named(options["name"])
        try:
            if client is None:
                services.client_add(name=options["name"], specs=specs, acting_user=None)
                self.stdout.write(f"Added client {options['name']} with {len(specs)} globs.")
            else:
                added = services.ownership_add(client=client, specs=specs, acting_user=None)
                self.stdout.write(f"Client {client.name} exists; added {added} of {len(specs)} globs.")
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
