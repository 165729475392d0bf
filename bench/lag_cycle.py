"""One lag cycle at full size on a real broker, by the portal's own poll worker; Kafka's own tool and other exporters beside.

The worker is the process that `make run` starts (`celery worker -Q poll`, threads), polling through the collector and storing
in PostgreSQL. It gets its slots from here instead of from beat, one after the movement of 10 % of the partitions.
"""

import time
from collections import Counter
from typing import Any

import psutil  # type: ignore[import-untyped]  # has no types

from bench import peers, populate
from bench.report import goal, note, row, scaled, spread
from bench.site import CLUSTER, COMMITS, GROUPS, LIVE_GROUPS, PARTITIONS, PERIOD, RECORDS, TOPICS, Site, python
from bench.traffic import Traffic, subscriptions

WARM_UP, CYCLES = 16, 8  # the topics' identities are read 200 per poll: 13 polls until the worker is at rest
SHARE = 0.1
_POLL_SECONDS = 60
# What a cycle asks; other APIs of the broker are those of producers, members and the broker itself.
_APIS = (
    "Metadata", "ListGroups", "FindCoordinator", "OffsetFetch", "ListOffsets", "DescribeGroups", "ConsumerGroupDescribe",
    "DescribeTopicPartitions", "DescribeConfigs", "DescribeCluster", "ApiVersions",
)  # fmt: skip


