"""`manage.py import_load_test DIR`: read the files of a load test where they lie and judge them."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError
from django.urls import reverse

from clusters.load_tests.states import Status, Via
from clusters.models import Cluster, LoadTest
from clusters.services.load_tests import COMMAND_SECONDS, found_at, load_test_begin, load_test_read

MISSED = 1  # exit code with --check


class Command(BaseCommand):
    help = (
        "Bring in a load test: any of summary.json, traces.csv, broker-metrics, broker-*-cpu.csv, replication-lag.csv."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path)
        parser.add_argument("--name", default="", help="default: the directory's name")
        parser.add_argument(
            "--cluster", default="", help="its own figures of the same minutes then stand beside the run"
        )
        parser.add_argument(
            "--threshold", action="append", default=[], metavar="EXPRESSION", help="p95<10; may be given several times"
        )
        parser.add_argument("--check", action="store_true", help="end with 1 unless every threshold is kept")

    def handle(self, *args: Any, **options: Any) -> None:
        directory = Path(options["directory"])
        if not directory.is_dir():
            raise CommandError(f"{directory} is no directory.")
        cluster = Cluster.objects.filter(name=options["cluster"], removed_at__isnull=True).first()
        if options["cluster"] and cluster is None:
            raise CommandError(f"There is no cluster named {options['cluster']}.")
        row = import_directory(
            directory,
            name=options["name"] or directory.resolve().name,
            cluster=cluster,
            thresholds=options["threshold"],
            via=Via.COMMAND,
        )
        for line in told(row):
            self.stdout.write(line)
        if options.get("check") and any(verdict["verdict"] != "kept" for verdict in row.verdicts):
            raise CommandError("Not every threshold is kept.", returncode=MISSED)


def import_directory(directory: Path, *, name: str, cluster: Cluster | None, thresholds: list[str], via: Via) -> LoadTest:  # fmt: skip
    """Read the files of a directory in this process. Raises CommandError with what is wrong."""
    files = [found_at(path) for path in sorted(directory.iterdir()) if path.is_file()]
    try:
        row = load_test_begin(
            name=name, cluster=cluster, thresholds=thresholds, files=files, acting_user=None, via=via, send=None
        )
    except ValidationError as error:
        raise CommandError(" ".join(error.messages)) from error
    load_test_read(pk=row.pk, seconds=COMMAND_SECONDS)
    row.refresh_from_db()
    if row.status != Status.DONE:
        raise CommandError(row.error or f"The reading was {row.status}.")
    return row


def told(row: LoadTest) -> list[str]:
    """The verdicts as lines for a terminal."""
    lines = [f"{verdict['verdict']:<12} {verdict['threshold']:<30} {verdict['reason']}" for verdict in row.verdicts]
    lines += [
        f"not borne out {one['metric']} {one['aggregate']}: stated {one['stated']:g}, in the samples {one['measured']:g}"
        for one in row.contradictions
    ]
    lines += [
        f"{one['file']}{':' + str(one['line']) if one['line'] else ''}: {one['text']}" for one in row.problems[:10]
    ]
    return [*lines, f"Load test {row.pk}: {reverse('clusters:load-test-detail', args=[row.pk])}"]
