"""What verdicts and seconds remember, stored in turns."""

from collections.abc import Sequence
from typing import Any, LiteralString

import orjson

from lag.cycle import Cycle
from lag.known import Known
from ops_portal.lib.bulk import ran, staged
from ops_portal.lib.memory import fitted

MEMORY_SECONDS = 20.0  # a memory that changed but has no news is stored at least this often
KNOTS_SECONDS = 30.0  # knots of a moving topic likewise; a restart in between costs a look-up, not an answer


def memories_store(known: Known, cycle: Cycle, version: int) -> int:
    """Store memories that have news or whose turn it is; the number written."""
    rows = []
    for name, result in cycle.results.items():
        group = known.groups[name]
        if not result.changed and not result.events and group.id not in known.unsaved_groups:
            continue
        due = _has_its_turn(group.id, group.stored_at, cycle.at, MEMORY_SECONDS)
        if due or result.events or result.summary.verdict is not group.stored_verdict:
            rows.append((group.id, fitted(orjson.dumps(group.memory.to_plain())), version))
            group.stored_at, group.stored_verdict = cycle.at, result.summary.verdict
            known.unsaved_groups.discard(group.id)
        else:
            known.unsaved_groups.add(group.id)
    if rows:
        _upsert("lag_storedmemory", "group_id", rows)
    return len(rows)


def knots_store(known: Known, cycle: Cycle, version: int) -> int:
    """Store the knots of moved topics whose turn it is; the number written."""
    numbers: dict[str, list[int]] | None = None
    rows = []
    for name in known.log.changed_topics | known.unsaved_topics:
        topic = known.topics.get(name)
        if topic is None:
            continue
        if not _has_its_turn(topic.id, topic.knots_at, cycle.at, KNOTS_SECONDS):
            known.unsaved_topics.add(name)
            continue
        if numbers is None:
            numbers = known.log.topics()
        if name in numbers:
            rows.append((topic.id, fitted(orjson.dumps(known.log.topic_to_plain(name, numbers[name]))), version))
        topic.knots_at = cycle.at
        known.unsaved_topics.discard(name)
    if rows:
        _upsert("lag_storedknots", "topic_id", rows)
    return len(rows)


def _has_its_turn(pk: int, stored_at: float, now: float, seconds: float) -> bool:
    """Every `seconds`, each row at a time of its own, so that no poll has to write them all."""
    return (now + pk) // seconds != (stored_at + pk) // seconds


def _upsert(table: LiteralString, key: LiteralString, rows: Sequence[tuple[Any, ...]]) -> None:
    staged(f"staged_{table}", f"{key} bigint, data bytea, version bigint", rows)
    ran(
        f"INSERT INTO {table} ({key}, data, version) SELECT * FROM staged_{table}"  # noqa: S608  # constants
        f" ON CONFLICT ({key}) DO UPDATE SET data = excluded.data, version = excluded.version"
    )
