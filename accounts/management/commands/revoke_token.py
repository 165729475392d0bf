"""End API tokens."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts import selectors, services


class Command(BaseCommand):
    help = "End one token, by its first characters as listed, or all tokens of a user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        which = parser.add_mutually_exclusive_group(required=True)
        which.add_argument("token", nargs="?", help="the token's first 12 characters")
        which.add_argument("--user", metavar="USERNAME", help="every token of this user")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["user"]:
            user = selectors.user_named(options["user"])
            if user is None:
                raise CommandError(f"No user is named {options['user']}.")
            tokens = list(selectors.tokens_of(user).filter(revoked_at__isnull=True))
        else:
            tokens = list(selectors.tokens_by_prefix(options["token"]))
            if not tokens:
                raise CommandError(f"No live token starts with {options['token'][:12]}.")
        ended = sum(services.token_revoke(token=token, acting_user=None) for token in tokens)
        self.stdout.write(f"Ended {ended} token{'' if ended == 1 else 's'}.")
