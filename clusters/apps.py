from django.apps import AppConfig


class ClustersConfig(AppConfig):
    name = "clusters"

    def ready(self) -> None:
        from accounts.signals import ownership_changed
        from clusters import live  # models must be loaded first
        from clusters.services import certificates, health_sources, rejection_counters, schemas
        from clusters.services.ownership import on_ownership_changed

        live.register_views()
        health_sources.register_sources()
        schemas.register_source()
        rejection_counters.register_source()
        certificates.register_source()
        ownership_changed.connect(on_ownership_changed, dispatch_uid="clusters.rejections")
