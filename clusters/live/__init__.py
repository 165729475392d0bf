"""Live views of the app (interfaces.md 5), a module per view."""

from clusters.live import certificates, health, polling, rejections


def register_views() -> None:
    """Called once, in `apps.ready`."""
    certificates.register_views()
    health.register_views()
    polling.register_views()
    rejections.register_views()
