from django.apps import AppConfig
from django.conf import settings


class LagConfig(AppConfig):
    name = "lag"

    def ready(self) -> None:
        from accounts.signals import ownership_changed  # models must be loaded first
        from clusters import sources
        from lag import live, polling
        from lag.services.owners import on_ownership_changed

        live.register_views()
        ownership_changed.connect(on_ownership_changed, dispatch_uid="lag.owners")
        sources.register("lag", polling.poll_lag, lambda: settings.LAG_PERIOD_SECONDS)
