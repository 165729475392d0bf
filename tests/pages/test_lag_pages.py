"""What the lag pages say and to whom, without a browser."""

import csv
import io
import json

import pytest
from django.test import Client as Browser
from django.utils import timezone

from accounts.models import Client, Membership, User
from clusters.models import Cluster, Source
from clusters.ports import GroupType
from lag.collector import poll
from lag.sentences import board_sentence
from ops_portal.lib.database import database_clock
from ops_portal.lib.resilience import Deadline
from tests.fake_kafka import FakeKafka, StandingClock

pytestmark = pytest.mark.django_db(transaction=True)
ODD = "a/b?c=<script>alert(1)</script>"
FORMULA = "=1+1"


@pytest.fixture
def cluster() -> Cluster:
    """A cluster with groups of two clients, read a moment ago."""
    northgate = Client.objects.create(name="Northgate Capital")
    harbour = Client.objects.create(name="Harbour Lane")
    for client, glob in ((northgate, "northgate-*"), (harbour, "harbour-*")):
        client.ownerships.create(kind="group", glob=glob)
    cluster = Cluster.objects.create(name="demo", bootstrap="127.0.0.1:9092")
    Source.objects.create(cluster=cluster, kind="lag", period_seconds=60, last_success_at=timezone.now())
    clock = StandingClock(database_clock().now())
    kafka = FakeKafka(clock)
    kafka.topic("trades.execution", 3)
    for name in ("northgate-feed", "harbour-feed", ODD, FORMULA):
        kafka.group(name, "trades.execution", 2, GroupType.CLASSIC)
        for partition in range(3):
            kafka.commit(name, "trades.execution", 0, partition)
    for partition in range(3):
        kafka.produce("trades.execution", 1234, partition)
    poll(cluster=cluster, period=60, port=kafka, clock=clock, deadline=Deadline(20))
    return cluster


@pytest.fixture
def sre(cluster: Cluster) -> Browser:
    return signed_in("sre")


@pytest.fixture
def viewer(cluster: Cluster) -> Browser:
    browser = signed_in("client")
    Membership.objects.create(
        user=User.objects.get(username="client"), client=Client.objects.get(name="Northgate Capital")
    )
    return browser


def signed_in(role: str) -> Browser:
    user = User(username=role, role=role)
    user.set_unusable_password()
    user.save()
    browser = Browser()
    browser.force_login(user)
    return browser


def test_the_board_shows_every_group_with_its_figures(sre: Browser) -> None:
    page = sre.get("/lag/demo").content.decode()
    assert "northgate-feed" in page
    assert 'value="3702"' in page
    assert "3.7" in page
    assert "<script>alert(1)</script>" not in page


def test_a_name_with_a_slash_is_reached_by_its_id(sre: Browser) -> None:
    page = sre.get("/lag/demo").content.decode()
    odd = next(part.split('"')[0] for part in page.split('href="') if part.startswith("/lag/demo/groups/~"))
    answer = sre.get(odd)
    assert answer.status_code == 200
    assert "&lt;script&gt;" in answer.content.decode()


@pytest.mark.parametrize(
    "path",
    [
        "/",
        "/lag/demo",
        "/lag/demo/export.csv",
        "/lag/demo/export.json",
        "/topics",
        "/topics/demo/trades.execution",
        "/search?q=feed",
        "/slos",
    ],
)
def test_a_client_viewer_gets_no_byte_about_others(viewer: Browser, path: str) -> None:
    answer = viewer.get(path)
    assert answer.status_code == 200
    body = b"".join(answer) if answer.streaming else answer.content
    assert b"harbour" not in body.lower()
    assert ODD[:3].encode() not in body


def test_a_foreign_group_looks_like_one_that_does_not_exist(viewer: Browser) -> None:
    foreign, absent = viewer.get("/lag/demo/groups/harbour-feed"), viewer.get("/lag/demo/groups/no-such-group")
    assert foreign.status_code == absent.status_code == 404
    assert "harbour" not in foreign.content.decode()


@pytest.mark.parametrize(
    "path", ["/sources", "/findings", "/clients", "/slos/add", "/lag/demo/groups/northgate-feed/settings"]
)
def test_a_client_viewer_is_refused_with_a_page(viewer: Browser, path: str) -> None:
    answer = viewer.get(path)
    assert answer.status_code == 403
    assert "You may not see this" in answer.content.decode()


def test_bad_values_in_an_address_do_no_harm(sre: Browser) -> None:
    for query in (
        "sort=nonsense",
        "verdict=nonsense&state=%00",
        "q=%00%00",
        "cursor=garbage",
        "client=%00",
        "q=" + "x" * 5000,
    ):
        assert sre.get(f"/lag/demo?{query}").status_code == 200, query


def test_a_spreadsheet_takes_no_name_for_a_formula(sre: Browser) -> None:
    text = b"".join(sre.get("/lag/demo/export.csv")).decode()
    names = [row["group"] for row in csv.DictReader(io.StringIO(text))]
    assert sorted(names) == sorted(["northgate-feed", "harbour-feed", ODD, f"'{FORMULA}"])


def test_the_json_export_equals_the_board(sre: Browser) -> None:
    rows = json.loads(b"".join(sre.get("/lag/demo/export.json?q=feed")))
    assert [row["group"] for row in rows] == ["harbour-feed", "northgate-feed"]
    assert {row["lag_records"] for row in rows} == {3702}
    assert rows[0]["observed_at"].endswith("Z")


def test_a_mute_needs_a_reason_and_is_shown(sre: Browser) -> None:
    refused = sre.post("/lag/demo/groups/northgate-feed/mute", {"reason": "", "length": "24"})
    assert refused.status_code == 422
    assert "This field is required" in refused.content.decode()
    sre.post("/lag/demo/groups/northgate-feed/mute", {"reason": "being replaced", "length": "24"})
    assert "Muted until" in sre.get("/lag/demo/groups/northgate-feed").content.decode()
    sre.post("/lag/demo/groups/northgate-feed/mute", {"unmute": "1"})
    assert "Muted until" not in sre.get("/lag/demo/groups/northgate-feed").content.decode()


def test_an_slo_is_made_changed_and_removed_by_its_name(sre: Browser) -> None:
    fields = {
        "cluster": "demo",
        "name": "Fresh",
        "glob": "northgate-*",
        "max_seconds": "60",
        "for_seconds": "30",
        "objective": "99.9",
        "severity": "critical",
        "enabled": "on",
    }
    assert sre.post("/slos/add", fields).status_code == 302
    page = sre.get("/slos").content.decode()
    address = next(
        part.split('"')[0] for part in page.split('href="') if part.startswith("/slos/") and part[6].isdigit()
    )
    assert sre.post(address, fields | {"max_seconds": ""}).status_code == 422
    sre.post(f"{address}/remove", {"name": "something else"})
    assert "Fresh" in sre.get("/slos").content.decode()
    sre.post(f"{address}/remove", {"name": "Fresh"})
    assert "northgate-*" not in sre.get("/slos").content.decode()


def test_the_sentence_names_what_needs_a_person() -> None:
    thin = "\u202f"
    assert board_sentence({}, None) == "No consumer groups yet."
    assert board_sentence({"ok": 46}, ("a", 0.0)) == f"All 46{thin}groups keep up."
    assert board_sentence({"ok": 43, "stopped": 1, "falling_behind": 2}, ("risk-engine", 41.2)) == (
        f"3 of 46{thin}groups need attention: 1 stopped, 2 falling behind; worst risk-engine, 41.2{thin}s behind."
    )
