"""Write path: what it costs to store a poll of 2,000 groups on 10,000 partitions, and how much history that leaves.

`python -m bench.write_path` starts a PostgreSQL and a Valkey of its own, polls a cluster in memory (tests/fake_kafka.py) and
prints one JSON object. Storing is measured from the first statement of the poll's transaction to after its commit.
`BENCH_SCALE` below 1 shrinks everything and marks the result `reduced`. Moving partitions are spread over all topics, which
is the costlier case: a group's row on a topic is written as soon as one of its partitions moves.
"""

import argparse
import json
import os
import random
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from bench.report import goal, row

TOPICS, PARTITIONS, GROUPS, TOPICS_PER_GROUP = 2500, 4, 2000, 5
PERIOD = 5.0
_FILLED = (
    "clusters_cluster", "lag_historycycle", "lag_historycoverage", "lag_historyprogress", "lag_historyraw",
    "lag_historyminute", "lag_historyhour",
)  # fmt: skip
MINUTES_48_H = 48 * 60


class Rig:
    """A cluster in memory at the stated size, and the portal's poll on it."""

    def __init__(self, scale: float) -> None:
        from clusters.models import Cluster, Source
        from tests.fake_kafka import FakeKafka, StandingClock

        self.clock = StandingClock(time.time() // 3600 * 3600 - 7200)
        self.kafka = FakeKafka(self.clock)
        self.cluster = Cluster.objects.create(name="bench", bootstrap="127.0.0.1:9092")
        Source.objects.create(cluster=self.cluster, kind="lag", period_seconds=int(PERIOD))
        self.topics = [f"bench.t{index:05d}" for index in range(int(TOPICS * scale))]
        self.groups = [f"bench.g{index:05d}" for index in range(int(GROUPS * scale))]
        self.readers: dict[str, list[str]] = {topic: [] for topic in self.topics}
        for topic in self.topics:
            self.kafka.topic(topic, PARTITIONS)
            for number in range(PARTITIONS):
                self.kafka.produce(topic, 3, number)
        for index, group in enumerate(self.groups):
            self.kafka.group(group)
            held = [self.topics[(index + step) % len(self.topics)] for step in range(TOPICS_PER_GROUP)]
            self.kafka.join(group, 2, [(topic, number) for topic in held for number in range(PARTITIONS)])
            for topic in held:
                self.readers[topic].append(group)
                for number in range(PARTITIONS):
                    self.kafka.commit(group, topic, 3, number)

    def choose(self, share: float) -> None:
        """Which partitions move from now on."""
        every = [(topic, number) for topic in self.topics for number in range(PARTITIONS)]
        self.moving = sorted(random.sample(every, round(share * len(every))))

    def move(self) -> None:
        """Records arrive on the moving partitions, and their readers commit up to somewhere near the end."""
        for topic, number in self.moving:
            self.kafka.produce(topic, random.randint(20, 200), number)
            end = self.kafka.topics[topic].partitions[number].end
            for group in self.readers[topic]:
                last = self.kafka.groups[group].commits.get((topic, number), 0)
                self.kafka.commit(group, topic, max(last, end - random.randint(0, 50)), number)

    def poll(self) -> dict[str, float]:
        from lag.collector import poll
        from ops_portal.lib.resilience import Deadline

        self.clock.pass_time(PERIOD)
        return poll(
            cluster=self.cluster, period=PERIOD, port=self.kafka, clock=self.clock, deadline=Deadline.after(60)
        ).counts


def measure(share: float, scale: float, minutes: int) -> dict[str, Any]:
    """One run on an empty database: a minute to come to rest, then `minutes` of polls that are measured."""
    from lag.history.pack import pack_history

    rig = Rig(scale)
    rig.choose(share)
    for _ in range(12):
        rig.move()
        rig.poll()
    pack_history()
    size_before, blocks_before = history_bytes()
    laps = []
    for _ in range(12 * minutes):
        rig.move()
        laps.append(rig.poll())
    started, cpu = time.monotonic(), time.process_time()
    packed = pack_history()
    pack_seconds, pack_cpu = time.monotonic() - started, time.process_time() - cpu
    size, blocks = history_bytes()
    per_block = (size - size_before) / max(1, blocks - blocks_before)
    per_minute = packed["blocks"] / max(1, packed["minutes"])
    # Once an hour every series has a block, moved or not.
    series = len(rig.groups) * (1 + TOPICS_PER_GROUP)
    blocks_48_h = per_minute * MINUTES_48_H + max(0, series - per_minute) * 48
    return {
        "share_moving": share,
        "groups": len(rig.groups),
        "partitions": len(rig.topics) * PARTITIONS,
        "committed": sum(len(group.commits) for group in rig.kafka.groups.values()),
        "store_seconds_p50": round(statistics.median(lap["store_seconds"] for lap in laps), 3),
        "store_seconds_p95": round(statistics.quantiles([lap["store_seconds"] for lap in laps], n=20)[18], 3),
        "store_seconds_max": round(max(lap["store_seconds"] for lap in laps), 3),
        "compute_seconds_p50": round(statistics.median(lap["compute_seconds"] for lap in laps), 3),
        "group_rows_per_poll": round(statistics.mean(lap["written"] for lap in laps)),
        "topic_rows_per_poll": round(statistics.mean(lap["written_topics"] for lap in laps)),
        "cycle_bytes_per_poll": round(statistics.mean(lap["history_bytes"] for lap in laps)),
        "blocks_per_minute": round(per_minute),
        "bytes_per_block_with_index": round(per_block),
        "data_bytes_per_block": round(packed["bytes"] / max(1, packed["blocks"])),
        "history_bytes_per_poll": round(per_block * per_minute / 12),
        "gib_48h": round(per_block * blocks_48_h / 2**30 / scale, 2),
        "pack_seconds_per_minute": round(pack_seconds / max(1, packed["minutes"]), 3),
        "pack_cpu_seconds_per_minute": round(pack_cpu / max(1, packed["minutes"]), 3),
    }


def measure_charts(scale: float) -> dict[str, Any]:
    """Milliseconds to read charts of one group and of one of its topics (30 partitions) with 48 h of raw blocks.

    The fullest minute's blocks stand for every minute of the two days; hours are rolled up as always.
    """
    from datetime import timedelta

    from django.db import connection

    from accounts.models import User
    from lag import selectors
    from lag.history.keep import partitions_make
    from lag.history.progress import now
    from lag.history.roll_up import roll_up_history
    from lag.models import ConsumerGroup, HistoryProgress
    from ops_portal.lib.partitions import create_partitions

    rig = Rig(min(scale, 0.01))
    rig.kafka.topic("bench.wide", 30)
    rig.kafka.group("bench.wide", "bench.wide")
    rig.moving = [("bench.wide", number) for number in range(30)]
    rig.readers["bench.wide"] = ["bench.wide"]
    group = None
    for _ in range(24):
        rig.move()
        rig.poll()
    from lag.history.pack import pack_history

    partitions_make()
    for table in ("lag_historyraw", "lag_historyminute"):
        create_partitions(table, ahead=1, behind=3)
    pack_history()
    group = ConsumerGroup.objects.get(name="bench.wide")
    end = now().replace(second=0, microsecond=0)
    with connection.cursor() as cursor:
        for table, key in (("lag_historyraw", "group_id, topic_id"), ("lag_historycoverage", "cluster_id")):
            column, value = ("at", "data") if table == "lag_historyraw" else ("minute", "offsets")
            fullest = "length(data)" if table == "lag_historyraw" else "cardinality(offsets)"
            mine = "group_id = %(group)s" if table == "lag_historyraw" else "cluster_id = %(cluster)s"
            cursor.execute(
                f"CREATE TEMPORARY TABLE newest AS SELECT DISTINCT ON ({key}) {key}, {value} FROM {table} WHERE {mine}"  # noqa: S608
                f" ORDER BY {key}, {fullest} DESC; DELETE FROM {table};"
                f" INSERT INTO {table} ({key}, {column}, {value}) SELECT {key}, at, {value} FROM newest,"
                " generate_series(%(end)s - interval '48 hours', %(end)s - interval '1 minute', interval '1 minute') AS at;"
                " DROP TABLE newest",
                {"group": group.pk, "cluster": rig.cluster.pk, "end": end},
            )
    HistoryProgress.objects.update(done_until=end)
    HistoryProgress.objects.filter(level__in=["minute", "hour"]).update(done_until=None)
    for _ in range(4):
        roll_up_history()
    user = User.objects.create(username="bench", role="sre")
    found = {}
    for name, hours, step in (("1 h", 1, None), ("8 h by 30 s", 8, 30), ("24 h", 24, None), ("48 h", 48, None)):
        for topic in (None, "bench.wide"):
            laps = []
            for _ in range(5):
                started = time.perf_counter()
                chart = selectors.group_history(
                    user, rig.cluster, group, end - timedelta(hours=hours), end, step=step, topic=topic
                )
                laps.append((time.perf_counter() - started) * 1000)
            filled = sum(point[1] is not None for point in chart.points) if chart else 0
            label = f"{name}, {'topic of 30 partitions' if topic else 'group'}"
            found[label] = {"ms": round(statistics.median(laps), 1), "points": filled}
    return found


def history_bytes() -> tuple[int, int]:
    """(bytes with indexes, rows) of the raw blocks."""
    from django.db import connection

    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(pg_total_relation_size(inhrelid)), 0)::bigint FROM pg_inherits"
            " WHERE inhparent = 'lag_historyraw'::regclass"
        )
        size = cursor.fetchone()[0]
        cursor.execute("SELECT count(*) FROM lag_historyraw")
        return size, cursor.fetchone()[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--minutes", type=int, default=3, help="minutes of polls to measure, default 3")
    parser.add_argument("--share", type=float, action="append", help="share of partitions that move, default 0.1 and 1")
    options = parser.parse_args()
    scale = float(os.environ.get("BENCH_SCALE", "1"))
    var = Path(tempfile.mkdtemp(prefix="ops-bench-"))
    os.environ.update(PORTAL_VAR=str(var), DJANGO_SETTINGS_MODULE="ops_portal.settings.base")
    os.environ.pop("DATABASE_URL", None)
    os.environ.pop("VALKEY_URL", None)
    from ops_portal.lib import embedded

    servers = embedded.RunningServers(var)
    servers.start()
    try:
        runs = [_run(partial(measure, share, scale, options.minutes)) for share in options.share or [0.1, 1.0]]
        charts = _run(partial(measure_charts, scale))
    finally:
        servers.stop()
        for directory in {var, embedded.state_directory(var), embedded.runtime_directory(var)}:
            shutil.rmtree(directory, ignore_errors=True)
    json.dump(row("write path per cycle", _goals(runs), {"runs": runs, "charts": charts}), sys.stdout, indent=2)
    sys.stdout.write("\n")


def _goals(runs: list[dict[str, Any]]) -> dict[str, Any]:
    """Seconds to store, and 48 h of history, with few and with all partitions moving."""
    goals = {}
    for run in runs:
        share = f"at_{run['share_moving'] * 100:.0f}_percent"
        goals[f"store_seconds_{share}"] = goal(run["store_seconds_p50"], 1.0, "s")
        goals[f"history_48h_{share}"] = goal(
            round(run["gib_48h"] * 2**30 / 1e9, 2), 10 if run["share_moving"] <= 0.1 else 20, "GB"
        )
    return goals


def _run(measured: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Call `measured` on an empty database."""
    import django
    from django.core.management import call_command

    django.setup()
    from lag.known import known_cluster

    call_command("migrate", verbosity=0)
    from django.db import connection

    with connection.cursor() as cursor:  # not `flush`: the audit trail refuses it
        cursor.execute(f"TRUNCATE {', '.join(_FILLED)} CASCADE")
    random.seed(1)
    try:
        return measured()
    finally:
        from clusters.models import Cluster

        for pk in Cluster.objects.values_list("pk", flat=True):
            known_cluster(pk).forget()


if __name__ == "__main__":
    main()
