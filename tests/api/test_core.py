"""What holds for every operation: who calls, how failures look, how lists page."""

from datetime import timedelta
from typing import Any

import pytest
import redis
from django.db import OperationalError
from django.db.models.functions import Now
from django.test import Client
from openapi_spec_validator import validate
from pytest_django import Settings

from accounts import selectors, services
from accounts.models import ApiToken
from accounts.models import Client as ClientFirm
from ops_portal.lib import problems
from tests.accounts.factories import PASSWORD, make_client, make_user
from tests.api.conftest import Caller

pytestmark = pytest.mark.django_db


def failure(response: Any, status: int, code: str) -> dict[str, Any]:
    """Check that the response is a failure of the contract and give its body."""
    body: dict[str, Any] = response.json()
    assert (response.status_code, body["error"]) == (status, code), body
    assert response["Content-Type"] == "application/json"
    assert response["X-Request-ID"] == body["request_id"]
    assert set(body) <= {"error", "message", "request_id", "retry_after", "fields"}
    assert body["message"]
    assert ("Retry-After" in response.headers) == ("retry_after" in body)
    return body


def signed_in(role: str = "sre", **options: Any) -> Client:
    browser = Client(raise_request_exception=False, **options)
    browser.force_login(make_user(role))
    return browser


def test_asks_who_calls(valkey: redis.Redis) -> None:
    response = Client().get("/api/v1/clients")

    failure(response, 401, "not_authenticated")
    assert response["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("header", ["Bearer made-up", "Bearer ", "bearer x\x80y", f"Bearer opt_{'a' * 43}"])
def test_refuses_a_forged_token_even_with_a_good_session(header: str, valkey: redis.Redis) -> None:
    failure(signed_in().get("/api/v1/clients", headers={"Authorization": header}), 401, "not_authenticated")


def test_says_that_a_token_has_expired(call_as: Caller) -> None:
    caller = call_as("sre")
    ApiToken.objects.update(expires_at=Now() - timedelta(seconds=1))

    failure(caller.get("/api/v1/clients"), 401, "token_expired")


def test_an_ended_token_and_a_disabled_user_are_not_authenticated(call_as: Caller) -> None:
    ended, disabled = call_as("sre"), call_as("lead")
    services.token_revoke(token=ApiToken.objects.get(user__role="sre"), acting_user=None)
    services.user_disable(user=ApiToken.objects.get(user__role="lead").user, acting_user=None)

    failure(ended.get("/api/v1/clients"), 401, "not_authenticated")
    failure(disabled.get("/api/v1/clients"), 401, "not_authenticated")


def test_notes_that_a_token_is_used(call_as: Caller) -> None:
    call_as("sre").get("/api/v1/clients")

    assert ApiToken.objects.get().last_used_at is not None


def test_refreshes_a_token_once(call_as: Caller) -> None:
    caller = call_as("sre")

    answer = caller.post("/api/v1/token/refresh")

    assert set(answer.json()) == {"token", "name", "expires_at"}
    fresh = Client(headers={"Authorization": f"Bearer {answer.json()['token']}"})
    assert fresh.get("/api/v1/clients").status_code == 200
    failure(caller.get("/api/v1/clients"), 401, "not_authenticated")
    assert fresh.get("/api/v1/clients").status_code == 200  # an old token in use ends nothing by itself


def test_a_replaced_token_that_is_refreshed_again_ends_its_successors(call_as: Caller) -> None:
    caller = call_as("sre")
    text = caller.post("/api/v1/token/refresh").json()["token"]

    failure(caller.post("/api/v1/token/refresh"), 401, "not_authenticated")

    failure(Client(headers={"Authorization": f"Bearer {text}"}).get("/api/v1/clients"), 401, "not_authenticated")
    assert not ApiToken.objects.filter(revoked_at__isnull=True).exists()


def test_a_session_reads_but_writes_only_with_its_csrf_token(valkey: redis.Redis) -> None:
    browser = signed_in(enforce_csrf_checks=True)

    assert browser.get("/api/v1/clients").status_code == 200
    failure(browser.post("/api/v1/token/refresh"), 403, "forbidden")


def test_a_session_has_no_token_to_refresh(valkey: redis.Redis) -> None:
    failure(signed_in().post("/api/v1/token/refresh"), 400, "bad_request")


def test_a_role_without_the_right_is_forbidden(call_as: Caller) -> None:
    failure(call_as("client").get("/api/v1/clients"), 403, "forbidden")


@pytest.mark.parametrize(
    "path", ["/api/", "/api/v1", "/api/v1/", "/api/v1/nothing", "/api/v2/clients", "/api/v1/a%00b"]
)
def test_an_address_that_is_not_there_is_not_found(path: str, call_as: Caller) -> None:
    failure(call_as("sre").get(path), 404, "not_found")


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete", "options"])
def test_names_the_methods_that_an_address_answers(method: str, call_as: Caller) -> None:
    response = getattr(call_as("sre"), method)("/api/v1/clients")

    failure(response, 405, "method_not_allowed")
    assert response["Allow"] == "GET"


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=501", "limit"),
        ("limit=ten", "limit"),
        ("limit=1e2", "limit"),
        ("sort=secret", "sort"),
        ("sort=--client", "sort"),
        ("cursor=made-up", "cursor"),
        ("cursor=%F0%9F%92%A9", "cursor"),
        ("cursor=" + "A" * 3000, "cursor"),
        ("q=a%00b", "q"),
        ("q=" + "a" * 401, "q"),
    ],
)
def test_says_which_query_value_is_wrong(query: str, field: str, call_as: Caller) -> None:
    body = failure(call_as("sre").get(f"/api/v1/clients?{query}"), 422, "invalid")

    assert list(body["fields"]) == [field]
    assert all(isinstance(text, str) for text in body["fields"][field])


