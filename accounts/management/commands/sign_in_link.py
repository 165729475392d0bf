"""Print a one-time sign-in link."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from accounts import selectors, services


class Command(BaseCommand):
    help = (
        "Print the path of a link that signs somebody in once within 24 hours: the named user, or without a name the first "
        "administrator, who is made when there is none."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("username", nargs="?")
        parser.add_argument(
            "--first", action="store_true", help="print nothing when an administrator has signed in before"
        )
        parser.add_argument("--base", default="", metavar="URL", help="put this address in front of the path")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["first"] and selectors.administrator_has_signed_in():
            return
        if options["username"] is None:
            text = services.one_time_sign_in_link_create()
        else:
            user = selectors.user_named(options["username"])
            if user is None or not user.is_active:
                raise CommandError(f"No active user is named {options['username']}.")
            text = services.sign_in_link_create(user=user, acting_user=None)
        self.stdout.write(options["base"].rstrip("/") + reverse("accounts:link-sign-in", args=[text]))
