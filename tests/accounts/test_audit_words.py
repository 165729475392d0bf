"""The audit trail speaks to people, not in the words of a machine."""

from accounts.templatetags.audit_tags import recorded


def test_recorded_values_are_words() -> None:
    assert recorded(True) == "yes"
    assert recorded(["p95<10", "rate>80000"]) == "p95<10, rate>80000"
    assert recorded({"glob": "risk-*", "for_seconds": 60}) == "glob risk-*, for seconds 60"
    assert recorded([]) == "nothing"
    assert recorded("2026-03-01T14:05:09.123456+00:00").endswith(">2026-03-01 14:05:09</time>")
    assert recorded(0) == "0"