def test_a_parameter_without_a_value_counts_as_not_given(call_as: Caller) -> None:
    assert call_as("sre").get("/api/v1/clients?q=&sort=&limit=&cursor=").status_code == 200


def test_pages_a_list_to_its_end_without_gap_or_repeat(call_as: Caller) -> None:
    names = sorted(make_client(f"Firm {number:02}").name for number in range(7))
    caller, seen, cursor = call_as("sre"), [], ""
    while True:
        body = caller.get("/api/v1/clients", {"limit": "3", "cursor": cursor}).json()
        seen += [item["client"] for item in body["items"]]
        assert body["total"] == 7
        if body["next_cursor"] is None:
            break
        cursor = body["next_cursor"]

    assert seen == names


@pytest.mark.parametrize("change", [{"q": "x"}, {"sort": "-client"}])
def test_a_cursor_holds_for_its_filter_and_sort_only(change: dict[str, str], call_as: Caller) -> None:
    for number in range(3):
        make_client(f"Firm {number}")
    caller = call_as("sre")
    cursor: str = caller.get("/api/v1/clients?limit=1").json()["next_cursor"]
    query: dict[str, str] = {"limit": "1", "cursor": cursor} | change

    failure(caller.get("/api/v1/clients", query), 422, "invalid")


def test_an_account_manager_sees_own_clients_and_counts_only_them(call_as: Caller) -> None:
    own = make_client("Northgate Capital", groups=["ng-*"])
    make_client("Alder Bank")

    body = call_as("account-manager", [own]).get("/api/v1/clients").json()

    assert body["total"] == 1
    assert body["items"][0]["client"] == "Northgate Capital"
    assert body["items"][0]["owns"] == [{"kind": "group", "glob": "ng-*", "cluster": None}]


def test_limits_requests_and_says_how_long_to_wait(settings: Settings, call_as: Caller) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 2
    caller, other = call_as("sre"), call_as("lead")
    answers = [caller.get("/api/v1/clients") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 429]
    body = failure(answers[-1], 429, "rate_limit_exceeded")
    assert 1 <= body["retry_after"] <= 60
    assert answers[-1]["Retry-After"] == str(body["retry_after"])
    assert other.get("/api/v1/clients").status_code == 200


def test_limits_callers_without_a_token_by_address(settings: Settings, valkey: redis.Redis) -> None:
    settings.RATE_LIMIT_PER_MINUTE = 1
    first = Client(REMOTE_ADDR="203.0.113.1")
    first.get("/api/v1/clients", headers={"Authorization": "Bearer one"})

    failure(first.get("/api/v1/clients", headers={"Authorization": "Bearer two"}), 429, "rate_limit_exceeded")
    failure(Client(REMOTE_ADDR="203.0.113.2").get("/api/v1/clients"), 401, "not_authenticated")


def test_a_failure_on_our_side_tells_nothing_of_it(call_as: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(user: object) -> None:
        raise RuntimeError("password=hunter2 at db-7.internal")

    monkeypatch.setattr(selectors, "clients_visible", fail)

    response = call_as("sre").get("/api/v1/clients")

    failure(response, 500, "internal_error")
    assert b"hunter2" not in response.content
    assert b"internal" not in response.content.replace(b"internal_error", b"")


def test_an_unreachable_database_is_unavailable(call_as: Caller, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(user: object) -> None:
        raise OperationalError("connection to server at 10.0.0.5 failed")

    monkeypatch.setattr(selectors, "clients_visible", fail)

    response = call_as("sre").get("/api/v1/clients")

    failure(response, 503, "unavailable")
    assert b"10.0.0.5" not in response.content


def test_who_was_slower_is_told_of_a_conflict_and_not_of_what_is_there(
    call_as: Caller, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two at once pass the same check; the second meets the constraint, whose text names what others have."""
    make_client("Southbank Trading")
    monkeypatch.setattr(selectors, "clients_visible", lambda user: ClientFirm.objects.create(name="Southbank Trading"))

    response = call_as("sre").get("/api/v1/clients")

    failure(response, 409, "conflict")
    assert b"Southbank" not in response.content
    assert response["Retry-After"]


def test_an_unknown_host_gets_a_bad_request(valkey: redis.Redis) -> None:
    failure(Client().get("/api/v1/clients", headers={"Host": "evil.example"}), 400, "bad_request")


def test_the_openapi_document_is_valid_and_not_public(call_as: Caller) -> None:
    failure(Client().get("/api/v1/openapi.json"), 401, "not_authenticated")
    document = call_as("client").get("/api/v1/openapi.json").json()

    validate(document)
    for path, methods in document["paths"].items():
        for method, found in methods.items():
            assert found["summary"], f"{method} {path}"
            assert {"401", "403", "422", "429", "500"} <= set(found["responses"]), f"{method} {path}"


def test_every_code_has_a_status_and_a_sentence() -> None:
    assert set(problems.STATUS_OF) == set(problems.DEFAULT_MESSAGES)


def test_the_sign_in_password_is_no_token(valkey: redis.Redis) -> None:
    make_user("sre")
    failure(Client().get("/api/v1/clients", headers={"Authorization": f"Bearer {PASSWORD}"}), 401, "not_authenticated")
