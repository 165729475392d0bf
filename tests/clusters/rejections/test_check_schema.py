"""`check_schema` ends with 2 wherever nobody can say: a job must never take a fault of ours for a schema that does not fit."""

from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import OperationalError

from clusters.management.commands import check_schema

NOBODY = "http://127.0.0.1:9"


@pytest.fixture
def schema(tmp_path: Path) -> str:
    file = tmp_path / "schema.avsc"
    file.write_text('"string"', encoding="utf-8")
    return str(file)


def ended(*words: str) -> CommandError:
    with pytest.raises(CommandError) as end:
        call_command("check_schema", "northgate-trades-value", *words)
    return end.value


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    error = ended(str(tmp_path / "nothing.avsc"))
    assert (error.returncode, "nothing.avsc cannot be read" in str(error)) == (2, True)


def test_a_token_file_that_cannot_be_read(schema: str, tmp_path: Path) -> None:
    error = ended(schema, "--url", NOBODY, "--token-file", str(tmp_path / "token"))
    assert (error.returncode, "The token file" in str(error)) == (2, True)


def test_a_portal_that_does_not_answer(schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PORTAL_TOKEN", "opt_made_up")
    assert ended(schema, "--url", NOBODY).returncode == 2


def test_a_database_that_does_not_answer(schema: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*given: object) -> None:
        raise OperationalError("connection refused")

    monkeypatch.setattr(check_schema.Command, "_here", refuse)
    error = ended(schema)
    assert (error.returncode, "database does not answer" in str(error)) == (2, True)


@pytest.mark.django_db
def test_no_registry(schema: str) -> None:
    assert ended(schema).returncode == 2
