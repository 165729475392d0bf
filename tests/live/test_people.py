"""Real people on the portal's own application: what accounts does to them reaches their open sockets.

The process makes no sweep of sessions, so it is the event that ends them; how soon is measured by the bench.
"""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import redis
from django.conf import settings
from django.test import Client as Browser
from django.urls import reverse

from accounts.models import User
from accounts.services import tokens, users
from ops_portal.lib.live import publish
from tests.accounts.factories import make_client, make_user
from tests.live.client import Reader
from tests.live.conftest import running_web


@pytest.fixture
def portal(process_env: dict[str, str], valkey: redis.Redis, tmp_path: Path) -> Iterator[str]:
    publish.forget()
    with running_web(process_env, tmp_path, "tests.live.serve_portal") as address:
        yield address


def signed_in(address: str, user: User) -> tuple[Reader, Browser]:
    """A greeted socket of the person, and the browser it belongs to."""
    browser = Browser()
    browser.force_login(user, backend="accounts.backends.PasswordBackend")
    cookie = browser.cookies[settings.SESSION_COOKIE_NAME].value
    reader = Reader(address, headers={"Cookie": f"{settings.SESSION_COOKIE_NAME}={cookie}"})
    reader.hello()
    return reader, browser


def ends(reader: Reader, action: Callable[[], object]) -> None:
    action()
    assert reader.until_closed() == 4401


def test_a_session_that_ends_closes_its_sockets(portal: str) -> None:
    admin = make_user("admin")
    endings: list[Callable[[User, Browser], object]] = [
        lambda user, browser: users.user_disable(user=user, acting_user=admin),
        lambda user, browser: users.password_change(user=user, password="another long phrase 18", acting_user=user),
        lambda user, browser: users.sign_out_everywhere(user=user, acting_user=user),
        lambda user, browser: browser.post(reverse("accounts:sign-out")),
    ]
    for number, ending in enumerate(endings):
        user = make_user("sre", f"sre-{number}")
        reader, browser = signed_in(portal, user)
        with reader:
            ends(reader, partial(ending, user, browser))


def test_a_lesser_role_loses_the_view_and_keeps_the_socket(portal: str) -> None:
    user = make_user("sre")
    reader, _ = signed_in(portal, user)
    with reader:
        reader.send({"type": "sub", "id": "s", "view": "ops.sources", "params": {}})
        reader.wait("snap", v="s")
        users.role_change(user=user, role="client", acting_user=make_user("admin"))
        assert reader.wait("error", v="s")["code"] == "forbidden"
        reader.send({"type": "ping", "t": 1})
        reader.wait("pong")


def test_a_client_viewer_never_sees_sources_or_unknown_groups(portal: str) -> None:
    user = make_user("client", clients=[make_client(groups=["orders-*"])])
    reader, _ = signed_in(portal, user)
    with reader:
        reader.send({"type": "sub", "id": "s", "view": "ops.sources", "params": {}})
        assert reader.wait("error", v="s")["code"] == "forbidden"
        params = {"cluster": "demo", "group": "risk-engine"}
        reader.send({"type": "sub", "id": "g", "view": "lag.group", "params": params})
        assert reader.wait("error", v="g")["code"] == "forbidden"


def test_a_revoked_token_closes_its_socket(portal: str) -> None:
    user = make_user("sre")
    token, text = tokens.token_create(user=user, acting_user=user)
    with Reader(portal, headers={"Authorization": f"Bearer {text}"}) as reader:
        reader.hello()
        ends(reader, lambda: tokens.token_revoke(token=token, acting_user=user))
