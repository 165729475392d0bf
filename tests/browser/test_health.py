"""The pages of cluster health: a broker falls and the page says so by push; nothing is told by colour alone."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Site, Visit
from tests.browser.test_pages import serious_findings

PAGES = ("/clusters/demo", "/targets", "/topics/demo/risk.alerts", "/")
PICTURES = os.environ.get("HEALTH_PICTURES")  # a directory: also take pictures of every page


@pytest.fixture
def brokers(site: Site) -> Iterator[Site]:
    """All brokers are back at the end."""
    site.tell("read")
    yield site
    for broker in (2, 3):
        site.tell(f"restore {broker}")


def take(page: Page, name: str) -> None:
    if PICTURES:
        page.screenshot(path=Path(PICTURES) / f"{name}.png", full_page=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_are_accessible_whole_and_broken(brokers: Site, visit: Visit, theme: str) -> None:
    page = visit("/", theme=theme, bypass_csp=True)
    found = {}
    for state in ("whole", "broken"):
        if state == "broken":
            brokers.tell("lose 2")
        for path in PAGES:
            page.goto(path)
            page.wait_for_load_state()
            for signal in page.locator("details[data-signal]").all()[:3]:
                signal.locator("summary").click()
            found[f"{path} {state}"] = serious_findings(page)
            take(page, f"{path.strip('/').replace('/', '_') or 'home'}-{state}-{theme}")
    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_the_pages_fit_every_width(brokers: Site, visit: Visit, width: int) -> None:
    page = visit("/", width=width)
    wide = []
    for path in PAGES:
        page.goto(path)
        take(page, f"{path.strip('/').replace('/', '_') or 'home'}-{width}")
        if page.evaluate("document.documentElement.scrollWidth > innerWidth"):
            wide.append(path)
    assert wide == []


def test_a_broker_that_falls_is_named_by_push_and_green_again_when_it_is_back(brokers: Site, visit: Visit) -> None:
    page = visit("/clusters/demo")
    page.evaluate("window.untouched = true")
    fold = page.locator("#signal-disk_free")
    fold.locator("summary").click()
    expect(fold.locator("dd").filter(has_text="down from")).to_be_visible()
    brokers.tell("lose 2")
    verdict = page.locator("#verdict")
    expect(verdict).to_contain_text("Brokers down")
    expect(verdict).to_contain_text("2 (broker-2:9092)")
    expect(page).to_have_title(re.compile(r"^\(\d+\)"))
    expect(page.locator("#brokers tr").nth(1)).to_contain_text("down")
    expect(page.locator("#lagging")).to_contain_text("broker 2")
    assert fold.get_attribute("open") is not None  # what a person opened stays open
    brokers.tell("restore 2")
    expect(verdict).not_to_contain_text("Brokers down")
    assert page.evaluate("window.untouched") is True


def test_a_reason_leads_to_its_signal_its_query_and_its_chart(brokers: Site, visit: Visit) -> None:
    brokers.tell("lose 3")
    page = visit("/clusters/demo")
    item = page.locator(".reasons__item").filter(has_text="Under-replicated partitions")
    item.get_by_text("Source query").click()
    expect(item.locator("code")).to_contain_text("partitions with fewer in-sync replicas")
    item.get_by_role("link", name="Under-replicated partitions").click()
    signal = page.locator("#signal-under_replicated")
    expect(signal).to_have_attribute("open", "")
    expect(signal.locator(".main-svg").first).to_be_visible()


def test_what_is_old_is_unknown_and_says_since_when(brokers: Site, visit: Visit) -> None:
    brokers.tell("age")
    page = visit("/clusters/demo")
    expect(page.locator("#verdict")).to_contain_text("Cannot be told")
    expect(page.locator("#notices")).to_contain_text("Kafka's metadata was last read")
    expect(page.locator("#brokers .tone-ok")).to_have_count(0)
    take(page, "clusters_demo-stale")


def test_a_client_s_viewer_finds_no_way_to_brokers(visit: Visit) -> None:
    page = visit("/", role="client")
    expect(page.get_by_role("link", name="Brokers")).to_have_count(0)
    assert page.request.get("/clusters/demo").status == 403
    assert page.request.get("/targets").status == 403
