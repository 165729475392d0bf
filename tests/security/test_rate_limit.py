"""The limiter admits exactly its limit over parallel callers, tells the truth about waiting, and lives without its server."""

import concurrent.futures
from collections.abc import Iterator

import pytest
import redis
from django.conf import settings
from django.test import RequestFactory
from pytest_django import Settings

from ops_portal.lib import ratelimit


@pytest.fixture
def no_server(settings: Settings) -> Iterator[None]:
    """The limiter points at a socket where nobody listens."""
    settings.VALKEY = "unix:///nowhere/valkey.sock"
    ratelimit._script.cache_clear()
    yield
    ratelimit._script.cache_clear()
    ratelimit._state = ratelimit._State()


def test_admits_exactly_the_limit_of_parallel_requests(valkey: redis.Redis) -> None:
    with concurrent.futures.ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: ratelimit.admit("api", "token:1", 1000), range(3000)))

    refused = [answer for answer in answers if not answer.admitted]
    assert len(answers) - len(refused) == 1000
    assert all(1 <= answer.retry_after_seconds <= 60 for answer in refused)


def test_keys_do_not_share_a_window(valkey: redis.Redis) -> None:
    assert ratelimit.admit("api", "a", 1).admitted
    assert not ratelimit.admit("api", "a", 1).admitted
    assert ratelimit.admit("api", "b", 1).admitted
    assert ratelimit.admit("sign-in", "a", 1).admitted


def test_says_when_the_oldest_request_leaves_the_window(valkey: redis.Redis) -> None:
    name = ratelimit._name("api", "a")
    seconds, microseconds = valkey.time()
    valkey.rpush(name, (seconds - 20) * 1_000_000 + microseconds)

    refused = ratelimit.admit("api", "a", 1)

    assert refused.retry_after_seconds == 40


def test_admits_again_when_the_window_has_passed(valkey: redis.Redis) -> None:
    seconds, microseconds = valkey.time()
    valkey.rpush(ratelimit._name("api", "a"), (seconds - 61) * 1_000_000 + microseconds)

    assert ratelimit.admit("api", "a", 1).admitted


def test_a_key_keeps_no_more_than_its_limit_and_vanishes(valkey: redis.Redis) -> None:
    for _ in range(5):
        ratelimit.admit("api", "a", 3)

    name = ratelimit._name("api", "a")
    assert valkey.llen(name) == 3
    assert 0 < valkey.pttl(name) <= 60_000


@pytest.mark.usefixtures("no_server")
def test_without_the_server_each_process_admits_a_share() -> None:
    answers = [ratelimit.admit("api", "a", 40) for _ in range(20)]

    assert [answer.admitted for answer in answers] == [True] * 10 + [False] * 10
    assert answers[-1].retry_after_seconds <= 60


@pytest.mark.usefixtures("no_server")
def test_fails_closed_where_asked() -> None:
    with pytest.raises(ratelimit.LimiterUnavailable):
        ratelimit.admit("sign-in", "a", 10, fail_closed=True)


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [
        (0, "203.0.113.9", "127.0.0.1"),
        (1, "203.0.113.9", "203.0.113.9"),
        (1, "198.51.100.1, 203.0.113.9", "203.0.113.9"),
        (2, "6.6.6.6, 198.51.100.1, 203.0.113.9", "198.51.100.1"),
        (2, "203.0.113.9", "127.0.0.1"),
        (1, "", "127.0.0.1"),
    ],
)
def test_believes_only_the_entries_of_trusted_proxies(
    settings: Settings, proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    request = RequestFactory().get("/", headers={"X-Forwarded-For": forwarded})

    assert ratelimit.client_address(request) == address


def test_key_names_carry_the_deployment_and_no_caller_text() -> None:
    name = ratelimit._name("sign-in", "10.0.0.1|vera\r\n")

    assert name.startswith(f"{settings.DEPLOYMENT_ID}:limit:sign-in:")
    assert "vera" not in name
