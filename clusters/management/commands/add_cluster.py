"""Add a Kafka cluster; says at once whether it answers."""

from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from clusters import properties, services
from clusters.gateways.kafka_probe import ConnectionTest
from clusters.models import Cluster
from clusters.properties import SECRET, Properties, PropertiesRefused

_LARGEST_FILE = 1024 * 1024


class Command(BaseCommand):
    help = "Add a Kafka cluster. Secrets belong in the properties file, not on the command line."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("name", help="lower-case letters, digits and dashes")
        parser.add_argument("--bootstrap", required=True, metavar="HOST:PORT[,...]")
        parser.add_argument("--properties-file", metavar="FILE", help="client properties, librdkafka's names or Java's")
        parser.add_argument("--property", action="append", default=[], metavar="KEY=VALUE", help="may be given again")
        parser.add_argument("--prometheus", default="", metavar="URL")
        parser.add_argument("--controllers", default="", metavar="HOST:PORT[,...]")
        parser.add_argument("--if-new", action="store_true", help="leave a cluster of this name as it is")
        parser.add_argument("--offline", action="store_true", help="add it even if it does not answer now")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["if_new"] and Cluster.objects.filter(name=options["name"]).exists():
            self.stdout.write(f"Cluster {options['name']} is known already.")
            return
        try:
            services.cluster_name_check(name=options["name"])
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        given = self._properties(options)
        test = services.connection_test(bootstrap=options["bootstrap"], properties=given)
        self._tell(test)
        if not test.ok and not options["offline"]:
            raise CommandError(
                "The cluster was not added. Correct the settings, or add it all the same with --offline."
            )
        if options["prometheus"]:
            problem = services.prometheus_test(url=options["prometheus"])
            self.stdout.write(f"Prometheus: {problem}" if problem else "Prometheus answers.")
        try:
            cluster = services.cluster_add(
                name=options["name"],
                bootstrap=options["bootstrap"],
                properties=given,
                prometheus_url=options["prometheus"],
                controllers=options["controllers"],
                acting_user=None,
            )
        except ValidationError as error:
            raise CommandError("; ".join(error.messages)) from error
        self.stdout.write(f"Added cluster {cluster.name}.")

    def _properties(self, options: dict[str, Any]) -> Properties:
        raw: dict[str, str] = {}
        if options["properties_file"]:
            raw = properties.parse_file(_read(options["properties_file"]).decode("utf-8", "replace"))
        for pair in options["property"]:
            key, sign, value = pair.partition("=")
            if not sign:
                raise CommandError(f"--property {key}: KEY=VALUE is needed.")
            if key.strip() in SECRET or key.strip() == "sasl.jaas.config":
                raise CommandError(
                    f"{key.strip()} is a secret: others on this machine can read command lines. Use --properties-file."
                )
            raw[key.strip()] = value
        try:
            found = properties.check(raw, read_file=_read_bytes)
        except PropertiesRefused as refused:
            raise CommandError("; ".join(f"{name}: {text}" for name, text in refused.fields.items())) from refused
        if found.ignored:
            self.stdout.write(f"Ignored, of no use here: {', '.join(found.ignored)}.")
        return found

    def _tell(self, test: ConnectionTest) -> None:
        write = self.stdout.write if test.ok else self.stderr.write
        write(test.message if test.ok else f"{test.message} ({test.code})")
        for problem in test.problems:
            self.stdout.write(f"- {problem}")


def _read(path: str) -> bytes:
    try:
        return _read_bytes(path)
    except OSError as error:
        raise CommandError(f"The file {path} cannot be read: {error.strerror}.") from error


def _read_bytes(path: str) -> bytes:
    with Path(path).expanduser().open("rb") as handle:
        return handle.read(_LARGEST_FILE)
