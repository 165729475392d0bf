"""What follows when people may see other things than before."""

from collections.abc import Iterable

from django.db.models import F

from accounts.models import User
from ops_portal.lib.live import sessions


def sight_changed(user_ids: Iterable[int]) -> None:
    """What these people may see is different now: requests and sockets compare the version, sockets are told as well."""
    found = sorted(set(user_ids))
    User.objects.filter(pk__in=found).update(entitlement_version=F("entitlement_version") + 1)
    close_sockets(found)


def close_sockets(user_ids: Iterable[int]) -> None:
    """Have open sockets checked again, after the commit: one whose session is over closes."""
    for user_id in user_ids:
        sessions.revoke(user_id=user_id)
