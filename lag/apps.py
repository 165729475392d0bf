from django.apps import AppConfig
from django.conf import settings


class LagConfig(AppConfig):
    name = "lag"

    def ready(self) -> None:
        from clusters import sources  # models must be loaded first
        from lag import live, polling

        live.register_views()
        sources.register("lag", polling.poll_lag, lambda: settings.LAG_PERIOD_SECONDS)
