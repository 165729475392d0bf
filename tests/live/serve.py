"""The portal's ASGI application with the test view: what the tests run under uvicorn."""

from ops_portal.asgi import application
from tests.live import board

board.install()

__all__ = ["application"]
