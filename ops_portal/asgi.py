"""ASGI entry point: pages and API by Django, sockets by Channels."""

import os
from typing import cast

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ops_portal.settings.base")
django.setup(set_prefix=False)  # loads the apps; what follows may import models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from ops_portal.body_limit import Application, BodyLimit  # noqa: E402
from ops_portal.routing import websocket_urlpatterns  # noqa: E402
from ops_portal.uploads import Handler, larger_limit  # noqa: E402

# The cast: channels' types spell out every message, body_limit's say "a mapping"; both are ASGI.
router = cast(
    "Application",
    ProtocolTypeRouter({"http": Handler(), "websocket": URLRouter(websocket_urlpatterns)}),
)
application = BodyLimit(router, settings.BODY_LIMIT_BYTES, larger_limit)
