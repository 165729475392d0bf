"""How a status looks, whatever it is the status of."""

from enum import StrEnum


class Tone(StrEnum):
    """Colour, shape and word go together (docs: the patterns page)."""

    OK = "ok"
    NEUTRAL = "neutral"
    WARNING = "warning"
    CRITICAL = "critical"
    UNKNOWN = "unknown"
