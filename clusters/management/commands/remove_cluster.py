"""Stop watching a Kafka cluster."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from clusters import services
from clusters.models import Cluster


class Command(BaseCommand):
    help = "Stop watching a cluster. Its groups, topics and findings go from every page; Kafka itself is not touched."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name")
        parser.add_argument("--yes", action="store_true", help="do not ask")

    def handle(self, *args: Any, **options: Any) -> None:
        cluster = Cluster.objects.filter(name=options["name"], removed_at__isnull=True).first()
        if cluster is None:
            raise CommandError(f"There is no cluster named {options['name']}.")
        if not options["yes"] and input(f"Type {cluster.name} to remove it: ").strip() != cluster.name:
            raise CommandError("Nothing was removed.")
        services.cluster_remove(cluster=cluster, acting_user=None)
        self.stdout.write(f"Removed cluster {cluster.name}.")
