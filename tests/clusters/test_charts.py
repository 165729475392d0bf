"""What is shaded behind the lines of a chart."""

from clusters.charts import washes


def spans(tokens: list[str | None]) -> list[tuple[str, str, str]]:
    return [(shape["name"], shape["x0"], shape["x1"]) for shape in washes(list("abcdef"), tokens)]


def test_a_run_of_one_state_is_one_span_up_to_the_next_point() -> None:
    assert spans([None, "warn", "warn", "crit", None, None]) == [("warn", "b", "d"), ("crit", "d", "e")]


def test_the_last_point_ends_where_the_chart_ends() -> None:
    assert spans([None, None, None, None, "warn", "warn"]) == [("warn", "e", "f")]
    assert spans([None] * 6) == []
