"""Live views, read by HTTP, equal interfaces.md 5 and the figures of the API."""

from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from accounts.services import token_create
from clusters.models import Cluster, Source
from lag.models import LagState
from tests.api import contract
from tests.api.site import Site

pytestmark = pytest.mark.django_db


def test_the_board_snapshot_has_the_columns_of_the_contract(get: Any) -> None:
    body = get("/api/v1/views/lag.board?cluster=north")

    assert set(body) == {"view", "e", "s", "ts", "schema", "rows"}
    assert body["schema"]["columns"] == contract.BOARD_COLUMNS
    assert all(len(row) == len(contract.BOARD_COLUMNS) + 1 for row in body["rows"])
    ids = {item["id"] for item in get("/api/v1/clusters/north/groups")["items"]}
    assert {int(row[0]) for row in body["rows"]} == ids


@pytest.mark.parametrize(("view", "asked"), contract.LIVE_VIEWS.items())
def test_every_live_view_has_the_columns_of_the_contract(view: str, asked: tuple[str, set[str]], get: Any) -> None:
    params, columns = asked
    body = get(f"/api/v1/views/{view}?{params}")

    assert columns <= set(body["schema"]["columns"])
    assert body["schema"]["key"] not in body["schema"]["columns"] or view == "lag.group"
    assert body["rows"]
    assert all(len(row) == len(body["schema"]["columns"]) + 1 for row in body["rows"])


def test_a_live_group_tells_what_the_group_itself_tells(get: Any) -> None:
    body = get("/api/v1/views/lag.group?cluster=north&group=ng-audit")
    group = get("/api/v1/clusters/north/groups/ng-audit")
    rows = {row[0]: dict(zip(body["schema"]["columns"], row[1:], strict=True)) for row in body["rows"]}

    same = ("id", "cluster", "group", "client", "verdict", "reason", "lag_records", "members", "observed_at", "flags")
    assert {name: rows[""][name] for name in same} == {name: group[name] for name in same}
    assert rows[""]["age_seconds"] == 0, "as of the time of the view"
    assert rows["shared/1"]["committed"] == group["topics"][0]["partitions"][1]["committed"]


def test_a_live_signal_tells_its_query_age_and_runbook(get: Any) -> None:
    body = get("/api/v1/views/clusters.health?cluster=north")
    rows = {row[0]: dict(zip(body["schema"]["columns"], row[1:], strict=True)) for row in body["rows"]}
    found = {signal["signal"]: signal for signal in get("/api/v1/clusters/north/health")["signals"]}

    down = rows["north/brokers_down"]
    assert {name: down[name] for name in ("query", "runbook")} == {
        name: found["brokers_down"][name] for name in ("query", "runbook")
    }
    assert down["age_seconds"] == 0, "as of the time of the view"
    assert rows["north/fenced_brokers"]["age_seconds"] is None


def test_a_snapshot_is_known_by_epoch_and_sequence(site: Site) -> None:
    text = token_create(user=site.users["sre"], acting_user=None)[1]
    caller = Client(headers={"Authorization": f"Bearer {text}"})
    first = caller.get("/api/v1/views/lag.board?cluster=north")
    body = first.json()

    assert first["ETag"] == f'"{body["e"]}:{body["s"]}"'
    again = caller.get("/api/v1/views/lag.board?cluster=north", headers={"If-None-Match": first["ETag"]})
    assert (again.status_code, again.content) == (304, b"")
    assert again["ETag"] == first["ETag"]


@pytest.mark.parametrize("view", ["nothing", "lag.board.x", "__class__"])
def test_an_unknown_view_is_not_found(view: str, get: Any) -> None:
    assert get(f"/api/v1/views/{view}", status=404)["error"] == "not_found"


@pytest.mark.parametrize("query", ["", "cluster=north&sort=x", "cluster=north&limit=501", "cluster=north&verdict=x"])
def test_a_view_refuses_wrong_parameters(query: str, get: Any) -> None:
    assert get(f"/api/v1/views/lag.board?{query}", status=422)["error"] == "invalid"


@pytest.mark.parametrize("view", ["lag.board", "clusters.certificates", "clusters.rejections"])
def test_a_view_of_a_hidden_cluster_is_like_one_of_an_absent_cluster(view: str, site: Site, get: Any) -> None:
    hidden = Cluster.objects.create(name="elsewhere", bootstrap="broker-1.internal:9092")
    for kind in ("lag", "certificates"):
        Source.objects.create(cluster=hidden, kind=kind, period_seconds=5, last_success_at=timezone.now())
    LagState.objects.create(cluster=hidden, observed_at=timezone.now())

    answers = [get(f"/api/v1/views/{view}?cluster={name}", "client") for name in ("elsewhere", "nowhere")]
    assert [answer["rows"] for answer in answers] == [[], []]
    assert [answer["ts"] for answer in answers] == [None, None]
