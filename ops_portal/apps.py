from django.apps import AppConfig


class OpsPortalConfig(AppConfig):
    name = "ops_portal"

    def ready(self) -> None:
        from ops_portal import checks

        checks.register_all()
