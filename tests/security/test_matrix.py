"""Roles x routes x views: nobody reaches what the role does not include, and a client's people never receive a byte about
another client. Generated from the URLconf and the registry of views; what nobody has listed is red."""

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qsl, quote, quote_plus

import pytest
import redis
from django.db import transaction
from django.db.models import F
from django.test import Client
from django.urls import URLPattern, URLResolver, get_resolver, reverse
from django.utils.html import escape

from accounts import services
from accounts.live import Claims
from accounts.models import User
from accounts.policies import sight_of
from clusters.models import Source
from lag.models import ConsumerGroup, LagState
from ops_portal.api import api
from ops_portal.lib.live import views
from ops_portal.lib.live.views import Watcher
from tests.api.site import CANARIES, OWN_CANARIES, ROLES, Site
from tests.security.routes import ROUTES, VIEWS, Route

pytestmark = pytest.mark.django_db
SCOPED = ("client", "account-manager")


@pytest.fixture
def site(valkey: redis.Redis) -> Site:
    return Site()


def url_patterns() -> Iterator[tuple[str, Callable[..., Any]]]:
    """(name with namespace, view) of every route."""

    def walk(patterns: list[URLPattern | URLResolver], namespace: str) -> Iterator[tuple[str, Callable[..., Any]]]:
        for pattern in patterns:
            if isinstance(pattern, URLResolver):
                inner = f"{namespace}{pattern.namespace}:" if pattern.namespace else namespace
                yield from walk(pattern.url_patterns, inner)
            else:
                yield f"{namespace}{pattern.name}", pattern.callback

    yield from walk(get_resolver().url_patterns, "")


def operations() -> Iterator[tuple[str, Callable[..., Any]]]:
    """(operation id, view function) of every operation of the API."""
    for router in api._get_bound_routers():
        for path_view in router.path_operations.values():
            for operation in path_view.operations:
                yield operation.operation_id or operation.view_func.__name__, operation.view_func


# --- nothing is forgotten ---


def test_every_route_is_in_the_matrix_and_every_row_is_a_route() -> None:
    found = {name for name, _ in url_patterns()}
    assert found == set(ROUTES), "list new routes in tests/security/routes.py with the roles that may reach them"


def test_every_live_view_is_in_the_matrix() -> None:
    assert set(views.names()) == set(VIEWS)


def test_every_view_says_which_right_it_asks_for() -> None:
    """Guarded by `requires`, `signed_in` or `public` of accounts.guards; the API's by `operation`."""
    pages = [(name, view) for name, view in url_patterns() if not name.startswith("api:")]
    open_doors = [name for name, view in [*pages, *operations()] if not getattr(view, "portal_access", "")]
    assert open_doors == []
    assert len(list(operations())) + 1 == sum(name.startswith("api:") for name, _ in url_patterns())


def test_whoever_needs_no_right_says_why() -> None:
    for name, view in url_patterns():
        access = getattr(view, "portal_access", "")
        if access.startswith(("public", "signed in")):
            assert len(access.partition(": ")[2].split()) >= 3, f"{name} gives no reason"


# --- calls ---


@contextmanager
def undone() -> Iterator[None]:
    """Whatever happens inside is rolled back, services that want to be outermost included."""
    block = transaction.atomic()
    block._from_testcase = True  # type: ignore[attr-defined]  # as Django's own test cases do
    with block:
        yield
        transaction.set_rollback(True)


class Person:
    """Somebody with a browser and a token. Each call starts from the same state of both."""

    def __init__(self, user: User | None) -> None:
        self.browser, self.token = Client(), ""
        if user is not None:
            self.browser.force_login(user)
            self.token = services.token_create(user=user, acting_user=user)[1]

    def call(
        self, name: str, args: dict[str, Any] | None, route: Route, query: str = "", *, by_token: bool = False
    ) -> Any:
        client = Client(raise_request_exception=False)
        headers = {}
        if by_token:
            headers["Authorization"] = f"Bearer {self.token}"
        else:
            client.cookies = SimpleCookie(self.browser.cookies.output(header="", sep=";"))
        address = reverse(name, kwargs=args) + (f"?{query}" if query else "")
        with undone():
            response = client.post(address, headers=headers) if route.post else client.get(address, headers=headers)
            response.everything = everything(response)  # type: ignore[attr-defined]
        return response


