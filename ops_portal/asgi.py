"""ASGI entry point: pages and API by Django, sockets by Channels."""

import os
from typing import cast

from django.core.asgi import get_asgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ops_portal.settings.base")
django_application = get_asgi_application()  # loads the apps; what follows may import models

from channels.routing import ProtocolTypeRouter, URLRouter  # noqa: E402
from django.conf import settings  # noqa: E402

from ops_portal.body_limit import Application, BodyLimit  # noqa: E402
from ops_portal.routing import websocket_urlpatterns  # noqa: E402

# The cast: channels' types spell out every message, body_limit's say "a mapping"; both are ASGI.
router = cast(
    "Application",
    ProtocolTypeRouter({"http": django_application, "websocket": URLRouter(websocket_urlpatterns)}),
)
application = BodyLimit(router, settings.BODY_LIMIT_BYTES)
