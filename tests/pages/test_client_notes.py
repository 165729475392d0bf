"""Notes on a client: of its account manager and administrators alone, each change audited (interfaces.md 8)."""

import pytest
from django.test import Client as Browser

from accounts.models import AuditEntry, Client
from accounts.roles import Role
from tests.accounts.factories import make_user

pytestmark = pytest.mark.django_db
TEXT = "Renews in May; asks for a second region."


@pytest.fixture
def northgate() -> Client:
    return Client.objects.create(name="Northgate Capital", notes="Signed in March.")


def browser(role: Role, *clients: Client) -> Browser:
    found = Browser()
    found.force_login(make_user(role, f"{role.value}-person", clients))
    return found


@pytest.mark.parametrize("role", [Role.ACCOUNT_MANAGER, Role.ADMIN])
def test_who_looks_after_a_client_keeps_notes_on_it(role: Role, northgate: Client) -> None:
    person = browser(role, northgate)
    assert "Signed in March." in person.get(f"/clients/{northgate.pk}").content.decode()

    answer = person.post(f"/clients/{northgate.pk}/notes", {"notes": TEXT})

    assert (answer.status_code, answer["Location"]) == (302, f"/clients/{northgate.pk}")
    assert TEXT in person.get(f"/clients/{northgate.pk}").content.decode()
    entry = AuditEntry.objects.get(action="accounts.client_notes_changed")
    assert (entry.before, entry.after) == ({"notes": "Signed in March."}, {"notes": TEXT})


def test_notes_that_are_too_long_are_told_beside_the_field_and_kept_there(northgate: Client) -> None:
    answer = browser(Role.ACCOUNT_MANAGER, northgate).post(f"/clients/{northgate.pk}/notes", {"notes": "x" * 5001})

    assert answer.status_code == 422
    assert "at most 5000" in answer.content.decode()
    northgate.refresh_from_db()
    assert northgate.notes == "Signed in March."


def test_another_managers_client_is_not_there(northgate: Client) -> None:
    other = Client.objects.create(name="Harbourline", notes="Talks of leaving.")
    person = browser(Role.ACCOUNT_MANAGER, northgate)

    assert person.get(f"/clients/{other.pk}").status_code == 404
    assert person.post(f"/clients/{other.pk}/notes", {"notes": TEXT}).status_code == 404
    other.refresh_from_db()
    assert other.notes == "Talks of leaving."


@pytest.mark.parametrize("role", [Role.SRE, Role.ONCALL, Role.LEAD])
def test_operations_neither_see_nor_change_notes(role: Role, northgate: Client) -> None:
    person = browser(role)

    assert "Signed in March." not in person.get(f"/clients/{northgate.pk}").content.decode()
    assert person.post(f"/clients/{northgate.pk}/notes", {"notes": TEXT}).status_code == 403