def everything(response: Any) -> str:
    """Every byte of an answer that a caller receives, in small letters; the cookies' random values apart."""
    body: bytes = response.getvalue()
    headers = "".join(f"{name}: {value}\n" for name, value in response.headers.items())
    return (headers + body.decode("utf-8", "replace")).lower()


def expected(route: Route, role: str, name: str, *, by_token: bool) -> frozenset[int]:
    """Statuses that this role may get for an object it may see."""
    if role in route.roles:
        return route.status
    if name == "api:api-root":
        return frozenset({404})
    if role == "anonymous":
        return frozenset({401}) if name.startswith("api:") else frozenset({302, 401})
    return frozenset({403})


def targets(route: Route, site: Site) -> list[dict[str, Any] | None]:
    """Arguments for a call on something that exists: the own object, or none where the route has no object."""
    return [route.own(site)] if route.own else [] if route.absent else [None]


@pytest.mark.parametrize("role", [*ROLES, "anonymous"])
def test_a_role_reaches_its_routes_and_no_other(role: str, site: Site) -> None:
    person = Person(site.users.get(role))
    wrong = []
    for name, route in ROUTES.items():
        for args in targets(route, site):
            for by_token in (False, True) if name.startswith("api:") and person.token else (False,):
                status = person.call(name, args, route, route.queries[0], by_token=by_token).status_code
                if status not in expected(route, role, name, by_token=by_token):
                    wrong.append(f"{name} by {'token' if by_token else 'session'}: {status}")
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_what_is_absent_is_not_found(role: str, site: Site) -> None:
    person = Person(site.users[role])
    wrong = [
        f"{name}: {status}"
        for name, route in ROUTES.items()
        if route.absent
        for status in [person.call(name, route.absent(site), route, route.queries[0]).status_code]
        if status != (404 if role in route.roles else 403) and not (status == 404 and name.startswith("api:"))
    ]
    assert wrong == []


@pytest.mark.parametrize("role", SCOPED)
def test_what_is_hidden_answers_like_what_is_absent(role: str, site: Site) -> None:
    person = Person(site.users[role])
    wrong = []
    for name, route in ROUTES.items():
        if route.foreign is None or route.absent is None or role not in route.roles:
            continue
        for query in route.queries:
            hidden = person.call(name, route.foreign(site), route, query)
            absent = person.call(name, route.absent(site), route, query)
            if hidden.status_code != 404 or plain(hidden) != plain(absent):
                wrong.append(f"{name}: {hidden.status_code} against {absent.status_code}")
    assert wrong == []


def plain(response: Any) -> str:
    """An answer without what is new in every answer: request id, nonces, CSRF tokens."""
    text = response.everything.replace(response["X-Request-ID"].lower(), "ID")
    text = re.sub(r"nonce-[\w+/=-]+|nonce=\"[^\"]*\"|content=\"\w{64}\"|value=\"\w{64}\"", "X", text)
    return re.sub(r"content-length: \d+", "", text)


@pytest.mark.parametrize(
    ("role", "canaries"), [("client", CANARIES), ("account-manager", CANARIES), ("southbank", OWN_CANARIES)]
)
def test_no_answer_holds_a_byte_about_another_client(role: str, canaries: tuple[str, ...], site: Site) -> None:
    person = Person(site.other_viewer if role == "southbank" else site.users[role])
    leaks, calls = [], 0
    for name, route in ROUTES.items():
        if name in {"docs-page", "docs", "patterns"}:  # they name made-up firms of their own
            continue
        objects: list[dict[str, Any] | None] = [
            found(site) for found in (route.own, route.foreign, route.absent) if found
        ]
        for args in objects or [None]:
            for query in route.queries:
                for by_token in (False, True) if name.startswith("api:") else (False,):
                    answer = person.call(name, args, route, query, by_token=by_token)
                    calls += 1
                    leaks += [
                        f"{name} {args} ?{query}: {word}"
                        for word in canaries
                        if word in without_echo(answer, args, query)
                    ]
    assert leaks == []
    assert calls > 100


