"""Figures and rules on pages are written for people."""

from clusters.templatetags.health_tags import value_words
from clusters.templatetags.rejection_tags import rule_words
from ops_portal.lib.formats import THIN

ACL = (
    "MatchingAcl(acl=StandardAcl[resourceType=TRANSACTIONAL_ID, resourceName=pay, patternType=PREFIXED, "
    "principal=User:northgate, host=*, operation=WRITE, permissionType=DENY])"
)


def test_a_latency_beyond_a_second_is_said_in_seconds() -> None:
    assert value_words(38.5, "ms") == f"38.5{THIN}ms"
    assert value_words(1490, "ms") == f"1.49{THIN}s"


def test_a_rule_is_said_in_words_and_what_is_no_rule_of_an_authorizer_stays() -> None:
    assert rule_words("DefaultDeny") == "no rule allows it"
    assert rule_words(ACL) == (
        "a rule denies WRITE on transactional id names that begin with pay to User:northgate from any host"
    )
    assert rule_words("the registry answered 409") == "the registry answered 409"
