"""How figures read on a page: at most three significant digits, units always, thin spaces. static/js/format.js is the same
in the browser, and a test holds both to one table."""

import math

THIN = "\u202f"  # narrow no-break space: groups thousands, and stands between a figure and its unit
_STEPS = ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k"))


def exact(value: float) -> str:
    """Every digit of a whole number, thousands apart: 1234567 -> "1 234 567"; fractions keep at most three decimals."""
    if float(value).is_integer():
        return f"{int(value):,}".replace(",", THIN)
    return f"{value:,.3f}".rstrip("0").rstrip(".").replace(",", THIN)


def three_digits(value: float) -> str:
    """At most three significant digits, rounded half up, without trailing zeros: 12.345 -> "12.3"."""
    size = abs(value)
    decimals = 0 if size >= 99.95 else 1 if size >= 9.995 else 2
    scaled = math.floor(size * 10**decimals + 0.5) / 10**decimals
    text = f"{scaled:.{decimals}f}"
    if "." in text:
        text = text.rstrip("0").rstrip(".")
    return f"-{text}" if value < 0 and text != "0" else text


def compact(value: float) -> str:
    """A figure for a list: 1234 -> "1.23 k"; below a thousand as it is, with three significant digits."""
    size = abs(value)
    for step, letter in _STEPS:
        if size >= step * 0.9995:
            return f"{three_digits(value / step)}{THIN}{letter}"
    return three_digits(value)


def duration(seconds: float) -> str:
    """Seconds as people say them: "0 s", "0.42 s", "41.2 s", "2 min 5 s", "1 h 23 min", "3 d 4 h"."""
    size = abs(seconds)
    sign = "-" if seconds < 0 else ""
    if size < 99.95:
        return f"{sign}{three_digits(size)}{THIN}s"
    whole = math.floor(size + 0.5)
    if whole < 3600:
        return sign + _two(whole // 60, "min", whole % 60, "s")
    minutes = math.floor(size / 60 + 0.5)
    if minutes < 24 * 60:
        return sign + _two(minutes // 60, "h", minutes % 60, "min")
    hours = math.floor(size / 3600 + 0.5)
    return sign + _two(hours // 24, "d", hours % 24, "h")


def _two(large: int, large_unit: str, small: int, small_unit: str) -> str:
    text = f"{large}{THIN}{large_unit}"
    return f"{text} {small}{THIN}{small_unit}" if small else text
