"""The portal's ASGI application with the test view: what the tests run under uvicorn."""

from ops_portal.asgi import application
from ops_portal.lib.live import hub
from tests.live import board

board.install()
hub.DOUBT_SECONDS = 0.0  # the suite's Valkey is always too young for positions to be believed
hub.REVALIDATE_SECONDS = 6.0

__all__ = ["application"]
