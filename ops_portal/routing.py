"""Websocket routes."""

from typing import Any

from django.urls import path

from ops_portal.lib.live.consumer import LiveConsumer

_live: Any = LiveConsumer.as_asgi()  # django-stubs knows only views
websocket_urlpatterns = [path("ws/live/", _live)]
