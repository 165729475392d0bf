from django.apps import AppConfig
from django.conf import settings


class LagConfig(AppConfig):
    name = "lag"

    def ready(self) -> None:
        from accounts import known_objects  # models must be loaded first
        from accounts.signals import ownership_changed
        from clusters import sources
        from clusters.selectors.load_tests import register_beside
        from clusters.services.certificates.window import register as register_window
        from lag import live, polling
        from lag.selectors.beside import lag_beside
        from lag.selectors.names import group_names, topic_names
        from lag.selectors.window import lag_in_window
        from lag.services.owners import on_ownership_changed

        live.register_views()
        known_objects.register("group", group_names)
        known_objects.register("topic", topic_names)
        ownership_changed.connect(on_ownership_changed, dispatch_uid="lag.owners")
        register_beside("lag", lag_beside)
        register_window("lag", lag_in_window)
        sources.register("lag", polling.poll_lag, lambda: settings.LAG_PERIOD_SECONDS)
