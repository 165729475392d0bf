from django.apps import AppConfig


class OpsPortalConfig(AppConfig):
    name = "ops_portal"

    def ready(self) -> None:
        from ops_portal import celery, checks  # noqa: F401  # with the app there, shared tasks find it

        checks.register_all()
