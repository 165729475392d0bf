"""What API tests need: a caller per role, and a limiter that other tests have not used up."""

from collections.abc import Callable, Collection

import pytest
import redis
from django.test import Client

from accounts import services
from accounts.models import Client as Firm
from accounts.models import User
from tests.accounts.factories import make_user

Caller = Callable[..., Client]


@pytest.fixture
def call_as(db: None, valkey: redis.Redis) -> Caller:
    """`call_as("sre")` is a test client that sends a live token of a user of that role."""

    def make(role: str, clients: Collection[Firm] = (), username: str | None = None) -> Client:
        user = User.objects.filter(username=username or f"{role}-person").first() or make_user(role, username, clients)
        _, text = services.token_create(user=user, acting_user=user)
        return Client(headers={"Authorization": f"Bearer {text}"}, raise_request_exception=False)

    return make
