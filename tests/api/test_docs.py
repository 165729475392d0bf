"""The documentation of API, errors and metrics says what is served, and the samples use only what is exported."""

import json
import re
from pathlib import Path

import pytest
from django.conf import settings

from clusters import exporter as clusters_exporter
from clusters.services import health_store
from clusters.services import rejection_findings as rejections
from clusters.services.certificates import findings as certificates
from lag import exporter
from lag.verdicts import Verdict
from ops_portal import web_figures
from ops_portal.api import openapi_document
from ops_portal.lib.live import views
from ops_portal.lib.problems import STATUS_OF

ROOT = Path(settings.BASE_DIR)


def text_of(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def test_every_error_code_is_described_with_its_status() -> None:

    described = {
        code: int(status)
        for status, code in re.findall(r"^\| (\d{3}) \| `(\w+)` \|", text_of("docs/api-errors.md"), re.MULTILINE)
    }

    assert described == STATUS_OF


def test_every_address_is_described_and_every_described_one_is_served() -> None:
    described = set(re.findall(r"^\| `(\w+) (/[^`]+)` \|", text_of("docs/api.md"), re.MULTILINE))
    served = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in openapi_document()["paths"].items()
        for method in methods
    }
    assert described == served - {("GET", "/openapi.json")}


def test_every_metric_is_described() -> None:
    described = set(re.findall(r"^\| `(\w+)` \|", text_of("docs/metrics.md"), re.MULTILINE))
    stored = set(exporter.METRICS) | set(exporter.KAFKA_EXPORTER_METRICS) | set(clusters_exporter.METRICS)
    assert described == stored | web_figures.METRICS


def test_every_kind_of_finding_is_described() -> None:
    rows = re.findall(r"^\| (`[a-z_`, ]+`) \|", text_of("docs/api.md").partition("## Findings")[2], re.MULTILINE)
    described = {kind for row in rows for kind in re.findall(r"`(\w+)`", row)} - {"kind"}

    of_lag = {"slo_breach", "ownership_conflict", "history_failing"}
    assert described == {*of_lag, health_store.KIND, *certificates.KINDS, rejections.BURST, rejections.SCHEMA}


def test_every_live_view_is_described_with_its_columns() -> None:
    rows = re.findall(r"^\| `([a-z.]+)` \| .*? \| .*? \| ([a-z_0-9, ]+) \|$", text_of("docs/live.md"), re.MULTILINE)

    assert {name: tuple(columns.split(", ")) for name, columns in rows} == {
        name: views.get(name).columns for name in views.names()
    }


def expressions() -> list[tuple[str, str]]:
    """(where, expression) of every dashboard panel; tests/deploy looks after the alert rules."""
    dashboard = json.loads(text_of("deploy/grafana/ops-portal-lag.json"))
    return [(panel["title"], target["expr"]) for panel in dashboard["panels"] for target in panel["targets"]]


@pytest.mark.parametrize(("where", "expression"), expressions())
def test_panels_ask_for_what_is_exported(where: str, expression: str) -> None:
    names = set(re.findall(r"ops_portal_\w+", expression))
    assert names, where
    assert names <= set(exporter.METRICS)
    words = re.findall(r'verdict(?:=~|!=|=)"([\w|]+)"', expression)
    assert {word for found in words for word in found.split("|")} <= {verdict.value for verdict in Verdict}
