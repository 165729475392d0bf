"""The alert rules of deploy/prometheus: promtool's tests, and what every rule owes to whoever is called by it.

promtool comes with Prometheus; without it its tests are skipped, with CI=true they fail.
"""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from django.test import Client

from accounts.roles import Role
from clusters import exporter as clusters_exporter
from lag import exporter as lag_exporter
from tests.accounts.factories import make_user
from tests.deploy import alert_rules
from tests.deploy.alert_rules import Rule, cases, seconds
from tests.deploy.expected_series import expected
from tests.deploy.jmx_replay import readings
from tests.programs import program

ALERTS = [rule for rule in alert_rules.rules() if rule.alert]
SEVERITIES = {"info", "warning", "critical"}

# Exported by others than this project's rule file and the portal.
FOREIGN = re.compile(r"up|node_filesystem_\w+|jvm_\w+|process_\w+|kafka_connect_\w+|schema_validation_failures")
PORTAL = {*lag_exporter.METRICS, *clusters_exporter.METRICS}


_EXPORTED = {
    series.name for series in map(expected, readings(Path(__file__).with_name("beans.tsv"))) if series is not None
}


@pytest.fixture(scope="module")
def promtool() -> str:
    return program("promtool", "prometheus")


@pytest.mark.parametrize("path", alert_rules.FILES, ids=lambda path: path.name)
def test_prometheus_takes_the_rules(promtool: str, path: Path) -> None:
    answer = subprocess.run([promtool, "check", "rules", path], capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


@pytest.mark.parametrize("path", alert_rules.TESTS, ids=lambda path: path.name)
def test_rules_fire_and_stay_quiet_as_they_should(promtool: str, path: Path) -> None:
    answer = subprocess.run([promtool, "test", "rules", path], capture_output=True, text=True, timeout=120, check=False)
    assert answer.returncode == 0, answer.stdout + answer.stderr


def test_every_alert_is_tested_firing_in_each_severity_and_not_firing() -> None:
    tested = cases()
    untested = [
        f"{rule.alert} ({rule.severity})"
        for rule in ALERTS
        if not any(alert == rule.alert and rule.severity in fired for alert, fired in tested)
        or not any(alert == rule.alert and not fired for alert, fired in tested)
    ]
    assert not untested
    assert len({rule.alert for rule in ALERTS}) >= 30
    assert {alert for alert, _ in tested} == {rule.alert for rule in ALERTS}


@pytest.mark.parametrize("rule", ALERTS, ids=lambda rule: f"{rule.alert}-{rule.severity}")
def test_every_alert_says_how_bad_it_is_what_it_means_and_where_to_read_on(rule: Rule) -> None:
    assert rule.severity in SEVERITIES
    assert set(rule.annotations) == {"summary", "description", "runbook_url"}
    assert rule.annotations["description"].endswith(".")
    assert rule.annotations["runbook_url"] == f"{{{{ $externalLabels.portal }}}}/docs/alerts#{rule.alert.lower()}"
    if "idle" in rule.expression:
        assert seconds(rule.after) >= 120, "idle shares are 0 for the first seconds after a start"


def test_rules_ask_for_what_is_exported() -> None:
    known = _EXPORTED | PORTAL
    recorded = {rule.record for rule in alert_rules.rules() if rule.record}
    unknown = {
        (rule.alert or rule.record, name)
        for rule in alert_rules.rules()
        for name in names(rule.expression)
        if name not in known | recorded and not FOREIGN.fullmatch(name)
    }
    assert not unknown


def names(expression: str) -> set[str]:
    """The series that an expression reads."""
    patterned = re.search(r'__name__=~"([^"]+)"', expression)
    plain = re.sub(r'"[^"]*"', "", expression)
    found = set(re.findall(r"\b(?:\w+:)+\w+|\b(?:kafka|ops_portal|node|jvm|process|schema)_\w+|\bup\b", plain))
    return found | {name for name in _EXPORTED if patterned and re.fullmatch(patterned[1], name)}


def test_traffic_is_never_counted_by_topic_and_in_total() -> None:
    for rule in alert_rules.rules():
        for selector in re.findall(r"kafka_server_brokertopicmetrics_\w+(\{[^}]*\})?", rule.expression):
            assert re.search(r'topic!?=""', selector), rule


def test_controllers_figures_are_never_summed_but_for_the_active_ones() -> None:
    for rule in alert_rules.rules():
        if "sum by" in rule.expression and "kafka_controller_" in rule.expression:
            assert rule.record == "cluster:kafka_active_controllers:sum"


def test_a_failed_scrape_is_never_called_a_dead_broker() -> None:
    assert {rule.alert for rule in ALERTS if re.search(r"\bup\{", rule.expression)} == {"KafkaScrapeFails"}


def test_the_document_is_what_prometheus_runs() -> None:
    written = alert_rules.DOCUMENT.read_text(encoding="utf-8")
    assert written == alert_rules.document(), "run python -m tests.deploy.alert_rules"


@pytest.mark.django_db
def test_every_runbook_link_leads_to_a_section_of_a_page(client: Client) -> None:
    client.force_login(make_user(Role.ONCALL))
    page = client.get("/docs/alerts").content.decode()
    missing = [rule.alert for rule in ALERTS if f'<h3 id="{rule.alert.lower()}">' not in page]
    assert not missing


def test_alertmanager_takes_its_file_and_silences_only_alerts_that_exist() -> None:
    path = alert_rules.ROOT / "deploy" / "alertmanager" / "alertmanager.yml"
    amtool = shutil.which("amtool")
    if amtool:
        answer = subprocess.run([amtool, "check-config", path], capture_output=True, text=True, timeout=60, check=False)
        assert answer.returncode == 0, answer.stdout + answer.stderr
    named = re.findall(r"\b((?:Kafka|Portal|Consumer)\w+)", path.read_text(encoding="utf-8"))
    known = {rule.alert for rule in ALERTS}
    assert {name for name in named if name != "ConsumerGroup"} - known <= {"Kafka"}
