"""The sentence why, with numbers."""

from collections.abc import Callable

from lag.compute.types import Inputs, PartitionResult
from ops_portal.lib.formats import duration, exact

QUIET = frozenset({"caught_up", "within_target"})  # said of the whole group


def count(number: int, noun: str) -> str:
    """`1 record`, `1 204 records`."""
    return f"{exact(number)} {noun}{'' if number == 1 else 's'}"


def _unread(records: int) -> str:
    return f"{count(records, 'record')} {'is' if records == 1 else 'are'} unread"


def partition_reason(group: str, members: int | None, partition: PartitionResult, inputs: Inputs, others: int) -> str:
    """Why the worst partition has its verdict; `others` more partitions share it."""
    sentence = _RULES[partition.rule](group, members, f"{partition.topic}/{partition.partition}", inputs)
    return (
        f"{sentence}; {count(others, 'more partition')} likewise"
        if others and partition.rule not in QUIET
        else sentence
    )


def _who(group: str, members: int | None) -> str:
    return f"{group} has {count(members, 'member')}" if members else f"{group} has members"


def _truncated(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return (
        f"{group} lost {count(inputs['lost'], 'record')} on {where}: they were deleted before being read, "
        f"the log starts at {exact(inputs['start'])} and the commit is {exact(inputs['committed'])}"
    )


def _stopped(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return (
        f"{group} has had no members for {duration(inputs['seconds_without_progress'])} while "
        f"{_unread(inputs['lag_records'])} on {where}; stopped after {duration(inputs['threshold_seconds'])}"
    )


def _stalled(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return (
        f"{_who(group, members)} but committed nothing for {duration(inputs['seconds_without_progress'])} while "
        f"{_unread(inputs['lag_records'])} on {where}; stalled after {duration(inputs['threshold_seconds'])}"
    )


def _rewound(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return (
        f"{group} went back from {exact(inputs['from'])} to {exact(inputs['committed'])} on {where} "
        f"and reads {count(inputs['from'] - inputs['committed'], 'record')} again"
    )


def _falling_behind(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return f"{_behind(group, where, inputs)}, {_change(inputs)}; the target is {duration(inputs['target_seconds'])}"


def _catching_up(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return f"{_behind(group, where, inputs)}, {_change(inputs)}; the target is {duration(inputs['target_seconds'])}"


def _behind(group: str, where: str, inputs: Inputs) -> str:
    return (
        f"{group} is {duration(inputs['lag_seconds'])} and {count(inputs['lag_records'], 'record')} behind on {where}"
    )


def _change(inputs: Inputs) -> str:
    if not inputs["over_seconds"]:
        return "with nothing earlier to compare"
    over = duration(inputs["over_seconds"])
    if "change_records" in inputs:
        change = inputs["change_records"]
        amount = count(abs(change), "record")
    else:
        change = inputs["change_seconds"]
        amount = duration(abs(change))
    return f"{amount} {'more' if change > 0 else 'less'} than {over} ago" if change else f"as much as {over} ago"


def _no_commits(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return (
        f"{_who(group, members)} with {where} assigned, which holds {count(inputs['records'], 'record')}, "
        f"but has committed nothing there for {duration(inputs['seconds_without_commit'])}"
    )


def _beyond_end(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return (
        f"{group} committed {exact(inputs['committed'])} on {where}, {count(inputs['past'], 'record')} past the end of the log: "
        "its lag is not known"
    )


def _stale(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return f"the log offsets of {where} were last read {duration(inputs['age_seconds'])} ago"


def _not_read(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return f"the log offsets of {where} could not be read yet"


def _first_reading(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return f"{_behind(group, where, inputs)} at the first reading; whether it falls or grows shows with the next"


def _tail(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return (
        f"{_unread(inputs['lag_records'])} on {where} while nothing new arrives, "
        "which is what transaction markers at the end of a log look like"
    )


def _no_commit_yet(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return f"{_who(group, members)} with {where} assigned and has no commit there yet"


def _caught_up(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return f"{group} has read everything"


def _within_target(group: str, members: int | None, where: str, inputs: Inputs) -> str:
    return f"{group} keeps up, within the target of {duration(inputs['target_seconds'])}"


_RULES: dict[str, Callable[[str, int | None, str, Inputs], str]] = {
    "truncated": _truncated,
    "stopped": _stopped,
    "stalled": _stalled,
    "rewound": _rewound,
    "falling_behind": _falling_behind,
    "catching_up": _catching_up,
    "no_commits": _no_commits,
    "no_commit_yet": _no_commit_yet,
    "beyond_end": _beyond_end,
    "stale": _stale,
    "not_read": _not_read,
    "first_reading": _first_reading,
    "tail": _tail,
    "caught_up": _caught_up,
    "within_target": _within_target,
}

WITHOUT_NUMBERS = {
    "unmeasured": "share and streams groups are listed, their lag is not measured",
    "not_allowed": "the portal may not read this group: it needs the DESCRIBE permission on the group",
    "commits_not_read": "the committed offsets could not be read",
    "nothing_committed": "nothing is committed and no partition is known to be assigned",
}
