"""The commands of accounts (interfaces.md 2)."""

import io
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from accounts import selectors, services
from accounts.models import ApiToken, AuditEntry, Client, Ownership, User
from tests.accounts.factories import PASSWORD, make_client, make_user

pytestmark = pytest.mark.django_db


def run(*words: object) -> list[str]:
    out = io.StringIO()
    call_command(*(str(word) for word in words), stdout=out)
    return out.getvalue().splitlines()


def test_add_client_takes_globs_of_every_kind() -> None:
    globs = ["--group", "ng-*", "--group", "NG-?", "--topic", "ng.*", "--principal", "User:ng*", "--key", "ng"]
    run("add_client", "Northgate Capital", "--cluster", "north", *globs)

    rows = set(Ownership.objects.values_list("client__name", "kind", "glob", "cluster_name"))
    assert rows == {
        ("Northgate Capital", kind, glob, "north")
        for kind, glob in [
            ("group", "ng-*"), ("group", "NG-?"), ("topic", "ng.*"), ("principal", "User:ng*"), ("key", "ng"),
        ]
    }  # fmt: skip
    assert AuditEntry.objects.filter(action="accounts.client_added", actor_name="system").exists()


def test_add_client_again_adds_what_is_new() -> None:
    run("add_client", "Northgate Capital", "--group", "ng-*")
    lines = run("add_client", "Northgate Capital", "--group", "ng-*", "--group", "nx-*")

    assert lines == ["Client Northgate Capital exists; added 1 of 2 globs."]
    assert Client.objects.count() == 1


def test_add_user_reads_the_password_from_a_file(tmp_path: Path) -> None:
    firm = make_client()
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\nsecond line\n")

    run("add_user", "vera", "--role", "client", "--client", firm.name, "--password-file", file)

    user = User.objects.get()
    assert user.check_password(PASSWORD)
    assert list(user.clients.all()) == [firm]


def test_add_user_asks_twice_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin.isatty", lambda: True, raising=False)
    monkeypatch.setattr("getpass.getpass", lambda prompt: PASSWORD)
    run("add_user", "vera", "--role", "sre")
    assert User.objects.get().check_password(PASSWORD)

    answers = iter([PASSWORD, "other"])
    monkeypatch.setattr("getpass.getpass", lambda prompt: next(answers))
    with pytest.raises(CommandError, match="differ"):
        run("add_user", "otto", "--role", "sre")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--role", "root"], "invalid choice"),
        (["--role", "client", "--client", "Nobody"], "No client is named Nobody"),
        (["--role", "sre", "--password-file", "/nowhere/x"], "cannot be read"),
        (["--role", "sre"], "No terminal"),
    ],
)
def test_add_user_says_what_is_wrong(words: list[str], says: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stdin", io.StringIO())
    with pytest.raises(CommandError, match=says):
        run("add_user", "vera", *words)
    assert not User.objects.exists()


def test_add_user_refuses_a_short_password(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("short")
    with pytest.raises(CommandError, match="too short"):
        run("add_user", "vera", "--role", "sre", "--password-file", file)


def test_the_last_line_of_create_token_is_the_token() -> None:
    user = make_user("sre")

    text = run("create_token", user.username, "--hours", "2.5", "--name", "ci")[-1]

    found = selectors.token_of_text(text)
    assert found is not None
    assert found.token.name == "ci"
    assert (found.token.expires_at - found.token.created_at).total_seconds() == 2.5 * 3600


@pytest.mark.parametrize("words", [["nobody"], ["sre-person", "--hours", "0"], ["sre-person", "--hours", "nan"]])
def test_create_token_refuses(words: list[str]) -> None:
    make_user("sre")
    with pytest.raises(CommandError):
        run("create_token", *words)
    assert not ApiToken.objects.exists()


def test_revoke_token_by_its_text_or_all_of_a_user() -> None:
    user = make_user("sre")
    texts = [services.token_create(user=user, acting_user=user)[1] for _ in range(3)]

    assert run("revoke_token", texts[0]) == ["Ended 1 token."]
    assert run("revoke_token", "--user", user.username) == ["Ended 2 tokens."]
    assert not ApiToken.objects.filter(revoked_at__isnull=True).exists()
    with pytest.raises(CommandError, match="No live token"):
        run("revoke_token", texts[0])


def test_the_first_link_is_offered_until_an_administrator_has_signed_in() -> None:
    first = run("sign_in_link", "--first", "--base", "http://127.0.0.1:8000/")[0]
    assert first.startswith("http://127.0.0.1:8000/sign-in/")
    user = services.sign_in_link_use(text=first.rpartition("/")[2])
    assert user is not None
    assert user.role == "admin"
    services.sign_in_record(user=user, acting_user=user)
    User.objects.update(last_login="2026-11-22T10:00:00Z")

    assert run("sign_in_link", "--first") == []


def test_a_link_for_a_person_by_name() -> None:
    make_user("sre")
    assert run("sign_in_link", "sre-person")[0].startswith("/sign-in/")
    with pytest.raises(CommandError, match="No active user"):
        run("sign_in_link", "nobody")
