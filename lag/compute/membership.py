"""States, members and rebalances of a group, with the events they make. Times are never finer than the readings."""

from clusters.ports import GroupDescription, GroupListing, GroupState
from lag.compute.memory import MEMBERLESS, GroupMemory
from lag.compute.types import GroupEvent, MemberSeen
from lag.verdicts import EventKind

REBALANCING = (
    GroupState.PREPARING_REBALANCE,
    GroupState.COMPLETING_REBALANCE,
    GroupState.ASSIGNING,
    GroupState.RECONCILING,
)


def take_listing(memory: GroupMemory, listing: GroupListing, now: float, events: list[GroupEvent]) -> None:
    """Follow the state of a group: when it lost its last member, and its rebalances."""
    before, earliest = memory.state, min(memory.listed_at or now, now)
    memory.state, memory.listed_at = listing.state, now
    if listing.state in MEMBERLESS:
        if memory.memberless_since is None:
            memory.memberless_since = now
        _leave(memory, set(memory.members), earliest, now, events)
        memory.assignment = {}
    elif listing.state is not GroupState.UNKNOWN:
        memory.memberless_since, memory.had_members, memory.commits_alone = None, True, 0
    if listing.state in REBALANCING:
        memory.rebalanced_at = now
        if memory.rebalance is None:
            memory.rebalance = (earliest, now)
            if before is not None:
                events.append(GroupEvent(EventKind.REBALANCE, earliest, now, before=before, after=listing.state))
    elif memory.rebalance is not None:
        longest = now - memory.rebalance[0]
        memory.rebalance = None
        events.append(
            GroupEvent(EventKind.REBALANCE, earliest, now, before=before, after=listing.state, seconds=longest)
        )


def take_description(memory: GroupMemory, description: GroupDescription, now: float, events: list[GroupEvent]) -> bool:
    """Take in members and assignment; True when either changed."""
    if description.error is not None:
        return False
    members = {
        member.member_id: MemberSeen(member.member_id, member.client_id, member.host, len(member.partitions))
        for member in description.members
    }
    assignment = {partition: member.member_id for member in description.members for partition in member.partitions}
    described_before, memory.described_at = min(memory.described_at, now), now
    if members == memory.members and assignment == memory.assignment:
        return False
    if described_before:
        _leave(memory, memory.members.keys() - members.keys(), described_before, now, events)
        for joined in members.keys() - memory.members.keys():
            who = members[joined]
            after = {"client_id": who.client_id, "host": who.host}
            events.append(GroupEvent(EventKind.MEMBER_JOINED, described_before, now, member=joined, after=after))
        memory.rebalanced_at = now
    memory.members, memory.assignment = members, assignment
    return True


def _leave(memory: GroupMemory, members: set[str], earliest: float, now: float, events: list[GroupEvent]) -> None:
    for gone in members:
        who = memory.members.pop(gone)
        before = {
            "client_id": who.client_id,
            "host": who.host,
            "partitions": [list(partition) for partition, owner in memory.assignment.items() if owner == gone],
        }
        events.append(GroupEvent(EventKind.MEMBER_LEFT, earliest, now, member=gone, before=before))
