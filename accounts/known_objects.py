"""What exists on the clusters, told by the packages above that know it: so that a client's page shows what its globs match.

`register("group", names)` in `apps.ready`; `names()` gives (cluster name, object name) of everything of that kind.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from accounts.models import Ownership
from accounts.ownership import Matcher, matches
from accounts.selectors import ownership_matcher

Names = Callable[[], Iterable[tuple[str, str]]]
MOST_SHOWN = 12

_names: dict[str, Names] = {}


def register(kind: str, names: Names) -> None:
    """Tell how to list the objects of a kind (group, topic, principal, key)."""
    _names[kind] = names


@dataclass(frozen=True, slots=True)
class Matched:
    """What one glob matches: how many objects, the first of them, and those that another client claims too."""

    ownership: Ownership
    known: bool  # False = nobody lists objects of this kind
    count: int
    examples: tuple[str, ...]
    conflicts: tuple[str, ...]


def matched(ownerships: Sequence[Ownership]) -> list[Matched]:
    """What each of the globs matches now. Each kind is listed once."""
    listed = {kind: list(_names[kind]()) for kind in {row.kind for row in ownerships} if kind in _names}
    matchers: dict[tuple[str, str], Matcher] = {}
    return [_matched(row, listed, matchers) for row in ownerships]


def _matched(
    row: Ownership, listed: Mapping[str, list[tuple[str, str]]], matchers: dict[tuple[str, str], Matcher]
) -> Matched:
    if row.kind not in listed:
        return Matched(row, known=False, count=0, examples=(), conflicts=())
    found = [
        (cluster, name)
        for cluster, name in listed[row.kind]
        if row.cluster_name in {"", cluster} and matches(row.glob, name)
    ]
    conflicts = []
    for cluster, name in found:
        if (row.kind, cluster) not in matchers:
            matchers[row.kind, cluster] = ownership_matcher(row.kind, cluster)
        if matchers[row.kind, cluster].owner(name).conflict:
            conflicts.append(name)
    examples = tuple(name for _, name in found[:MOST_SHOWN])
    return Matched(row, known=True, count=len(found), examples=examples, conflicts=tuple(conflicts[:MOST_SHOWN]))
