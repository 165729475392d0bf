"""How near a certificate's or a key's end is, and what the policy of its kind wants done about it. Pure.

Bands are steps before the end: rotate, alarm, then 14, 7 and 2 days. No step may come earlier than a third of the lifetime
before the end, so that a ten-day certificate does not alarm from birth; the first step is then that third.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

from ops_portal.lib.tones import Tone

LAST_STEPS = (14.0, 7.0, 2.0)
KEY_ROTATION_DAYS = 90.0
_DAY = 86_400.0


class CertificateKind(StrEnum):
    """What a certificate is for; `KEY` is a key of the key service, which has an age and no end."""

    ROOT = "root"
    INTERMEDIATE = "intermediate"
    BROKER = "broker"
    REGISTRY = "registry"
    CLIENT = "client"
    ENDPOINT = "endpoint"  # HTTP and whatever is managed elsewhere
    KEY = "key"

    @property
    def label(self) -> str:
        return {CertificateKind.ROOT: "root CA", CertificateKind.INTERMEDIATE: "intermediate CA"}.get(self, self.value)

    @property
    def is_authority(self) -> bool:
        return self in {CertificateKind.ROOT, CertificateKind.INTERMEDIATE}


class Band(StrEnum):
    """How near the end is, worst first."""

    EXPIRED = "expired"
    DAYS_2 = "2_days"
    DAYS_7 = "7_days"
    DAYS_14 = "14_days"
    ALARM = "alarm"
    ROTATE = "rotate"
    OK = "ok"
    UNKNOWN = "unknown"

    @property
    def label(self) -> str:
        return _LABELS[self]

    @property
    def tone(self) -> Tone:
        return _TONES[self]


_LABELS = {
    Band.EXPIRED: "expired",
    Band.DAYS_2: "2 days or less",
    Band.DAYS_7: "7 days or less",
    Band.DAYS_14: "14 days or less",
    Band.ALARM: "alarm",
    Band.ROTATE: "rotate",
    Band.OK: "ok",
    Band.UNKNOWN: "unknown",
}
_TONES = {
    Band.EXPIRED: Tone.CRITICAL,
    Band.DAYS_2: Tone.CRITICAL,
    Band.DAYS_7: Tone.CRITICAL,
    Band.DAYS_14: Tone.CRITICAL,
    Band.ALARM: Tone.CRITICAL,
    Band.ROTATE: Tone.WARNING,
    Band.OK: Tone.OK,
    Band.UNKNOWN: Tone.UNKNOWN,
}
_LAST_BANDS = dict(zip(LAST_STEPS, (Band.DAYS_14, Band.DAYS_7, Band.DAYS_2), strict=True))


@dataclass(frozen=True, slots=True)
class Policy:
    """Days before the end: from `rotate_days` on it should be rotated, from `alarm_days` on somebody must act."""

    rotate_days: float
    alarm_days: float

    def __post_init__(self) -> None:
        if not LAST_STEPS[0] <= self.alarm_days <= self.rotate_days <= 3660:
            raise ValueError("14 <= alarm_days <= rotate_days <= 3660")


DEFAULT_POLICY = Policy(90, 30)
DEFAULTS: Mapping[CertificateKind, Policy] = {
    CertificateKind.ROOT: Policy(730, 365),  # every client has to learn the next one first
    CertificateKind.INTERMEDIATE: Policy(365, 90),
    CertificateKind.BROKER: DEFAULT_POLICY,
    CertificateKind.REGISTRY: DEFAULT_POLICY,
    CertificateKind.CLIENT: DEFAULT_POLICY,
    CertificateKind.ENDPOINT: DEFAULT_POLICY,
}


@dataclass(frozen=True, slots=True)
class Step:
    """From `days` before the end on, `band` holds."""

    days: float
    band: Band


def steps(policy: Policy, lifetime_days: float) -> tuple[Step, ...]:
    """The steps of a certificate, earliest first. A lifetime that is not positive is taken as unlimited."""
    wanted = [Step(policy.rotate_days, Band.ROTATE), Step(policy.alarm_days, Band.ALARM)]
    wanted += [Step(days, band) for days, band in _LAST_BANDS.items()]
    if lifetime_days <= 0:
        return tuple(wanted)
    third = lifetime_days / 3
    kept = [step for step in wanted if step.days <= third]
    if len(kept) < len(wanted):
        kept.insert(0, Step(third, Band.ROTATE))
    return tuple(kept)


def days_left(not_after: datetime, now: datetime) -> float:
    """Days until the end, negative after it."""
    return (not_after - now).total_seconds() / _DAY


def band_of(not_before: datetime, not_after: datetime, now: datetime, policy: Policy) -> Band:
    """The band that holds at `now`. A step holds from exactly its days before the end; the last second is not expired."""
    if now > not_after:
        return Band.EXPIRED
    left = not_after - now
    lifetime = (not_after - not_before).total_seconds() / _DAY
    reached = [step for step in steps(policy, lifetime) if left <= timedelta(days=step.days)]
    return reached[-1].band if reached else Band.OK


def rotate_at(not_before: datetime, not_after: datetime, policy: Policy) -> datetime:
    """When rotation is due: the moment of the first step, never before the beginning of validity."""
    lifetime = (not_after - not_before).total_seconds() / _DAY
    first = steps(policy, lifetime)[0]
    return max(not_before, not_after - timedelta(days=first.days))


def key_band(rotated_at: datetime, rotation_days: float, now: datetime) -> Band:
    """The band of a key that has to be rotated every `rotation_days`: a third of that time before it is due, it says so."""
    due = rotated_at + timedelta(days=rotation_days)
    if now > due:
        return Band.EXPIRED
    return band_of(rotated_at, due, now, DEFAULT_POLICY)
