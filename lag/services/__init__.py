"""Writes of lag. What a person does leaves an audit row and needs a right that the caller has asked for."""

from lag.services.settings import (
    expired_mutes_close,
    group_mute,
    group_setting_clear,
    group_setting_set,
    group_unmute,
)
from lag.services.slos import slo_add, slo_change, slo_remove

__all__ = [
    "expired_mutes_close",
    "group_mute",
    "group_setting_clear",
    "group_setting_set",
    "group_unmute",
    "slo_add",
    "slo_change",
    "slo_remove",
]
