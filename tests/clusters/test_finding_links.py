"""Every finding leads to the page of what it is about."""

from datetime import UTC, datetime
from typing import Any

import pytest

from clusters.selectors.findings import FindingRow
from clusters.templatetags.finding_tags import finding_link


def finding(
    kind: str, entity: str = "", key: str = "key:7:ok", cluster: str | None = "demo", **inputs: Any
) -> FindingRow:
    now = datetime.now(UTC)
    return FindingRow(1, key, kind, "warning", cluster, None, entity, "", "", inputs, now, now, None)


@pytest.mark.parametrize(
    ("row", "address"),
    [
        (finding("health", signal="disk_free"), "/clusters/demo#signal-disk_free"),
        (finding("certificate_expiry"), "/certificates/demo/7"),
        (finding("certificate_chain"), "/certificates?cluster=demo#listeners"),
        (finding("key_rotation"), "/certificates?cluster=demo#h-keys"),
        (finding("rejection_burst", "User:a b"), "/rejections?period=7d&q=User%3Aa%20b"),
        (finding("schema_rejected", "10.0.0.1", subject="orders-value"), "/rejections?period=7d&q=orders-value"),
        (finding("slo_breach", "group risk-engine"), "/lag/demo/groups/risk-engine"),
        (finding("slo_breach", "group a/b"), "/lag/demo?q=a/b"),
        (finding("history_failing", cluster=None), "/sources"),
        (finding("ownership_conflict", "group shared"), ""),
    ],
    ids=lambda value: f"{value.kind} {value.entity}" if isinstance(value, FindingRow) else "",
)  # fmt: skip
def test_a_finding_leads_to_what_it_is_about(row: FindingRow, address: str) -> None:
    assert finding_link(row) == address
