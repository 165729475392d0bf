from django.apps import AppConfig


class LagConfig(AppConfig):
    name = "lag"
