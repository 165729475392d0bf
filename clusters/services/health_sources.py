"""The kinds of sources that health is read from, made known to the poll."""

from django.conf import settings

from clusters import sources
from clusters.services.health_brokers import poll_brokers
from clusters.services.health_prometheus import poll_prometheus


def register_sources() -> None:
    """Called once, in `apps.ready`."""
    sources.register("brokers", poll_brokers, lambda: settings.BROKERS_PERIOD_SECONDS)
    sources.register("prometheus", poll_prometheus, lambda: settings.PROMETHEUS_PERIOD_SECONDS)
