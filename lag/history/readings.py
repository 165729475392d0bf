"""What was read of one group at each poll of a short time: its totals and its partitions, out of the raw level."""

from collections.abc import Sequence
from datetime import datetime

from lag.history.blocks import Sample, cycle_decode, samples_decode
from lag.history.levels import RAW, shard_of
from lag.history.read import KEYFRAME, polls_between
from lag.history.steps import held
from lag.models import HistoryCycle
from ops_portal.lib.bulk import ran
from ops_portal.lib.clock import as_datetime

Reading = tuple[float, Sample]  # time of the poll, and the sample that held then


def group_readings(
    cluster_id: int, group_id: int, topic_ids: Sequence[int], start: datetime, end: datetime
) -> dict[int, list[Reading]]:
    """By topic row id (0 = totals of the group), oldest first: one entry per poll in [start, end) that read it.

    Poll times are exact to a millisecond. What is older than HISTORY_RAW_HOURS is not there.
    """
    samples: dict[int, list[Sample]] = {topic_id: [] for topic_id in topic_ids}
    first = RAW.block_of(start)
    keyframe = as_datetime(start.timestamp() // KEYFRAME.total_seconds() * KEYFRAME.total_seconds())
    rows = ran(
        "SELECT t.id, r.at, r.data FROM unnest(%(topics)s::bigint[]) AS t (id) CROSS JOIN LATERAL ("
        "(SELECT at, data FROM lag_historyraw WHERE group_id = %(group)s AND topic_id = t.id AND at >= %(keyframe)s"
        " AND at < %(first)s ORDER BY at DESC LIMIT 1) UNION ALL"
        " (SELECT at, data FROM lag_historyraw WHERE group_id = %(group)s AND topic_id = t.id AND at >= %(first)s"
        " AND at < %(end)s)) r",
        {"topics": list(topic_ids), "group": group_id, "keyframe": keyframe, "first": first, "end": end},
    )
    for topic_id, at, data in rows:
        samples[topic_id] += samples_decode(bytes(data), at.timestamp())
    polls = polls_between(cluster_id, start, end)
    shards = {0, *(shard_of(group_id, topic_id) for topic_id in topic_ids)}
    cycles = HistoryCycle.objects.filter(cluster_id=cluster_id, shard__in=shards, at__gte=keyframe, at__lt=end)
    for at, shard, data in cycles.order_by("at").values_list("at", "shard", "data"):
        if not shard and at >= start:
            polls.append(round(at.timestamp(), 3))
        for pk, topic_id, sample in cycle_decode(bytes(data), at.timestamp()):
            if pk == group_id and topic_id in samples:
                samples[topic_id].append(sample)
    polls.sort()
    return {
        topic_id: list(held(sorted(found, key=lambda sample: sample.at), polls)) for topic_id, found in samples.items()
    }
