"""The rule files of deploy/prometheus, and docs/alerts.md written from them: `python -m tests.deploy.alert_rules`."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
DIRECTORY = ROOT / "deploy" / "prometheus"
DOCUMENT = ROOT / "docs" / "alerts.md"
FILES = tuple(sorted(DIRECTORY.glob("*.rules.yml")))
TESTS = tuple(sorted((DIRECTORY / "tests").glob("*.test.yml")))

_HEAD = """\
# Alerts

What the rule files in `deploy/prometheus/` watch, file by file; written from them, so this is what Prometheus runs. An alert's
`runbook_url` leads to its section here. Installing the files: [operations](operations.md#monitoring); what the series mean:
[metrics](metrics.md). The portal finds most of this by itself and opens findings; these rules are for the people who are
called by Alertmanager, and for the time when the portal is down.
"""
_FILES = {
    "kafka.rules.yml": "Brokers and controllers, from the series of `deploy/jmx/kafka.yml` and node_exporter.",
    "mirror.rules.yml": "MirrorMaker 2, from the series of `deploy/jmx/mirror-maker.yml`.",
    "portal.rules.yml": "Consumer groups, certificates, rejections and the portal itself, from the portal's `/metrics`.",
}


@dataclass(frozen=True, slots=True)
class Rule:
    """An alert, or a recorded series when `alert` is empty."""

    file: str
    group: str
    alert: str
    record: str
    expression: str
    severity: str
    after: str
    keep: str
    annotations: dict[str, str]


def rules() -> list[Rule]:
    """Every rule in the order of the files."""
    return [
        _rule(path.name, group["name"], rule) for path in FILES for group in _groups(path) for rule in group["rules"]
    ]


def _groups(path: Path) -> list[dict[str, Any]]:
    groups: list[dict[str, Any]] = yaml.safe_load(path.read_text(encoding="utf-8"))["groups"]
    return groups


def _rule(file: str, group: str, rule: dict[str, Any]) -> Rule:
    return Rule(
        file=file,
        group=group,
        alert=rule.get("alert", ""),
        record=rule.get("record", ""),
        expression=rule["expr"],
        severity=rule.get("labels", {}).get("severity", ""),
        after=rule.get("for", "0s"),
        keep=rule.get("keep_firing_for", ""),
        annotations=rule.get("annotations", {}),
    )


def cases() -> list[tuple[str, frozenset[str]]]:
    """(alert, severities that fire) of every tested moment."""
    found = []
    for path in TESTS:
        for test in yaml.safe_load(path.read_text(encoding="utf-8"))["tests"]:
            for case in test["alert_rule_test"]:
                fired = frozenset(one["exp_labels"]["severity"] for one in case["exp_alerts"])
                found.append((case["alertname"], fired))
    return found


def seconds(duration: str) -> float:
    """A duration as Prometheus writes it, e.g. 1h30m."""
    unit = {"s": 1, "m": 60, "h": 3600, "d": 86_400}
    return sum(int(number) * unit[letter] for number, letter in re.findall(r"(\d+)([smhd])", duration))


def document() -> str:
    """docs/alerts.md."""
    parts = [_HEAD]
    for file, about in _FILES.items():
        parts.append(f"\n## {file}\n\n{about}\n")
        seen: list[str] = []
        for rule in rules():
            if rule.file == file and rule.alert and rule.alert not in seen:
                seen.append(rule.alert)
                parts.append(_section([one for one in rules() if one.alert == rule.alert]))
        recorded = [rule for rule in rules() if rule.file == file and rule.record]
        if recorded:
            rows = "".join(f"| `{rule.record}` | `{_one_line(rule.expression)}` |\n" for rule in recorded)
            parts.append(f"\n### Recorded series of {file}\n\n| Series | Expression |\n|---|---|\n{rows}")
    return "".join(parts)


def _section(same: list[Rule]) -> str:
    parts = [f"\n### {same[0].alert}\n"]
    for rule in same:
        when = f"once it has held for {_words(rule.after)}" if seconds(rule.after) else "at once"
        kept = f"; it ends {_words(rule.keep)} after the last sign" if rule.keep else ""
        summary = _plain(rule.annotations["summary"])
        parts.append(
            f"\n**{rule.severity.capitalize()}**, {when}{kept}: {summary}. {rule.annotations['description']}\n"
            f"\n```\n{_one_line(rule.expression)}\n```\n"
        )
    return "".join(parts)


def _words(duration: str) -> str:
    names = {"s": "s", "m": "min", "h": "h", "d": "d"}
    return " ".join(f"{number} {names[letter]}" for number, letter in re.findall(r"(\d+)([smhd])", duration))


def _plain(summary: str) -> str:
    """The summary with its templates as words set in italics."""
    summary = re.sub(r"\{\{ with \$labels\.(\w+) \}\}(.*?)\{\{ \. \}\}.*?\{\{ end \}\}", r"\2*\1*", summary)
    named = re.sub(r"\{\{ or \$labels\.(\w+) [^}]*\}\}", r"*\1*", summary)
    named = re.sub(r"\{\{ \$labels\.(\w+)[^}]*\}\}", r"*\1*", named)
    return re.sub(r"\{\{ \$value[^}]*\}\}", "*value*", named)


def _one_line(expression: str) -> str:
    return " ".join(expression.split())


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
