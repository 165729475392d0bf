"""Writes of accounts: what they change, what they record, and whom they tell."""

from datetime import timedelta

import pytest
from django.core.exceptions import ValidationError
from django.db import IntegrityError, connection, transaction
from django.db.models.functions import Now

from accounts import selectors, services
from accounts.models import ApiToken, AuditEntry, Client, Membership, Ownership, SignInLink, User
from accounts.services import OwnershipSpec
from accounts.signals import ownership_changed
from tests.accounts.factories import PASSWORD, make_client, make_user

pytestmark = pytest.mark.django_db


def last_entry() -> AuditEntry:
    entry = AuditEntry.objects.order_by("-pk").first()
    assert entry is not None
    return entry


def test_adds_a_user_with_clients_and_records_who_did_it() -> None:
    admin, client = make_user("admin"), make_client("Northgate Capital")

    user = services.user_add(username="vera", role="client", clients=[client], password=PASSWORD, acting_user=admin)

    assert user.check_password(PASSWORD)
    assert list(user.clients.all()) == [client]
    entry = last_entry()
    assert (entry.actor_name, entry.action, entry.entity) == (admin.username, "accounts.user_added", "user vera")
    assert entry.after == {"role": "client", "email": "", "clients": ["Northgate Capital"]}


def test_a_user_without_a_password_cannot_sign_in_by_one() -> None:
    assert not services.user_add(username="vera", role="sre", acting_user=None).has_usable_password()


@pytest.mark.parametrize("name", ["vera", "VERA"])
def test_refuses_a_name_that_is_taken_in_any_case(name: str) -> None:
    services.user_add(username="vera", role="sre", acting_user=None)

    with pytest.raises(ValidationError) as refused:
        services.user_add(username=name, role="sre", acting_user=None)
    assert "username" in refused.value.message_dict


@pytest.mark.parametrize("role", ["root", "", "Admin"])
def test_refuses_an_unknown_role(role: str) -> None:
    with pytest.raises(ValidationError, match="is no role"):
        services.user_add(username="vera", role=role, acting_user=None)
    assert not User.objects.filter(username="vera").exists()


def test_refuses_clients_for_a_role_that_sees_all() -> None:
    with pytest.raises(ValidationError, match="sees all clients"):
        services.user_add(username="vera", role="sre", clients=[make_client()], acting_user=None)


def test_refuses_a_short_password_and_leaves_nothing_behind() -> None:
    with pytest.raises(ValidationError) as refused:
        services.user_add(username="vera", role="sre", password="short", acting_user=None)
    assert "password" in refused.value.message_dict
    assert not User.objects.filter(username="vera").exists()
    assert not AuditEntry.objects.exists()


def test_disabling_ends_sessions_and_tokens_and_raises_the_entitlement_version() -> None:
    user = make_user("client")
    token, _ = services.token_create(user=user, acting_user=None)
    before = user.get_session_auth_hash()

    after = services.user_disable(user=user, acting_user=make_user("admin"))

    token.refresh_from_db()
    assert not after.is_active
    assert token.revoked_at is not None
    assert after.get_session_auth_hash() != before
    assert after.entitlement_version == user.entitlement_version + 1


def test_an_administrator_cannot_disable_themself() -> None:
    admin = make_user("admin")
    make_user("admin", "second")
    with pytest.raises(ValidationError, match="yourself"):
        services.user_disable(user=admin, acting_user=admin)


def test_the_last_administrator_can_be_neither_disabled_nor_demoted() -> None:
    admin = make_user("admin")
    with pytest.raises(ValidationError, match="last administrator"):
        services.user_disable(user=admin, acting_user=None)
    with pytest.raises(ValidationError, match="last administrator"):
        services.role_change(user=admin, role="sre", acting_user=None)


def test_a_role_that_sees_all_drops_the_memberships() -> None:
    user = make_user("client", clients=[make_client()])

    changed = services.role_change(user=user, role="sre", acting_user=None)

    assert not Membership.objects.filter(user=user).exists()
    assert changed.entitlement_version == user.entitlement_version + 1
    assert last_entry().before == {"role": "client", "clients": ["Northgate Capital"]}


def test_membership_is_set_exactly_and_an_unchanged_set_is_no_news() -> None:
    first, second = make_client("Northgate Capital"), make_client("Alder Bank")
    user = make_user("account-manager", clients=[first])

    changed = services.membership_set(user=user, clients=[second], acting_user=None)
    same = services.membership_set(user=user, clients=[second], acting_user=None)

    assert list(changed.clients.all()) == [second]
    assert changed.entitlement_version == same.entitlement_version == user.entitlement_version + 1
    assert AuditEntry.objects.filter(action="accounts.membership_changed").count() == 1


def test_signing_out_everywhere_ends_sessions_but_not_tokens() -> None:
    user = make_user("sre")
    token, _ = services.token_create(user=user, acting_user=user)

    after = services.sign_out_everywhere(user=user, acting_user=user)

    token.refresh_from_db()
    assert after.get_session_auth_hash() != user.get_session_auth_hash()
    assert token.revoked_at is None


