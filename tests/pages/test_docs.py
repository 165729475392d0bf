"""The documentation as the portal shows it: every link of every page leads somewhere."""

import re
from pathlib import Path

import pytest
from django.conf import settings
from django.test import Client

from accounts.roles import Role
from clusters.selectors.health import RUNBOOK
from clusters.signals import SIGNALS
from tests.accounts.factories import make_user

pytestmark = pytest.mark.django_db
DOCS = Path(settings.BASE_DIR) / "docs"


@pytest.fixture
def reader() -> Client:
    client = Client()
    client.force_login(make_user(Role.CLIENT, "reader"))
    return client


def text_of(page: bytes) -> str:
    """The document itself, without what stands around it; nothing for a page that is no document."""
    return page.decode().partition('class="panel__body prose">')[2].partition("</article>")[0]


def test_every_document_is_a_page_and_every_link_leads_to_one(reader: Client) -> None:
    pages: dict[str, str] = {}
    waiting, broken = ["/docs", *(f"/docs/{path.stem}" for path in DOCS.glob("*.md"))], []
    while waiting:
        address = waiting.pop()
        answer = reader.get(address)
        if answer.status_code != 200:
            broken.append(address)
            continue
        pages[address] = text_of(answer.content)
        for link in re.findall(r'(?:href|src)="([^"#][^"]*)"', pages[address]):
            target = link.partition("#")[0]
            if "/pictures/" in target:
                assert list(DOCS.rglob(target.rpartition("/")[2])), f"{address} shows {target}"
            elif not link.startswith(("http:", "https:")) and target not in pages and target not in waiting:
                waiting.append(target if target.startswith("/") else f"/docs/{target}")
    assert not broken

    shown = {address.rpartition("/")[2] for address in pages}
    assert {path.stem for path in DOCS.rglob("*.md")} <= shown
    for address, text in pages.items():
        for link in re.findall(r'href="([^"]*#[^"]+)"', text):
            target, _, anchor = link.partition("#")
            if target.startswith("/docs") or not target:
                assert f'id="{anchor}"' in pages[target or address], f"{address} leads to {link}"


def test_the_runbook_of_every_signal_is_a_section_of_its_page(reader: Client) -> None:
    page = text_of(reader.get("/docs/health").content)
    for signal in SIGNALS:
        address, _, anchor = RUNBOOK.format(signal=signal.id).partition("#")
        assert address == "/docs/health"
        assert f'id="{anchor}"' in page, signal.id
