"""Who an object belongs to."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.ownership import NOBODY, Matcher, Owner, Rule, matches


@pytest.mark.parametrize(
    ("glob", "name", "is_match"),
    [
        ("ng-*", "ng-risk", True),
        ("ng-*", "NG-risk", False),
        ("ng-*", "xng-risk", False),
        ("ng-?", "ng-a", True),
        ("ng-?", "ng-ab", False),
        ("ng-[ab]", "ng-b", True),
        ("ng-[!ab]", "ng-b", False),
        ("*", "", True),
        ("ng.*", "ngXa", False),
        ("a\nb*", "a\nbc", True),
        ("ng-[", "ng-[", True),
    ],
)
def test_a_glob_is_case_sensitive_and_matches_the_whole_name(glob: str, name: str, is_match: bool) -> None:
    assert matches(glob, name) is is_match
    assert (Matcher.of([Rule(1, glob)]).owner(name).client_id == 1) is is_match


def test_two_claimants_make_a_conflict_and_no_owner() -> None:
    matcher = Matcher.of([Rule(1, "ng-*"), Rule(2, "*-risk"), Rule(1, "ng-risk")])

    owner = matcher.owner("ng-risk")
    assert owner.client_id is None
    assert owner.conflict
    assert owner.claimants == (1, 2)
    assert matcher.owner("ng-audit").client_id == 1
    assert matcher.owner("other").client_id is None
    assert not matcher.owner("other").conflict


def test_two_globs_of_one_client_are_no_conflict() -> None:
    owner = Matcher.of([Rule(1, "ng-*"), Rule(1, "*-risk")]).owner("ng-risk")
    assert owner.client_id == 1
    assert not owner.conflict


@given(
    st.lists(st.tuples(st.integers(1, 3), st.text("ab*?[]!-", min_size=1, max_size=5)), max_size=6),
    st.text("ab[]!-", max_size=5),
)
def test_the_matcher_equals_asking_every_rule(rules: list[tuple[int, str]], name: str) -> None:
    claimants = {client for client, glob in rules if matches(glob, name)}
    owner = Matcher.of(Rule(*rule) for rule in rules).owner(name)
    assert set(owner.claimants) == claimants
    assert owner.client_id == (claimants.pop() if len(claimants) == 1 else None)


def test_an_object_with_several_spellings_belongs_to_whom_all_of_them_name_alone() -> None:
    matcher = Matcher.of([Rule(1, "User:feed"), Rule(2, "feed"), Rule(1, "own"), Rule(1, "User:own")])

    assert matcher.owner_of_any(["User:feed", "feed"]) == Owner(None, (1, 2))
    assert matcher.owner_of_any(["User:own", "own"]) == Owner(1, (1,))
    assert matcher.owner_of_any(["User:none", "none"]) == NOBODY
