"""Words of sources. One enum defines value, label and tone."""

from enum import StrEnum

from ops_portal.lib.tones import Tone


class SourceState(StrEnum):
    """How a source stands, worst first."""

    FAILED = "failed"  # its newest run failed
    STALE = "stale"  # no run has come through for two periods, and none says why: are workers up?
    PARTIAL = "partial"  # the newest run came through, some entities failed
    WAITING = "waiting"  # it has never been read
    DISABLED = "disabled"
    OK = "ok"

    @property
    def label(self) -> str:
        return self.value

    @property
    def tone(self) -> Tone:
        return _TONES[self]


_TONES = {
    SourceState.FAILED: Tone.CRITICAL,
    SourceState.STALE: Tone.UNKNOWN,
    SourceState.PARTIAL: Tone.WARNING,
    SourceState.WAITING: Tone.UNKNOWN,
    SourceState.DISABLED: Tone.NEUTRAL,
    SourceState.OK: Tone.OK,
}
