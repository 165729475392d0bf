from django.apps import AppConfig


class LagConfig(AppConfig):
    name = "lag"

    def ready(self) -> None:
        from lag import live  # models must be loaded first

        live.register_views()
