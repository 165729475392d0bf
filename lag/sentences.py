"""One sentence over many groups: what the top line of a page says. Pure; static/js/board-sentence.js says the same."""

from collections.abc import Mapping

from lag.verdicts import Verdict
from ops_portal.lib.formats import THIN, duration

_QUIET = (Verdict.OK, Verdict.CATCHING_UP, Verdict.UNKNOWN)


def board_sentence(counts: Mapping[str, int], worst: tuple[str, float | None] | None) -> str:
    """What the verdict counts of some groups mean. `worst` is the worst group's name and lag in seconds.

    "3 of 46 groups need attention: 1 stopped, 2 falling behind; worst risk-engine, 41.2 s behind."
    """
    total = sum(counts.values())
    if not total:
        return "No consumer groups yet."
    troubled = [(verdict, counts[verdict]) for verdict in Verdict if verdict not in _QUIET and counts.get(verdict)]
    if troubled:
        number = sum(count for _, count in troubled)
        words = ", ".join(f"{count} {verdict.label}" for verdict, count in troubled)
        sentence = f"{number} of {_groups(total)} {'needs' if number == 1 else 'need'} attention: {words}"
        return f"{sentence}{_worst(worst)}."
    if unknown := counts.get(Verdict.UNKNOWN, 0):
        return f"{unknown} of {_groups(total)} {'is' if unknown == 1 else 'are'} unknown."
    if catching_up := counts.get(Verdict.CATCHING_UP, 0):
        return (
            f"{catching_up} of {_groups(total)} {'is' if catching_up == 1 else 'are'} catching up, the others keep up."
        )
    return "The only group keeps up." if total == 1 else f"All {_groups(total)} keep up."


def _groups(total: int) -> str:
    return f"{total}{THIN}group{'' if total == 1 else 's'}"


def _worst(worst: tuple[str, float | None] | None) -> str:
    if worst is None or worst[1] is None or worst[1] <= 0:
        return ""
    return f"; worst {worst[0]}, {duration(worst[1])} behind"
