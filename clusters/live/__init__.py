"""Live views of the app (interfaces.md 5), a module per view."""

from clusters.live import polling


def register_views() -> None:
    """Called once, in `apps.ready`."""
    polling.register_views()
