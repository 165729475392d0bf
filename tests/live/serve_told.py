"""As `serve`, but sessions are never swept: what becomes of an open socket here has been told by an event."""

from math import inf

from ops_portal.lib.live import hub
from tests.live.serve import application

hub.REVALIDATE_SECONDS = inf

__all__ = ["application"]
