"""Live views of the app (interfaces.md 5), a module per view."""

from clusters.live import health, polling, rejections


def register_views() -> None:
    """Called once, in `apps.ready`."""
    health.register_views()
    polling.register_views()
    rejections.register_views()
