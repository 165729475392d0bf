"""Websocket routes."""

from typing import Any

from django.urls import path

from ops_portal.lib.live.consumer import LiveConsumer

websocket_urlpatterns: list[Any] = [path("ws/live/", LiveConsumer.as_asgi())]
