"""What a poll adds to history: the samples that changed, in a handful of rows that `pack` soon turns into blocks."""

from clusters.ports import GroupType
from lag.compute.types import GroupSummary, PartitionResult, TopicResult
from lag.cycle import Cycle
from lag.history.blocks import Parts, Sample, cycle_encode, cycle_row, gap
from lag.history.levels import SHARDS, shard_of
from lag.known import Known, KnownGroup, KnownSeries
from lag.verdicts import Method
from ops_portal.lib.bulk import copied
from ops_portal.lib.clock import as_datetime

KEYFRAME_SECONDS = 3600
Shards = list[list[bytes]]  # encoded at once: the samples of a poll take ten times as much
LOST = PartitionResult._fields.index("lost")


def cycle_append(known: Known, cycle: Cycle, cluster_id: int) -> int:
    """Store the samples of one poll that changed; returns their bytes. Runs in the poll's transaction.

    Every series gets a sample at its first poll of each hour, so that readers need not look back further.
    """
    hour = int(cycle.at // KEYFRAME_SECONDS)
    if hour != known.sampled_hour:
        _begin_hour(known)
        known.sampled_hour = hour
    shards: Shards = [[] for _ in range(SHARDS + 1)]
    gone = [known.groups[name] for name in cycle.vanished]
    for name, result in cycle.results.items():
        group = known.groups[name]
        if result.summary.type is GroupType.UNMEASURED:
            continue
        if name in cycle.failed:
            gone.append(group)
            continue
        if not result.changed and group.sample is not None and group.id not in known.gaps:
            continue
        group.sample = _add(shards, (group.id, 0), _total(result.summary, cycle.at), group.sample)
        members = result.summary.members
        for topic in result.topics:
            entry = known.topics.get(topic.topic)
            if entry is None:
                continue
            series = group.topics.get(entry.id)
            if series is None:
                series = group.topics[entry.id] = KnownSeries()
            if series.sample is not None and series.sample_of is topic and series.members == members:
                continue  # most topics rest while others move
            sample = _of_topic(topic, result.summary, cycle.at)
            series.sample = _add(shards, (group.id, entry.id), sample, series.sample)
            series.sample_of, series.members = topic, members
        known.gaps.discard(group.id)
    _add_gaps(shards, known, cycle.at, gone)
    at = as_datetime(cycle.at)
    rows = [(cluster_id, at, shard, cycle_encode(found)) for shard, found in enumerate(shards) if found or not shard]
    copied("lag_historycycle", "cluster_id, at, shard, data", ["int8", "timestamptz", "int2", "bytea"], rows)
    return sum(len(row[3]) for row in rows)


def _begin_hour(known: Known) -> None:
    known.gaps.clear()
    for group in known.groups.values():
        group.sample = None
        for series in group.topics.values():
            series.sample = None


def _add(shards: Shards, key: tuple[int, int], sample: Sample, newest: int | None) -> int:
    """Add a sample that differs from the newest one; returns its hash."""
    mark = hash(sample[1:])
    if mark != newest:
        shards[shard_of(*key)].append(cycle_row(*key, sample))
    return mark


def _add_gaps(shards: Shards, known: Known, at: float, gone: list[KnownGroup]) -> None:
    """From here on nothing is known of these groups."""
    for group in gone:
        if group.id in known.gaps:
            continue
        known.gaps.add(group.id)
        group.sample = None
        shards[shard_of(group.id, 0)].append(cycle_row(group.id, 0, gap(at)))
        for topic_id, series in group.topics.items():
            if series.sample is not None:
                series.sample = None
                shards[shard_of(group.id, topic_id)].append(cycle_row(group.id, topic_id, gap(at)))


def _total(summary: GroupSummary, at: float) -> Sample:
    return Sample(
        at, summary.lag_records, summary.lag_records_max, _since(summary.unread_since, summary.method), _cut(summary.produce_rate),
        _cut(summary.consume_rate), summary.members, summary.verdict,
    )  # fmt: skip


def _of_topic(topic: TopicResult, summary: GroupSummary, at: float) -> Sample:
    columns = tuple(zip(*topic.partitions, strict=True))
    _, numbers, committed, _, _, _, lag, unread_since, _, methods, *_ = columns
    lost = columns[LOST]
    since = tuple(
        0.0 if method is Method.CAUGHT_UP else value for value, method in zip(unread_since, methods, strict=True)
    )
    return Sample(
        at,
        topic.lag_records,
        topic.lag_records_max,
        _since(topic.unread_since, topic.method),
        _cut(topic.produce_rate),
        _cut(topic.consume_rate),
        summary.members,
        topic.verdict,
        Parts(numbers, committed, lag, since, lost if any(lost) else ()),
    )


def _since(unread_since: float | None, method: Method | None) -> float | None:
    if method is Method.CAUGHT_UP:
        return 0.0
    return unread_since if method is not None else None


def _cut(rate: float | None) -> float | None:
    """Tenths are finer than the minute that rates are means of."""
    return None if rate is None else round(rate, 1)
