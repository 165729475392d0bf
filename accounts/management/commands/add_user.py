"""Add a person."""

import getpass
import sys
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts import selectors, services
from accounts.models import Client
from accounts.roles import Role


class Command(BaseCommand):
    help = "Add a user. Asks for the password on a terminal, or reads it from the first line of a file."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--role", required=True, choices=[role.value for role in Role])
        parser.add_argument(
            "--client",
            action="append",
            default=[],
            metavar="NAME",
            help="a client this user may see; may be given again",
        )
        parser.add_argument("--email", default="")
        parser.add_argument("--password-file", type=Path, metavar="FILE")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            clients = selectors.clients_named(options["client"])
        except Client.DoesNotExist as error:
            raise CommandError(f"No client is named {error}; add it with add_client.") from error
        try:
            services.user_add(
                username=options["name"],
                role=options["role"],
                clients=clients,
                password=_password(options["password_file"]),
                email=options["email"],
                acting_user=None,
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"Added user {options['name']} with role {options['role']}.")


def _password(file: Path | None) -> str:
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CommandError(f"The password file {file} cannot be read: {error}") from error
        if not lines or not lines[0]:
            raise CommandError(f"The password file {file} is empty.")
        return lines[0]
    if not sys.stdin.isatty():
        raise CommandError("No terminal to ask for the password on; give --password-file FILE.")
    password = getpass.getpass("Password: ")
    if password != getpass.getpass("Password again: "):
        raise CommandError("The two passwords differ.")
    return password
