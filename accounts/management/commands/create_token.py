"""Make an API token; the last line of standard output is its text."""

from argparse import ArgumentParser
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts import selectors, services
from ops_portal.lib.clock import iso


class Command(BaseCommand):
    help = "Make a bearer token for a user. The last line of standard output is the token; it is shown this once."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username")
        parser.add_argument("--hours", type=float, default=1, help="how long it lives (default 1)")
        parser.add_argument("--name", default="", help="what it is for")

    def handle(self, *args: Any, **options: Any) -> None:
        user = selectors.user_named(options["username"])
        if user is None:
            raise CommandError(f"No user is named {options['username']}.")
        try:
            token, text = services.token_create(
                user=user, hours=options["hours"], name=options["name"], acting_user=None
            )
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from error
        self.stdout.write(f"Token {token.prefix} of {user.username}, good until {iso(token.expires_at)}:")
        self.stdout.write(text)
