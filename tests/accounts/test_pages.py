"""Signing in and out, the account page and administration, as a browser without script uses them."""

import re
from typing import Any

import pytest
import redis
from django.test import Client
from django.urls import reverse
from pytest_django import Settings

from accounts import known_objects, services
from accounts.models import ApiToken, AuditEntry, Ownership, User
from accounts.models import Client as Firm
from ops_portal.lib import ratelimit
from tests.accounts.factories import PASSWORD, make_client, make_user

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def fresh_limits(valkey: redis.Redis) -> None:
    """Sign-in attempts of other tests do not count."""


def browser(user: User | None = None) -> Client:
    client = Client()
    if user is not None:
        client.force_login(user)
    return client


def sign_in(client: Client, username: str, password: str = PASSWORD, **more: str) -> Any:
    return client.post(reverse("accounts:sign-in"), {"username": username, "password": password, **more})


def errors(response: Any) -> str:
    """What the page says is wrong."""
    text: str = response.content.decode()
    return " ".join(re.findall(r'(?:field__error">|notice--critical)(.*?)</(?:li|div)>', text, re.DOTALL))


# --- signing in and out ---


def test_signs_in_and_records_it() -> None:
    make_user("sre")
    client = browser()

    response = sign_in(client, "sre-person")

    assert response.status_code == 302
    assert response["Location"] == reverse("home")
    assert AuditEntry.objects.filter(action="accounts.user_signed_in", actor_name="sre-person").exists()
    assert client.get(reverse("accounts:profile")).status_code == 200


def test_a_page_sends_to_sign_in_and_back() -> None:
    make_user("admin")
    client = browser()
    page = reverse("accounts:user-list") + "?q=a"

    response = client.get(page)
    assert response["Location"].startswith(reverse("accounts:sign-in"))
    assert sign_in(client, "admin-person", next=page)["Location"] == page


@pytest.mark.parametrize(
    "wish", ["https://evil.example/", "//evil.example", "javascript:alert(1)", "/\\evil.example", "-1", "accounts:x"]
)
def test_never_sends_anybody_elsewhere(wish: str) -> None:
    make_user("sre")
    assert sign_in(browser(), "sre-person", next=wish)["Location"] == reverse("home")


@pytest.mark.parametrize(
    ("username", "password"),
    [("sre-person", "wrong"), ("nobody", PASSWORD), ("gone", PASSWORD), ("sre-person", " " + PASSWORD)],
)
def test_refuses_with_one_sentence_whatever_is_wrong(username: str, password: str) -> None:
    make_user("sre")
    services.user_disable(user=make_user("sre", "gone"), acting_user=None)

    response = sign_in(browser(), username, password)

    assert response.status_code == 403
    assert "do not match an active account" in response.content.decode()
    assert password not in response.content.decode()


def test_counts_attempts_per_address_and_name(settings: Settings) -> None:
    settings.SIGN_IN_LIMIT_PER_MINUTE = 2
    make_user("sre")
    make_user("lead")
    answers = [sign_in(browser(), "SRE-person", "wrong") for _ in range(2)]

    refused = sign_in(browser(), "sre-person")

    assert [answer.status_code for answer in answers] == [403, 403]
    assert refused.status_code == 429
    assert 1 <= int(refused["Retry-After"]) <= 60
    assert sign_in(browser(), "lead-person").status_code == 302


def test_one_address_cannot_try_every_name(settings: Settings) -> None:
    settings.SIGN_IN_LIMIT_PER_MINUTE = 1
    answers = [sign_in(browser(), f"name-{number}", "wrong").status_code for number in range(11)]
    assert answers == [403] * 10 + [429]


def test_sign_in_stays_closed_while_attempts_cannot_be_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*args: object, **options: object) -> None:
        raise ratelimit.LimiterUnavailable

    monkeypatch.setattr(ratelimit, "admit", fail)
    make_user("sre")

    response = sign_in(browser(), "sre-person")

    assert response.status_code == 503
    assert "closed for the moment" in response.content.decode()


def test_demo_users_sign_in_in_demo_mode_only(settings: Settings) -> None:
    settings.DEMO = True
    services.demo_users_create(clients_by_role={})
    client = browser()
    assert sign_in(client, "sre", "demo").status_code == 302

    settings.DEMO = False
    assert client.get(reverse("accounts:profile")).status_code == 302
    assert sign_in(browser(), "sre", "demo").status_code == 403


