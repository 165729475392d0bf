"""The live views of lag: rows of the board and of a group, each watcher's own scope."""

from types import SimpleNamespace
from typing import Any

import pytest

from accounts.policies import sight_of
from lag.board_columns import BOARD_COLUMNS, short
from lag.live import GROUP_COLUMNS
from ops_portal.lib.live import publish, snapshots, views
from ops_portal.lib.live.views import Watcher
from tests.lag.test_selectors import Site, user_of

pytestmark = pytest.mark.django_db


def watcher(user: Any) -> Watcher:
    return Watcher(user.pk, f"w{user.pk}", "1", 2e9, SimpleNamespace(sight=sight_of(user)))


@pytest.fixture
def site() -> Site:
    return Site()


def rows(site: Site, user: Any, name: str, **params: Any) -> dict[str, dict[str, Any]]:
    key = views.authorise(name, watcher(user), {"cluster": "north", **params})
    columns = BOARD_COLUMNS if name == "lag.board" else GROUP_COLUMNS
    return {row: dict(zip(columns, values, strict=True)) for row, values in key.snapshot().rows.items()}


def test_the_board_has_a_row_per_group_the_watcher_may_see(site: Site) -> None:
    assert len(rows(site, site.sre, "lag.board")) == 5
    own = rows(site, site.viewer, "lag.board")
    assert {row["group"] for row in own.values()} == {"ng-risk", "ng-audit", "ng-solo"}
    assert all(row["observed_at"] == site.clock.now() for row in own.values())


def test_the_board_filters_and_limits_as_the_list_does(site: Site) -> None:
    found = rows(site, site.sre, "lag.board", q="risk", sort="-lag_records", limit=1)
    assert [row["group"] for row in found.values()] == ["sb-risk"]


def test_a_group_has_a_summary_row_and_one_per_partition(site: Site) -> None:
    found = rows(site, site.sre, "lag.group", group="ng-audit")
    assert set(found) == {"", "shared/0"} | {key for key in found if key == "shared/1"}
    assert found[""]["lag_records"] == 1
    assert (found["shared/0"]["committed"], found["shared/0"]["end"]) == (19, 20)
    hidden = rows(site, site.viewer, "lag.group", group="ng-audit")
    assert (hidden["shared/0"]["committed"], hidden["shared/0"]["end"]) == (19, None)
    assert hidden[""]["produce_rate"] is None


def test_another_clients_group_cannot_be_watched(site: Site) -> None:
    for group in ("sb-risk", "free", "nothing"):
        with pytest.raises(views.Forbidden):
            rows(site, site.viewer, "lag.group", group=group)


def test_equal_scopes_share_a_key_and_others_never(site: Site) -> None:
    other = user_of("account-manager", site.north)
    keys = [
        views.authorise("lag.board", watcher(user), {"cluster": "north"}).text
        for user in (site.sre, site.viewer, other)
    ]
    assert keys[0] != keys[1] == keys[2]


@pytest.mark.parametrize(
    "wrong",
    [
        {"cluster": ""},
        {"sort": "password"},
        {"limit": 501},
        {"limit": "x"},
        {"verdict": ["bad"]},
        {"q": 5},
        {"q": "x" * 301},
    ],
)
def test_bad_parameters_are_refused(site: Site, wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"."):
        rows(site, site.sre, "lag.board", **wrong)


def test_a_poll_publishes_to_those_who_watch(
    site: Site, valkey: object, django_capture_on_commit_callbacks: Any
) -> None:
    publish.forget()
    view = snapshots.read_view("lag.board", watcher(site.sre), {"cluster": "north"})
    with django_capture_on_commit_callbacks(execute=True):
        site.kafka.produce("ng-own", 2)
        site.poll()
    key = views.authorise("lag.board", watcher(site.sre), {"cluster": "north"})
    assert publish.read_state(key.text).seq == view.seq + 1


def test_cells_carry_three_digits() -> None:
    assert [short(value) for value in (None, 0.0, 0.12345, 12.345, 4987.6, -3.14159)] == [
        None,
        0.0,
        0.123,
        12.3,
        4990.0,
        -3.14,
    ]
