"""Which client an object belongs to, by case-sensitive globs. Pure: no database, no Django."""

import fnmatch
import re
from collections.abc import Iterable
from dataclasses import dataclass, field

_SPECIAL = re.compile(r"[*?\[]")


@dataclass(frozen=True, slots=True)
class Rule:
    """Objects whose name matches `glob` (`*`, `?`, `[abc]`) belong to the client."""

    client_id: int
    glob: str


@dataclass(frozen=True, slots=True)
class Owner:
    """`client_id` is None when no client matches or several do; the latter is a conflict, and `claimants` names them."""

    client_id: int | None
    claimants: tuple[int, ...] = ()

    @property
    def conflict(self) -> bool:
        return len(self.claimants) > 1


NOBODY = Owner(None)


@dataclass(slots=True)
class Matcher:
    """Owners of the objects of one kind on one cluster. Answers are remembered, so asking again each poll costs a look-up."""

    _literal: dict[str, set[int]]
    _patterns: list[tuple[int, re.Pattern[str]]]
    _answers: dict[str, Owner] = field(default_factory=dict)

    @classmethod
    def of(cls, rules: Iterable[Rule]) -> "Matcher":
        literal: dict[str, set[int]] = {}
        globs: dict[int, list[str]] = {}
        for rule in rules:
            if _SPECIAL.search(rule.glob):
                globs.setdefault(rule.client_id, []).append(rule.glob)
            else:
                literal.setdefault(rule.glob, set()).add(rule.client_id)
        patterns = [
            (client_id, re.compile("|".join(fnmatch.translate(glob) for glob in sorted(found))))
            for client_id, found in sorted(globs.items())
        ]
        return cls(literal, patterns)

    def owner(self, name: str) -> Owner:
        """The one client that claims `name`, or a conflict, or nobody."""
        known = self._answers.get(name)
        if known is None:
            known = self._answers[name] = self._find(name)
        return known

    def owner_of_any(self, names: Iterable[str]) -> Owner:
        """As `owner`, of one object that rules may name in several spellings: what any of them claims counts."""
        return _one_of({client_id for name in names for client_id in self.owner(name).claimants})

    def _find(self, name: str) -> Owner:
        claimants = set(self._literal.get(name, ()))
        claimants.update(client_id for client_id, pattern in self._patterns if pattern.match(name))
        return _one_of(claimants)


def _one_of(claimants: set[int]) -> Owner:
    if len(claimants) == 1:
        return Owner(next(iter(claimants)), tuple(claimants))
    return Owner(None, tuple(sorted(claimants))) if claimants else NOBODY


def matches(glob: str, name: str) -> bool:
    """True when the case-sensitive glob matches the whole name."""
    return fnmatch.fnmatchcase(name, glob)