def test_signs_out_here_only() -> None:
    user = make_user("sre")
    here, there = browser(user), browser(user)

    here.post(reverse("accounts:sign-out"))

    assert here.get(reverse("accounts:profile")).status_code == 302
    assert there.get(reverse("accounts:profile")).status_code == 200


def test_signs_out_everywhere() -> None:
    user = make_user("sre")
    here, there = browser(user), browser(user)

    here.post(reverse("accounts:sign-out-everywhere"))

    assert [client.get(reverse("accounts:profile")).status_code for client in (here, there)] == [302, 302]


def test_reading_the_sign_out_address_signs_nobody_out() -> None:
    client = browser(make_user("sre"))
    assert client.get(reverse("accounts:sign-out")).status_code == 405
    assert client.get(reverse("accounts:profile")).status_code == 200


def test_a_sign_in_link_is_used_by_a_click_and_not_by_a_preview() -> None:
    user = services.user_add(username="vera", role="sre", acting_user=None)
    address = reverse("accounts:link-sign-in", args=[services.sign_in_link_create(user=user, acting_user=None)])
    client = browser()

    assert [client.get(address).status_code for _ in range(2)] == [200, 200]
    assert client.post(address)["Location"] == reverse("accounts:password-change")
    assert client.get(reverse("accounts:profile")).status_code == 200
    assert browser().post(address).status_code == 410
    assert browser().get(address).status_code == 410


def test_the_session_stays_alive_while_it_is_used() -> None:
    client = browser(make_user("sre"))

    response = client.post(reverse("accounts:session-touch"), headers={"Accept": "application/json"})

    assert set(response.json()) == {"expires_at"}
    assert browser().post(reverse("accounts:session-touch"), headers={"Accept": "application/json"}).status_code == 401


# --- account ---


def test_changes_the_password_and_keeps_this_session() -> None:
    user = make_user("sre")
    here, there = browser(user), browser(user)
    form = {"old": PASSWORD, "password": "another pass phrase 4", "again": "another pass phrase 4"}

    response = here.post(reverse("accounts:password-change"), form)

    user.refresh_from_db()
    assert response.status_code == 302
    assert user.check_password("another pass phrase 4")
    assert here.get(reverse("accounts:profile")).status_code == 200
    assert there.get(reverse("accounts:profile")).status_code == 302


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"old": "wrong", "password": "another pass phrase 4", "again": "another pass phrase 4"}, "not your password"),
        ({"old": PASSWORD, "password": "another pass phrase 4", "again": "another"}, "differ"),
        ({"old": PASSWORD, "password": "short", "again": "short"}, "too short"),
        ({"old": PASSWORD, "password": "password123456", "again": "password123456"}, "too common"),
        ({}, "required"),
    ],
)
def test_says_what_is_wrong_with_a_new_password(form: dict[str, str], says: str) -> None:
    user = make_user("sre")

    response = browser(user).post(reverse("accounts:password-change"), form)

    user.refresh_from_db()
    assert user.check_password(PASSWORD)
    if form:
        assert response.status_code == 422
        assert says in errors(response)


def test_shows_a_new_token_once_and_it_works() -> None:
    client = browser(make_user("sre"))

    page = client.post(reverse("accounts:own-token-create"), {"name": "ci", "hours": "2"}).content.decode()

    found = re.search(r"opt_[\w-]{43}", page)
    assert found is not None
    assert Client(headers={"Authorization": f"Bearer {found[0]}"}).get("/api/v1/clients").status_code == 200
    assert found[0] not in client.get(reverse("accounts:profile")).content.decode()


@pytest.mark.parametrize("hours", ["0", "-1", "9000", "nan", "inf", "x", ""])
def test_refuses_a_token_of_a_senseless_life(hours: str) -> None:
    response = browser(make_user("sre")).post(reverse("accounts:own-token-create"), {"hours": hours})

    assert response.status_code == 422
    assert not ApiToken.objects.exists()


