"""The sentences that say why."""

from lag.compute import reasons
from ops_portal.lib.formats import THIN

BEHIND = {"lag_records": 500, "target_seconds": 10.0, "lag_seconds": 42.0}


def sentence(**inputs: float) -> str:
    return reasons._RULES["falling_behind"]("risk-engine", 1, "trades.execution/0", BEHIND | inputs).replace(THIN, " ")


def test_a_change_is_told_with_the_time_it_took() -> None:
    assert "42 s and 500 records behind on trades.execution/0, 12 s more than 30 s ago; the target is 10 s" in sentence(
        change_seconds=12.0, over_seconds=30.0
    )


def test_no_change_is_told_over_no_time() -> None:
    assert sentence(change_seconds=42.0, over_seconds=0.0).endswith(
        "with nothing earlier to compare; the target is 10 s"
    )