def prepare(site: Site) -> Traffic:
    """Fill the broker, let a few groups have members, and tell the portal of the cluster."""
    topics, groups = scaled(TOPICS, least=COMMITS // PARTITIONS), scaled(GROUPS)
    live = max(1, scaled(LIVE_GROUPS))
    note(f"filling the broker: {groups} groups on {topics * PARTITIONS} partitions")
    populate.populate(
        site.kafka.bootstrap,
        topics=topics,
        partitions=PARTITIONS,
        groups=groups - live,
        commits=COMMITS,
        records=RECORDS,
    )
    site.spawn("members", python("members", site.kafka.bootstrap, *subscriptions(range(groups - live, groups), topics)))
    from clusters.services.clusters import cluster_add

    cluster_add(name=CLUSTER, bootstrap=site.kafka.bootstrap, acting_user=None)
    return Traffic(site.kafka.bootstrap, topics=topics, groups=groups - live, records=RECORDS)


class Cycles:
    """Polls of the cluster by the worker, one at a time."""

    def __init__(self, site: Site) -> None:
        from clusters.models import Source

        site.start("worker-poll")
        self.worker = psutil.Process(site.children["worker-poll"].pid)
        self.source = Source.objects.get(cluster__name=CLUSTER, kind="lag")
        self.slot = 0

    def set_period(self, seconds: int) -> None:
        from clusters.services.clusters import source_change

        self.source = source_change(source=self.source, period_seconds=seconds, enabled=True, acting_user=None)

    def one(self) -> dict[str, Any]:
        """Let the worker run the next slot. Raises RuntimeError when it did not end well."""
        from clusters.models import PollRun
        from clusters.tasks import poll

        period = float(self.source.period_seconds)
        while int(time.time() / period) <= self.slot:
            time.sleep(0.02)
        self.slot = int(time.time() / period)
        cpu = self._cpu()
        poll.apply_async(args=(self.source.pk, self.slot), retry=False)
        until = time.monotonic() + _POLL_SECONDS
        while True:
            time.sleep(0.05)
            run = PollRun.objects.filter(source=self.source, slot=self.slot, ended_at__isnull=False).first()
            if run is not None:
                break
            if time.monotonic() > until:
                raise RuntimeError(f"slot {self.slot} was not polled within {_POLL_SECONDS} s")
        if run.status != "ok":
            raise RuntimeError(f"a poll ended as {run.status}: {run.error} {run.entity_errors[:2]}")
        time.sleep(0.1)  # what the worker does after noting the end is part of the cycle's CPU
        return {
            "wall": ((run.ended_at or run.started_at) - run.started_at).total_seconds(),
            "cpu": self._cpu() - cpu,
            "counts": run.counts,
            "requests": run.requests,
        }

    def memory(self) -> dict[str, int]:
        """Bytes resident of the worker and of the processes it has started for the client library. `private` is what of both
        no other process has a part in (USS): libraries' code is shared with every other Python process."""
        children = self.worker.children(recursive=True)
        return {
            "worker": self.worker.memory_info().rss,
            "its_children": sum(child.memory_info().rss for child in children),
            "private": sum(process.memory_full_info().uss for process in (self.worker, *children)),
        }

    def _cpu(self) -> float:
        """CPU seconds so far of the worker and its children, ended ones included."""
        found = 0.0
        for process in (self.worker, *self.worker.children(recursive=True)):
            times = process.cpu_times()
            found += times.user + times.system + times.children_user + times.children_system
        return found


def measure(site: Site, traffic: Traffic) -> dict[str, Any]:
    """The row of the table."""
    cycles = Cycles(site)
    groups, partitions = scaled(GROUPS), len(traffic.ends)
    cycles.set_period(30)  # the first poll loads everything and may be slow on a small machine
    cycles.one()
    cycles.set_period(2)
    cycles.slot = 0
    note("warming the worker up")
    traffic.choose(SHARE)
    for lap in range(WARM_UP):
        if lap >= WARM_UP - 4:
            traffic.move()
        cycles.one()
    cycles.set_period(PERIOD)
    cycles.slot = 0
    laps = []
    for lap in range(CYCLES):
        commits = traffic.move()
        laps.append(cycles.one())
        note(f"cycle {lap + 1} of {CYCLES}: {laps[-1]['wall']:.2f} s wall, {laps[-1]['cpu']:.2f} s CPU")
    memory = cycles.memory()
    by_broker = counted(site, traffic, cycles)
    site.stop("worker-poll")
    tool = peers.consumer_groups(site.kafka)
    exporters = {
        "kminion": peers.kminion(site, traffic.move),
        "kafka_exporter": peers.kafka_exporter(site, traffic.move),
    }
    return _row(laps, memory, by_broker, tool, exporters, groups, partitions, commits)


def counted(site: Site, traffic: Traffic, cycles: Cycles) -> Counter[str]:
    """Requests of one cycle as the broker counts them, without what its own members ask in the same time."""
    traffic.move()
    time.sleep(1)
    before = site.broker_requests()
    cycles.one()
    after = site.broker_requests()
    return Counter({api: after[api] - before[api] for api in _APIS if after[api] > before[api]})


def _row(
    laps: list[dict[str, Any]],
    memory: dict[str, int],
    by_broker: Counter[str],
    tool: dict[str, Any],
    exporters: dict[str, Any],
    groups: int,
    partitions: int,
    commits: int,
) -> dict[str, Any]:
    walls = [lap["wall"] for lap in laps]
    wall, cpu = spread(walls), spread([lap["cpu"] for lap in laps], 2)
    requests = Counter(laps[-1]["requests"])
    for_ends = 2 * -(-partitions // 1000)
    look_ups = max(0, requests["ListOffsets"] - for_ends)
    asked = sum(requests.values()) - look_ups
    limit = round(2.1 * groups + 3 * partitions / 1000)
    stages = {
        name.removesuffix("_seconds"): spread([lap["counts"].get(name, 0.0) for lap in laps])["median"]
        for name in laps[0]["counts"]
        if name.endswith("_seconds")
    }
    goals = {
        "wall_seconds": goal(wall["median"], 1.2, "s"),
        "cpu_seconds": goal(cpu["median"], 1.1, "s"),
        "rss_mb": goal(round((memory["worker"] + memory["its_children"]) / 1e6), 220, "MB"),
        "requests": goal(asked, limit, "requests"),
        "times_faster_than_kafka_consumer_groups": _ratio(tool, wall["median"], 6),
    }
    for name, at_least in (("kminion", 1.0), ("kafka_exporter", 15.0)):
        if exporters[name] != "not_run":
            goals[f"times_faster_than_{name}"] = _ratio(exporters[name], wall["median"], at_least)
    return row(
        "one lag cycle",
        goals,
        {
            "groups": groups,
            "partitions": partitions,
            "committed": laps[-1]["counts"]["committed"],
            "partitions_moving": round(SHARE * partitions),
            "commits_between_cycles": commits,
            "wall_seconds": wall,
            "wall_seconds_reading_and_computing": spread(
                [lap["wall"] - lap["counts"].get("store_seconds", 0.0) for lap in laps]
            ),
            "cpu_seconds": cpu,
            "rss_mb": {name: round(size / 1e6) for name, size in memory.items()},
            "stages_seconds_median": stages,
            "requests": dict(requests),
            "timestamp_look_up_requests": look_ups,
            "requests_counted_by_the_broker": dict(by_broker),
            "kafka_consumer_groups": tool,
            **exporters,
        },
    )


def _ratio(peer: dict[str, Any], wall: float, at_least: float) -> dict[str, Any]:
    seconds = peer.get("wall_seconds", {}).get("median")
    return goal(round(seconds / wall, 1) if seconds else None, at_least, "times", at_least=True)