def test_ends_own_tokens_only() -> None:
    user, other = make_user("sre"), make_user("lead")
    own, _ = services.token_create(user=user, acting_user=user)
    foreign, _ = services.token_create(user=other, acting_user=other)
    client = browser(user)

    assert client.post(reverse("accounts:own-token-revoke", args=[own.pk])).status_code == 302
    assert client.post(reverse("accounts:own-token-revoke", args=[foreign.pk])).status_code == 404
    assert ApiToken.objects.get(revoked_at__isnull=True) == foreign


def test_keeps_preferences() -> None:
    user = make_user("sre")
    browser(user).post(reverse("accounts:preferences-change"), {"time_zone": "Europe/Zurich", "theme": "dark"})

    user.refresh_from_db()
    assert (user.time_zone, user.theme) == ("Europe/Zurich", "dark")


# --- administration ---


@pytest.fixture
def admin() -> Client:
    return browser(make_user("admin"))


def test_adds_a_user_and_shows_the_link_once(admin: Client) -> None:
    firm = make_client()
    form = {"username": "vera", "role": "client", "clients": [firm.pk], "email": "vera@northgate.example"}

    page = admin.post(reverse("accounts:user-add"), form).content.decode()

    user = User.objects.get(username="vera")
    link = re.search(r"http://testserver(/sign-in/[\w-]+)", page)
    assert link is not None
    assert list(user.clients.all()) == [firm]
    assert browser().post(link[1]).status_code == 302
    assert link[1] not in admin.get(reverse("accounts:user-detail", args=[user.pk])).content.decode()


@pytest.mark.parametrize(
    ("form", "says"),
    [
        ({"username": "admin-person", "role": "sre"}, "exists"),
        ({"username": "a b", "role": "sre"}, "valid username"),
        ({"username": "vera", "role": "root"}, "valid choice"),
        ({"username": "vera", "role": "sre", "email": "no"}, "valid email"),
        ({"username": "vera", "role": "sre", "clients": "CLIENT"}, "sees all clients"),
        ({"username": "vera", "role": "client", "clients": "999999"}, "valid choice"),
    ],
)
def test_says_what_is_wrong_with_a_new_user(form: dict[str, str], says: str, admin: Client) -> None:
    firm = make_client()
    sent = {name: str(firm.pk) if value == "CLIENT" else value for name, value in form.items()}

    response = admin.post(reverse("accounts:user-add"), sent)

    assert response.status_code == 422
    assert says in errors(response)
    assert not User.objects.filter(username="vera").exists()


def test_changes_role_clients_and_person(admin: Client) -> None:
    firm, user = make_client(), make_user("sre")

    admin.post(reverse("accounts:user-role", args=[user.pk]), {"role": "account-manager"})
    admin.post(reverse("accounts:user-clients", args=[user.pk]), {"clients": [firm.pk]})
    admin.post(reverse("accounts:user-person", args=[user.pk]), {"first_name": "Vera", "email": "vera@example.com"})

    user.refresh_from_db()
    assert (user.role, user.first_name, user.email) == ("account-manager", "Vera", "vera@example.com")
    assert list(user.clients.all()) == [firm]
    page = admin.get(reverse("accounts:user-detail", args=[user.pk])).content.decode()
    assert "accounts.role_changed" in page


def test_disables_enables_and_signs_out(admin: Client) -> None:
    user = make_user("sre")
    theirs = browser(user)

    admin.post(reverse("accounts:user-sign-out", args=[user.pk]))
    assert theirs.get(reverse("accounts:profile")).status_code == 302
    admin.post(reverse("accounts:user-disable", args=[user.pk]))
    assert sign_in(browser(), "sre-person").status_code == 403
    admin.post(reverse("accounts:user-enable", args=[user.pk]))
    assert sign_in(browser(), "sre-person").status_code == 302


def test_tells_why_the_last_administrator_stays(admin: Client) -> None:
    user = User.objects.get(role="admin")

    page = admin.post(reverse("accounts:user-role", args=[user.pk]), {"role": "sre"})
    admin.post(reverse("accounts:user-disable", args=[user.pk]))

    user.refresh_from_db()
    assert page.status_code == 422
    assert "last administrator" in errors(page)
    assert user.is_active


def test_lists_and_searches_users(admin: Client) -> None:
    firm = make_client()
    make_user("client", "vera", [firm])
    make_user("sre", "quentin")

    page = admin.get(reverse("accounts:user-list"), {"q": "northgate"}).content.decode()

    assert "vera" in page
    assert "quentin" not in page


