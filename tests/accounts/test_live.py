"""Whom a socket belongs to, and for how long: the hooks that the live protocol asks."""

from datetime import timedelta

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.db.models.functions import Now
from django.test import Client

from accounts import services
from accounts.live import authenticate, revalidate
from accounts.models import ApiToken, User
from accounts.policies import Scope
from ops_portal.lib.live.views import Watcher
from tests.accounts.factories import make_client, make_user

pytestmark = pytest.mark.django_db


def by_session(user: User) -> Watcher | None:
    browser = Client()
    browser.force_login(user)
    cookie = f"x=1; {settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}"
    return authenticate({"headers": [(b"cookie", cookie.encode())]})


def by_token(text: str) -> Watcher | None:
    return authenticate({"headers": [(b"authorization", f"Bearer {text}".encode())]})


def again(watcher: Watcher | None) -> Watcher | None:
    assert watcher is not None
    return revalidate([watcher])[watcher.identity]


def test_knows_a_session_and_a_token_without_carrying_either() -> None:
    client = make_client()
    user = make_user("client", clients=[client])
    _, text = services.token_create(user=user, acting_user=user)

    session, token = by_session(user), by_token(text)

    assert session is not None
    assert token is not None
    for watcher in (session, token):
        assert watcher.user_id == user.pk
        assert watcher.claims.sight.scope == Scope(everything=False, client_ids=frozenset({client.pk}))
    assert text not in repr(token)
    assert session.identity != token.identity


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"cookie", b"")],
        [(b"cookie", b"ops_session=forged")],
        [(b"cookie", b"ops_session=\xff\xfe; ;=;")],
        [(b"authorization", b"Bearer forged")],
        [(b"authorization", b"Basic YTpi")],
        [(b"authorization", b"Bearer")],
    ],
)
def test_knows_nobody_else(headers: list[tuple[bytes, bytes]]) -> None:
    assert authenticate({"headers": headers}) is None


def test_a_bad_token_is_not_made_good_by_a_session() -> None:
    browser = Client()
    browser.force_login(make_user("sre"))
    cookie = f"{settings.SESSION_COOKIE_NAME}={browser.cookies[settings.SESSION_COOKIE_NAME].value}".encode()

    assert authenticate({"headers": [(b"cookie", cookie), (b"authorization", b"Bearer forged")]}) is None


def test_a_session_holds_until_it_is_over() -> None:
    user = make_user("sre")
    watcher = by_session(user)
    assert again(watcher) == watcher

    services.sign_out_everywhere(user=user, acting_user=user)
    assert again(watcher) is None


@pytest.mark.parametrize("ending", ["password", "disabled", "deleted", "expired"])
def test_a_session_ends_with_what_it_stands_on(ending: str) -> None:
    user = make_user("sre")
    watcher = by_session(user)
    if ending == "password":
        services.password_change(user=user, password="another pass phrase 4", acting_user=user)
    elif ending == "disabled":
        services.user_disable(user=user, acting_user=None)
    elif ending == "deleted":
        Session.objects.all().delete()
    else:
        Session.objects.update(expire_date=Now())

    assert again(watcher) is None


@pytest.mark.parametrize("ending", ["revoked", "expired", "disabled"])
def test_a_token_ends_with_what_it_stands_on(ending: str) -> None:
    user = make_user("sre")
    token, text = services.token_create(user=user, acting_user=user)
    watcher = by_token(text)
    assert again(watcher) == watcher
    if ending == "revoked":
        services.token_revoke(token=token, acting_user=None)
    elif ending == "expired":
        ApiToken.objects.update(expires_at=Now() - timedelta(seconds=1))
    else:
        services.user_disable(user=user, acting_user=None)

    assert again(watcher) is None
    assert by_token(text) is None


def test_another_role_or_client_is_another_version_and_sight() -> None:
    user = make_user("client", clients=[make_client()])
    before = by_session(user)

    services.membership_set(user=user, clients=[], acting_user=None)
    after = again(before)

    assert before is not None
    assert after is not None
    assert after.version != before.version
    assert after.claims.sight.scope == Scope(everything=False)


def test_demo_users_are_let_go_when_demo_mode_ends(settings: pytest.FixtureRequest) -> None:
    settings.DEMO = True  # type: ignore[attr-defined]
    services.demo_users_create(clients_by_role={})
    watcher = by_session(User.objects.get(username="sre"))
    assert again(watcher) is not None

    settings.DEMO = False  # type: ignore[attr-defined]
    assert again(watcher) is None


def test_many_watchers_cost_as_many_queries_as_one(django_assert_num_queries: object) -> None:
    watchers = []
    for number in range(20):
        user = make_user("client", f"person-{number}", [make_client(f"Firm {number}")])
        found = by_session(user)
        assert found is not None
        watchers.append(found)
    with django_assert_num_queries(3):  # type: ignore[operator]  # a fixture without a public type
        assert len(revalidate(watchers)) == 20
