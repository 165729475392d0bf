"""Sources and findings over HTTP: filters, order, pages."""

from datetime import timedelta

import pytest
from django.db.models.functions import Now

from clusters.models import Cluster, Finding
from tests.accounts.factories import make_client
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db


@pytest.fixture
def titles(call_as: Caller) -> object:
    """`titles(query)` -> titles of the findings that the query gives, over all pages of two."""
    firm, cluster = make_client(), Cluster.objects.create(name="north", bootstrap="x:1")
    for number, (kind, severity, client, closed) in enumerate(
        [
            ("slo_breach", "critical", firm, False),
            ("slo_breach", "warning", None, True),
            ("ownership_conflict", "warning", firm, False),
            ("cluster_unreachable", "critical", None, False),
        ]
    ):
        Finding.objects.create(
            dedupe_key=f"{number}", kind=kind, severity=severity, cluster=cluster, client=client, entity=f"group g-{number}",
            title=f"finding {number}", opened_at=Now() - timedelta(minutes=number), closed_at=Now() if closed else None,
        )  # fmt: skip
    caller = call_as("sre")

    def ask(query: str) -> list[str]:
        found: list[str] = []
        cursor: str | None = ""
        while cursor is not None:
            body = caller.get(f"/api/v1/findings?limit=2&{query}&cursor={cursor}").json()
            found += [item["title"].removeprefix("finding ") for item in body["items"]]
            cursor = body["next_cursor"]
        assert body["total"] == len(found)
        return found

    return ask


@pytest.mark.parametrize(
    ("query", "numbers"),
    [
        ("", "0123"),
        ("state=open", "023"),
        ("state=closed", "1"),
        ("state=open&state=closed", "0123"),
        ("kind=slo_breach", "01"),
        ("kind=slo_breach&kind=ownership_conflict", "012"),
        ("severity=warning", "12"),
        ("client=Northgate+Capital", "02"),
        ("client=Nobody", ""),
        ("cluster=north&q=G-3", "3"),
        ("q=%25", ""),
        ("sort=opened_at", "3210"),
        ("sort=closed_at", "1023"),
        ("sort=-client", "0213"),
    ],
)
def test_filters_sorts_and_pages(query: str, numbers: str, titles: object) -> None:
    assert titles(query) == list(numbers)  # type: ignore[operator]  # a fixture that is a function
