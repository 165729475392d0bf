"""The portal's own ASGI application without the sweep of sessions: what ends a socket here is an event of accounts."""

from math import inf

from ops_portal.asgi import application
from ops_portal.lib.live import hub

hub.REVALIDATE_SECONDS = inf

__all__ = ["application"]
