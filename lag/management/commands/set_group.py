"""Set what Kafka does not tell of consumer groups, or mute groups known to be dead."""

from argparse import ArgumentParser
from datetime import UTC, datetime
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from clusters.models import Cluster
from lag import services


class Command(BaseCommand):
    help = "Set read_committed, commit interval and target of the groups that match a glob, or mute them."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("cluster")
        parser.add_argument("glob", help="case-sensitive; where several match a group, the longest holds")
        parser.add_argument("--read-committed", action="store_true", help="lag counts up to the last stable offset")
        parser.add_argument(
            "--commit-interval", type=float, metavar="SECONDS", help="longest normal time between commits"
        )
        parser.add_argument("--target-seconds", type=float, metavar="S", help="lag above which the group falls behind")
        parser.add_argument("--mute", action="store_true", help="no breaches until --until; needs --reason")
        parser.add_argument("--reason", default="", metavar="TEXT")
        parser.add_argument("--until", metavar="TIME", help="ISO 8601, UTC unless it says otherwise")

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = Cluster.objects.filter(name=options["cluster"], removed_at__isnull=True).first()
        if cluster is None:
            raise CommandError(f"There is no cluster {options['cluster']}.")
        try:
            said = self._set(cluster, options) + self._mute(cluster, options)
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        if not said:
            raise CommandError("Nothing to set: give --read-committed, --commit-interval, --target-seconds or --mute.")
        self.stdout.write(f"Groups {options['glob']} on {cluster.name}: {', '.join(said)}.")

    def _set(self, cluster: Cluster, options: dict[str, Any]) -> list[str]:
        said = ["read committed"] if options["read_committed"] else []
        said += [f"commit interval {options['commit_interval']:g} s"] if options["commit_interval"] is not None else []
        said += [f"target {options['target_seconds']:g} s"] if options["target_seconds"] is not None else []
        if said:
            services.group_setting_set(
                cluster=cluster,
                glob=options["glob"],
                read_committed=options["read_committed"] or None,
                commit_interval_seconds=options["commit_interval"],
                target_seconds=options["target_seconds"],
                acting_user=None,
            )
        return said

    def _mute(self, cluster: Cluster, options: dict[str, Any]) -> list[str]:
        if not options["mute"]:
            return []
        until = _time(options["until"])
        services.group_mute(
            cluster=cluster, glob=options["glob"], reason=options["reason"], until=until, acting_user=None
        )
        return [f"muted until {until.isoformat(timespec='minutes')}"]


def _time(text: str | None) -> datetime:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        raise CommandError("--mute needs --until TIME, such as 2030-01-31T18:00.") from None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