def without_echo(answer: Any, args: dict[str, Any] | None, query: str) -> str:
    """An answer without the names that the caller has sent: a page repeats its own address and filters."""
    text: str = answer.everything
    sent = [str(value) for value in (args or {}).values()] + [value for _, value in parse_qsl(query)]
    for name in sent:
        if any(word in name.lower() for word in CANARIES + OWN_CANARIES):
            for spelling in (name, quote(name), quote_plus(name), escape(name)):
                text = text.replace(spelling.lower(), "")
    return text


# --- live views ---


def watcher(user: User) -> Watcher:
    return Watcher(user.pk, "identity", str(user.entitlement_version), 0.0, Claims(sight_of(user)))


@pytest.mark.parametrize("role", ROLES)
def test_a_role_watches_its_views_and_no_other(role: str, site: Site) -> None:
    for name, (roles, own, foreign) in VIEWS.items():
        if role in roles:
            assert views.authorise(name, watcher(site.users[role]), own).snapshot().rows
        else:
            with pytest.raises(views.Forbidden):
                views.authorise(name, watcher(site.users[role]), own)
        if foreign is not None and role in SCOPED:
            with pytest.raises(views.Forbidden):
                views.authorise(name, watcher(site.users[role]), foreign)


@pytest.mark.parametrize("role", SCOPED)
def test_no_frame_holds_a_byte_about_another_client(role: str, site: Site) -> None:
    """Sockets share a view's bytes by its key, so the rows of the key are what a watcher can ever receive."""
    for name, (roles, own, _) in VIEWS.items():
        if role not in roles:
            continue
        for extra in ({}, {"q": "solo"}, {"client": ["Southbank Trading"]}) if name == "lag.board" else ({},):
            key = views.authorise(name, watcher(site.users[role]), own | extra)
            text = repr(key.snapshot().rows).lower()
            assert not [word for word in CANARIES if word in text], name


def test_people_with_different_clients_never_share_a_key(site: Site) -> None:
    """Parameters do not widen a scope: the same question of two people is two keys."""
    own = views.authorise("lag.board", watcher(site.users["client"]), {"cluster": "north"})
    other = views.authorise("lag.board", watcher(site.other_viewer), {"cluster": "north"})
    whole = views.authorise("lag.board", watcher(site.users["sre"]), {"cluster": "north"})
    assert len({own.text, other.text, whole.text}) == 3
    assert own.text == views.authorise("lag.board", watcher(site.users["account-manager"]), {"cluster": "north"}).text


def test_a_person_without_clients_sees_nothing(site: Site) -> None:
    user = services.user_add(username="new", role="client", acting_user=None)
    person = Person(user)
    for name in ("api:clusters", "api:slos"):
        assert person.call(name, None, ROUTES[name], by_token=True).json()["total"] == 0
    assert person.call("api:groups", {"cluster": "north"}, ROUTES["api:groups"], by_token=True).status_code == 404
    assert views.authorise("lag.board", watcher(user), {"cluster": "north"}).snapshot().rows == {}


@pytest.mark.parametrize("role", SCOPED)
def test_a_source_that_fails_tells_a_client_nothing_of_brokers(role: str, site: Site) -> None:
    """Errors name hosts; a client's people learn that nothing was read, not from where."""
    Source.objects.update(last_error="broker-1.internal:9092 refused the connection", last_error_code="refused")
    LagState.objects.update(observed_at=F("observed_at") - timedelta(hours=1))
    error = "southbank-risk: no answer from broker-1.internal:9092"
    ConsumerGroup.objects.update(error=error, fresh=False, observed_at=F("observed_at") - timedelta(hours=1))
    person = Person(site.users[role])
    for name in (
        "home",
        "lag:group-board",
        "lag:group-board-csv",
        "lag:group-detail",
        "api:clusters",
        "api:groups",
        "api:group",
    ):
        route = ROUTES[name]
        answer = person.call(name, route.own(site) if route.own else None, route)
        assert answer.status_code == 200
        assert [word for word in CANARIES if word in answer.everything] == [], name
    for name in ("lag.board", "lag.group"):
        rows = views.authorise(name, watcher(site.users[role]), VIEWS[name][1]).snapshot().rows
        assert [word for word in CANARIES if word in repr(rows).lower()] == [], name
