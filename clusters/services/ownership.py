"""Whose rejections and subjects are whose, applied at once when a rule changes: sight must not wait."""

from typing import Any

from clusters.services.rejections import rejection_owners_apply
from clusters.services.schemas import subject_owners_apply


def on_ownership_changed(sender: Any, **kwargs: Any) -> None:
    """Receiver of `accounts.signals.ownership_changed`."""
    rejection_owners_apply()
    subject_owners_apply()