def test_adds_a_client_and_shows_what_its_globs_match(admin: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(
        known_objects._names, "group", lambda: [("north", "ng-a"), ("south", "ng-b"), ("north", "sb-a")]
    )
    make_client("Southbank Trading", groups=["*-a"])

    answer = admin.post(reverse("accounts:client-add"), {"name": "Northgate Capital"})
    address = answer["Location"]
    admin.post(f"{address}/owns", {"kind": "group", "glob": "ng-*", "cluster": "north"})

    found = known_objects.matched(list(Ownership.objects.filter(client__name="Northgate Capital")))
    assert [(row.count, row.examples, row.conflicts) for row in found] == [(1, ("ng-a",), ("ng-a",))]
    page = admin.get(address).content.decode()
    assert "claimed twice" in page
    assert "ng-b" not in page


def test_takes_globs_away_and_removes_a_client_by_its_typed_name(admin: Client) -> None:
    firm = make_client("Northgate Capital", groups=["ng-*"])
    address = reverse("accounts:client-detail", args=[firm.pk])
    admin.post(reverse("accounts:client-ownership-remove", args=[firm.pk, firm.ownerships.get().pk]))
    assert not firm.ownerships.exists()

    refused = admin.post(f"{address}/remove", {"typed": "northgate capital"})
    assert refused.status_code == 422
    assert Firm.objects.exists()
    admin.post(f"{address}/remove", {"typed": "Northgate Capital"})
    assert not Firm.objects.exists()


def test_a_glob_of_another_client_is_not_found(admin: Client) -> None:
    own, other = make_client("Northgate Capital", groups=["ng-*"]), make_client("Alder Bank", groups=["ab-*"])
    foreign = reverse("accounts:client-ownership-remove", args=[own.pk, other.ownerships.get().pk])
    assert admin.post(foreign).status_code == 404
    assert other.ownerships.exists()


def test_ends_anybodys_token(admin: Client) -> None:
    user = make_user("sre")
    token, _ = services.token_create(user=user, name="ci", acting_user=user)
    assert "ci" in admin.get(reverse("accounts:token-list")).content.decode()

    admin.post(reverse("accounts:token-revoke", args=[token.pk]))

    token.refresh_from_db()
    assert token.revoked_at is not None
    assert AuditEntry.objects.filter(action="accounts.token_revoked", actor_name="admin-person").exists()


def test_the_audit_page_shows_who_what_before_and_after(admin: Client) -> None:
    user = make_user("sre")
    services.role_change(user=user, role="lead", acting_user=User.objects.get(role="admin"))
    services.client_add(name="Alder Bank", acting_user=None)

    page = admin.get(reverse("accounts:audit-list"), {"actor": "admin-person"}).content.decode()

    assert "user sre-person" in page
    assert "<del>sre</del>" in page
    assert "<ins>lead</ins>" in page
    assert "client Alder Bank" not in page
    for query in ({"q": "alder"}, {"action": "accounts.client_added"}, {"client": "Alder Bank"}):
        assert "client Alder Bank" in admin.get(reverse("accounts:audit-list"), query).content.decode()


def test_an_audit_entry_carries_the_request_id(admin: Client) -> None:
    answer = admin.post(reverse("accounts:client-add"), {"name": "Alder Bank"})
    entry = AuditEntry.objects.get(action="accounts.client_added")
    assert entry.request_id == answer["X-Request-ID"]


def test_a_hostile_name_is_text_on_every_page(admin: Client) -> None:
    name = '<script>alert("x")</script>'
    firm = Firm.objects.create(name=name)
    Ownership.objects.create(client=firm, kind="group", glob=name)
    services.client_change(client=firm, name=name, notes=name, acting_user=User.objects.get(role="admin"))

    for page in ("client-list", "audit-list"):
        assert name not in admin.get(reverse(f"accounts:{page}")).content.decode()
    assert name not in admin.get(reverse("accounts:client-detail", args=[firm.pk])).content.decode()


def test_forms_need_their_csrf_token() -> None:
    client = Client(enforce_csrf_checks=True)
    client.force_login(make_user("admin"))

    response = client.post(reverse("accounts:client-add"), {"name": "Alder Bank"})

    assert response.status_code == 403
    assert "open for too long" in response.content.decode()
    assert not Firm.objects.exists()
