"""What reaches the store when something is published."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from django.conf import settings as django_settings
from pytest_django import Settings

from ops_portal.lib.live import publish, snapshots, store, views
from ops_portal.lib.live.views import Snapshot, View, ViewKey

source: dict[str, Any] = {}


@pytest.fixture
def key(valkey: redis.Redis) -> Iterator[ViewKey]:
    source.clear()
    source.update(rows={"k": [1, "x"]}, at=1000.0)
    view = View(
        name="test.memory",
        columns=("a", "b"),
        parse_params=dict,
        scope=lambda watcher, params: "all",
        snapshot=lambda scope, params: Snapshot(dict(source["rows"]), source["at"]),
        period_seconds=lambda params: 5.0,
    )
    publish.forget()
    publish.counts.clear()
    yield views.key_for(views.register(view), {}, "all")
    views.unregister(view.name)


def test_only_watched_keys_are_published(key: ViewKey) -> None:
    assert publish.publish_changed("test.memory") == 0
    snapshots.watch([key])
    assert [watched.text for watched in publish.watched_keys("test.memory")] == [key.text]
    assert publish.publish_changed("test.memory") == 1
    assert publish.publish_changed("test.memory") == 0  # nothing new
    source["at"] = 1005.0
    assert publish.publish_changed("test.memory") == 1  # the same rows, read again
    assert publish.publish_changed("test.memory", match=lambda params, scope: scope == "other") == 0


def test_the_stored_state_is_the_last_snapshot(key: ViewKey) -> None:
    first = publish.refresh(key)
    source.update(rows={"k": [2, "x"], "n": [3, None]}, at=1001.0)
    publish.refresh(key)
    source.update(rows={"n": [3, "z"]}, at=1002.0)
    last = publish.refresh(key)
    stored = publish.read_state(key.text)
    assert stored == last
    assert stored.rows == {"n": b'[3,"z"]'}
    assert (stored.epoch, stored.seq, stored.ts) == (first.epoch, 3, 1002.0)


def test_a_publisher_that_was_overtaken_reads_again_and_stays_in_line(
    key: ViewKey, monkeypatch: pytest.MonkeyPatch
) -> None:
    publish.refresh(key)
    outdated = dict(publish._known)
    source.update(rows={"k": [2, "x"]}, at=1001.0)
    publish.refresh(key)  # another process, as it were
    monkeypatch.setattr(publish, "_known", outdated)
    source.update(rows={"k": [3, "x"]}, at=1002.0)
    assert publish.refresh(key).seq == 3
    assert publish.read_state(key.text).rows == {"k": b'[3,"x"]'}
    assert publish.counts["conflicts"] == 1


def test_rows_older_than_what_is_out_are_not_published(key: ViewKey) -> None:
    publish.refresh(key)
    assert publish.publish(key, Snapshot({"k": [0, "old"]}, 999.0)) is None
    assert publish.read_state(key.text).rows == {"k": b'[1,"x"]'}


def test_a_publish_that_arrives_twice_counts_once(key: ViewKey, valkey: redis.Redis) -> None:
    names = store.names_of(key.text)
    script = valkey.register_script(store.PUBLISH)
    args: list[str | int] = [names.channel, "p1", "e1", 0, "1000.0", 900, 1000, "e1 p1\n{}", 1, 0, "k", "[1]"]
    keys = [names.meta, names.snap, names.stream]
    assert script(keys=keys, args=args) == [1, 1]
    assert script(keys=keys, args=args) == [1, 1]
    assert valkey.xlen(names.stream) == 1
    args[1], args[7] = "p2", "e1 p2\n{}"
    assert script(keys=keys, args=args) == [0, 1]  # somebody else's first


def test_without_the_store_news_is_dropped_quickly_and_paid_back(
    key: ViewKey, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    snapshots.watch([key])
    there = django_settings.VALKEY
    settings.VALKEY = "unix:///nowhere/valkey.sock"
    store.forget_clients()
    started = time.monotonic()
    assert publish.publish_changed("test.memory") == 0
    assert publish.publish_changed("test.memory") == 0
    assert time.monotonic() - started < 3
    assert publish.counts["dropped"] == 2
    assert len(caplog.records) == 1
    settings.VALKEY = there
    store.forget_clients()
    publish._paused_until = 0.0
    assert publish.publish_changed("test.other") == 1  # owed


def test_a_failing_snapshot_hurts_nobody(key: ViewKey, caplog: pytest.LogCaptureFixture) -> None:
    snapshots.watch([key])
    source["rows"] = {"k": [1, "x", "one too many"]}
    assert publish.publish_changed("test.memory") == 0
    assert publish.counts["failed"] == 1
    assert "test.memory" in caplog.text


def test_names_carry_the_deployment(key: ViewKey) -> None:
    names = store.names_of(key.text)
    for name in (names.meta, names.snap, names.stream, names.channel, store.control_channel()):
        assert name.startswith(f"{django_settings.DEPLOYMENT_ID}:")