def test_a_changed_ownership_is_told_on_commit_and_raises_the_version_of_the_viewers(
    django_capture_on_commit_callbacks: object,
) -> None:
    client = make_client("Northgate Capital")
    viewer, other = make_user("client", clients=[client]), make_user("client", "other")
    told: list[frozenset[int]] = []

    def listen(client_ids: frozenset[int], **_: object) -> None:
        told.append(client_ids)

    ownership_changed.connect(listen)
    try:
        with django_capture_on_commit_callbacks(execute=True):  # type: ignore[operator]  # a fixture without a public type
            added = services.ownership_add(client=client, specs=[OwnershipSpec("group", "ng-*")] * 2, acting_user=None)
    finally:
        ownership_changed.disconnect(listen)

    versions = {user.pk: user.entitlement_version for user in User.objects.all()}
    assert added == 1
    assert told == [frozenset({client.pk})]
    assert versions == {viewer.pk: 2, other.pk: 1}


@pytest.mark.parametrize(("kind", "glob"), [("broker", "x*"), ("group", ""), ("group", "x" * 261)])
def test_refuses_an_ownership_that_cannot_match(kind: str, glob: str) -> None:
    with pytest.raises(ValidationError):
        services.client_add(name="Alder Bank", specs=[OwnershipSpec(kind, glob)], acting_user=None)


def test_a_removed_client_takes_sight_and_globs_with_it_and_stays_in_the_audit_trail() -> None:
    client = make_client("Northgate Capital", groups=["ng-*"])
    viewer = make_user("client", clients=[client])

    services.client_remove(client=client, acting_user=None)

    viewer.refresh_from_db()
    assert viewer.entitlement_version == 2
    assert not Ownership.objects.exists()
    assert last_entry().before == {"name": "Northgate Capital", "owns": ["group ng-*"]}


def test_a_refreshed_token_replaces_the_old_one_and_lives_as_long() -> None:
    user = make_user("sre")
    old, old_text = services.token_create(user=user, hours=3, name="ci", acting_user=user)

    answer = services.token_refresh(token=old, acting_user=user)

    assert answer is not None
    fresh, text = answer
    old.refresh_from_db()
    assert old.revoked_at is not None
    assert old.replaced_by_id == fresh.pk
    assert fresh.expires_at - fresh.created_at == timedelta(hours=3)
    assert text != old_text
    assert selectors.token_of_text(text) is not None
    assert not ApiToken.objects.filter(digest__in=[text, old_text]).exists()


def test_refreshing_a_replaced_token_ends_the_whole_family() -> None:
    user = make_user("sre")
    old, _ = services.token_create(user=user, acting_user=user)
    unrelated, _ = services.token_create(user=user, acting_user=user)
    answer = services.token_refresh(token=old, acting_user=user)
    assert answer is not None

    assert services.token_refresh(token=old, acting_user=user) is None

    fresh, _ = answer
    fresh.refresh_from_db()
    unrelated.refresh_from_db()
    assert fresh.revoked_at is not None
    assert unrelated.revoked_at is None
    assert last_entry().action == "accounts.token_reuse_detected"


@pytest.mark.parametrize("hours", [0, -1, 24 * 366 + 1, float("nan")])
def test_refuses_a_token_of_no_or_endless_life(hours: float) -> None:
    with pytest.raises(ValidationError):
        services.token_create(user=make_user("sre"), hours=hours, acting_user=None)


def test_a_sign_in_link_works_once_and_a_new_one_ends_the_old() -> None:
    user = make_user("sre")
    first = services.sign_in_link_create(user=user, acting_user=None)
    second = services.sign_in_link_create(user=user, acting_user=None)

    assert services.sign_in_link_use(text=first) is None
    assert services.sign_in_link_use(text=second) == user
    assert services.sign_in_link_use(text=second) is None
    assert services.sign_in_link_use(text="made up") is None


def test_an_expired_sign_in_link_signs_nobody_in() -> None:
    user = make_user("sre")
    text = services.sign_in_link_create(user=user, acting_user=None)
    SignInLink.objects.update(expires_at=Now())

    assert services.sign_in_link_use(text=text) is None


def test_the_first_administrator_is_made_once() -> None:
    text = services.one_time_sign_in_link_create()
    services.one_time_sign_in_link_create()

    admin = User.objects.get(role="admin")
    assert admin.username == "admin"
    assert not admin.has_usable_password()
    assert services.sign_in_link_use(text=text) is None  # the second link replaced it


def test_demo_users_exist_in_demo_mode_only(settings: object) -> None:
    with pytest.raises(ValidationError, match="demo mode only"):
        services.demo_users_create(clients_by_role={})

    settings.DEMO = True  # type: ignore[attr-defined]
    client = make_client()
    services.demo_users_create(clients_by_role={"client": [client]})
    users = services.demo_users_create(clients_by_role={"client": [client]})

    assert [user.username for user in users] == ["sre", "oncall", "account-manager", "client", "lead", "admin"]
    assert all(user.check_password("demo") for user in users)
    assert list(User.objects.get(username="client").clients.all()) == [client]


@pytest.mark.parametrize(
    "statement", ["UPDATE accounts_auditentry SET action = 'x'", "DELETE FROM accounts_auditentry"]
)
def test_the_database_refuses_to_change_the_audit_trail(statement: str) -> None:
    services.client_add(name="Alder Bank", acting_user=None)

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute(statement)
    assert Client.objects.count() == 1


def test_the_database_refuses_to_empty_the_audit_trail() -> None:
    services.client_add(name="Alder Bank", acting_user=None)
    before = AuditEntry.objects.count()
    with connection.cursor() as cursor:
        # The tests' own database has the trigger switched off; migrations leave it on.
        cursor.execute("ALTER TABLE accounts_auditentry ENABLE TRIGGER accounts_auditentry_no_truncate")

    with pytest.raises(IntegrityError, match="append-only"), transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("TRUNCATE accounts_auditentry")
    assert AuditEntry.objects.count() == before > 0
