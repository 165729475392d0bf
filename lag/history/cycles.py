"""What a poll adds to history: the samples that changed, in a handful of rows that `pack` soon turns into blocks."""

from clusters.ports import GroupType
from lag.compute.types import GroupSummary, PartitionResult, TopicResult
from lag.cycle import Cycle
from lag.history.blocks import Parts, Sample, cycle_encode, gap
from lag.history.levels import SHARDS, shard_of
from lag.known import Known
from lag.verdicts import Method
from ops_portal.lib.bulk import copied
from ops_portal.lib.clock import as_datetime

KEYFRAME_SECONDS = 3600
LOST = PartitionResult._fields.index("lost")


def cycle_append(known: Known, cycle: Cycle, cluster_id: int) -> int:
    """Store the samples of one poll that changed; returns their bytes. Runs in the poll's transaction.

    Every series gets a sample at its first poll of each hour, so that readers need not look back further.
    """
    hour = int(cycle.at // KEYFRAME_SECONDS)
    if hour != known.sampled_hour:
        known.sampled.clear()
        known.gaps.clear()
        known.sampled_hour = hour
    shards: list[list[tuple[int, int, Sample]]] = [[] for _ in range(SHARDS + 1)]
    gone = {known.groups[name].id for name in cycle.vanished}
    for name, result in cycle.results.items():
        group = known.groups[name]
        if result.summary.type is GroupType.UNMEASURED:
            continue
        if name in cycle.failed:
            gone.add(group.id)
            continue
        if not result.changed and (group.id, 0) in known.sampled and group.id not in known.gaps:
            continue
        _add(shards, known, group.id, 0, _total(result.summary, cycle.at))
        for topic in result.topics:
            entry = known.topics.get(topic.topic)
            if entry is not None and not _same(known, (group.id, entry.id), topic, result.summary.members):
                _add(shards, known, group.id, entry.id, _of_topic(topic, result.summary, cycle.at))
        known.gaps.discard(group.id)
    _add_gaps(shards, known, cycle.at, gone)
    at = as_datetime(cycle.at)
    rows = [(cluster_id, at, shard, cycle_encode(found)) for shard, found in enumerate(shards) if found or not shard]
    copied("lag_historycycle", "cluster_id, at, shard, data", ["int8", "timestamptz", "int2", "bytea"], rows)
    return sum(len(row[3]) for row in rows)


def _same(known: Known, series: tuple[int, int], topic: TopicResult, members: int | None) -> bool:
    """Whether the newest sample of the series was taken from this very result: most topics rest while others move."""
    before = known.sampled_from.get(series)
    known.sampled_from[series] = topic, members
    return before is not None and before[0] is topic and before[1] == members and series in known.sampled


def _add(
    shards: list[list[tuple[int, int, Sample]]], known: Known, group_id: int, topic_id: int, sample: Sample
) -> None:
    mark = hash(sample[1:])
    if known.sampled.get((group_id, topic_id)) != mark:
        known.sampled[group_id, topic_id] = mark
        shards[shard_of(group_id, topic_id)].append((group_id, topic_id, sample))


def _add_gaps(shards: list[list[tuple[int, int, Sample]]], known: Known, at: float, group_ids: set[int]) -> None:
    """From here on nothing is known of these groups."""
    new = group_ids - known.gaps
    if not new:
        return
    series = [key for key in known.sampled if key[0] in new]
    series += [(group_id, 0) for group_id in new if (group_id, 0) not in known.sampled]
    for key in series:
        shards[shard_of(*key)].append((*key, gap(at)))
        known.sampled.pop(key, None)
    known.gaps |= new


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
