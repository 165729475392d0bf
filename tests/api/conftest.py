"""What API tests need: a caller per role, and a limiter that other tests have not used up."""

from collections.abc import Callable, Collection
from typing import Any

import pytest
import redis
from django.test import Client

from accounts import services
from accounts.models import Client as Firm
from accounts.models import User
from tests.accounts.factories import make_user
from tests.api.site import Site

Caller = Callable[..., Client]


@pytest.fixture
def call_as(db: None, valkey: redis.Redis) -> Caller:
    """`call_as("sre")` is a test client that sends a live token of a user of that role."""

    def make(role: str, clients: Collection[Firm] = (), username: str | None = None) -> Client:
        user = User.objects.filter(username=username or f"{role}-person").first() or make_user(role, username, clients)
        _, text = services.token_create(user=user, acting_user=user)
        return Client(headers={"Authorization": f"Bearer {text}"}, raise_request_exception=False)

    return make


@pytest.fixture
def site(db: None, valkey: redis.Redis) -> Site:
    """A portal in use."""
    return Site()


@pytest.fixture
def get(site: Site) -> Any:
    """`get(path, role="sre")` -> the JSON of an answer with that status, 200 unless said otherwise."""
    texts = {role: services.token_create(user=user, acting_user=user)[1] for role, user in site.users.items()}

    def fetch(path: str, role: str = "sre", status: int = 200) -> Any:
        answer = Client(headers={"Authorization": f"Bearer {texts[role]}"}).get(path)
        assert answer.status_code == status, answer.content
        return answer.json()

    return fetch
