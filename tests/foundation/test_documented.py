"""Commands, options and check ids that the documents and the contract name are those that there are."""

import re
import shlex
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import get_commands, load_command_class
from django.core.management.base import CommandParser

ROOT = Path(settings.BASE_DIR)
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]

# interfaces.md 2: command -> its options.
COMMANDS = {
    "add_cluster": {"--bootstrap", "--properties-file", "--property", "--prometheus", "--controllers", "--offline"},
    "add_client": {"--cluster", "--group", "--topic", "--principal", "--key"},
    "add_user": {"--role", "--client", "--password-file"},
    "create_token": {"--hours", "--name"},
    "revoke_token": set(),
    "set_group": {"--read-committed", "--commit-interval", "--target-seconds", "--mute", "--reason", "--until"},
    "ship_authorizer_log": set(),
    "check_schema": set(),
    "import_load_test": set(),
    "demo": set(),
}


def parser_of(command: str) -> CommandParser:
    return load_command_class(get_commands()[command], command).create_parser("manage.py", command)


def options_of(command: str) -> set[str]:
    """Every option, those of its actions included."""
    found: set[str] = set()
    parsers = [parser_of(command)]
    for parser in parsers:
        for action in parser._actions:
            found |= set(action.option_strings)
            if isinstance(action.choices, dict):
                parsers += action.choices.values()
    return found


def actions_of_demo() -> set[str]:
    choices = (action.choices for action in parser_of("demo")._actions if isinstance(action.choices, dict))
    return {name for found in choices for name in found}


def named() -> list[tuple[str, str, list[str]]]:
    """(document, command, words after it) wherever a document says `manage.py ...`."""
    found = []
    for path in DOCUMENTS:
        text = path.read_text(encoding="utf-8").replace("\\\n", " ")
        for line in re.findall(r"manage\.py ([a-z_]+(?: [^`\n|>#;]*)?)", text):
            command, *words = line.split()
            found.append((path.name, command, words))
    return found


@pytest.mark.parametrize(("command", "options"), COMMANDS.items())
def test_a_command_of_the_contract_has_its_options(command: str, options: set[str]) -> None:
    assert options <= options_of(command)


def test_every_command_that_a_document_names_exists_with_the_options_given() -> None:
    assert len(named()) > 20
    for document, command, words in named():
        assert command in get_commands(), f"{document}: {command}"
        options = {word.partition("=")[0].strip("[]().,") for word in words if word.strip("[(").startswith("--")}
        assert options <= options_of(command), f"{document}: {command} {options - options_of(command)}"


def test_every_action_of_the_demo_that_a_document_names_exists_and_every_one_is_named() -> None:
    told = {words[0].strip(".,)") for _, command, words in named() if command == "demo" and words}

    assert told - {"..."} <= actions_of_demo()
    assert actions_of_demo() - told <= {"prepare", "introduce"}, "part of the start, for nobody to type"


def test_the_commands_of_the_readme_can_be_typed() -> None:
    for line in re.findall(r"manage\.py (demo .*)", (ROOT / "README.md").read_text(encoding="utf-8")):
        _, *words = shlex.split(line, comments=True)
        assert parser_of("demo").parse_args(words).action == words[0]


def test_every_check_id_is_described_and_every_described_one_exists() -> None:
    code = [
        path
        for path in ROOT.glob("*/**/*.py")
        if path.parts[len(ROOT.parts)] in {"ops_portal", "accounts", "clusters", "lag"}
    ]
    ids = {found for path in code for found in re.findall(r"ops_portal\.[EW]\d{3}", path.read_text(encoding="utf-8"))}

    described = set(
        re.findall(
            r"^\| `(ops_portal\.[EW]\d{3})` \|", (ROOT / "docs/operations.md").read_text(encoding="utf-8"), re.MULTILINE
        )
    )
    assert described == ids
