"""Rejections and schemas in the browser: by push, on a phone, and to a client's people only their own."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, Visit


def test_a_refusal_appears_without_a_reload(site: Site, visit: Visit) -> None:
    page = visit("/rejections?period=1h")
    rows = page.locator(".rejection-table tbody tr")
    expect(rows.first).to_be_visible()
    page.evaluate("window.untouched = true")
    site.tell("refuse")
    expect(rows.filter(has_text="User:northgate-new-")).to_have_count(1)
    expect(rows.first).to_contain_text("new")
    assert page.evaluate("window.untouched") is True


def test_filters_stand_in_the_address(visit: Visit) -> None:
    page = visit("/rejections")
    page.get_by_role("link", name="sign-in failed").first.click()
    expect(page).to_have_url("/rejections?kind=authentication")
    expect(page.locator(".rejection-table tbody tr")).to_have_count(1)
    page.get_by_role("link", name="Clear").click()
    page.get_by_label("Client").select_option("Northgate Capital")
    expect(page.locator(".rejection-table")).not_to_contain_text("harbour-app")


def test_a_refusal_says_what_would_let_it_through(visit: Visit) -> None:
    page = visit("/rejections?q=northgate-feed")
    page.locator(".rejection-table a").first.click()
    expect(page.get_by_role("heading", level=1)).to_have_text("User:northgate-feed")
    fix = page.get_by_role("region", name="What would let it through")
    expect(fix).to_contain_text(
        "kafka-acls.sh --add --allow-principal User:northgate-feed --operation Write --topic northgate-trades"
    )


def test_a_client_sees_its_own_refusals_and_subjects(visit: Visit) -> None:
    page = visit("/rejections", role="client")
    expect(page.locator(".rejection-table")).to_contain_text("User:northgate-feed")
    expect(page.locator("main")).not_to_contain_text("harbour")
    expect(page.locator("main")).not_to_contain_text("broker-1")
    page.goto("/schemas")
    expect(page.locator("main")).to_contain_text("northgate-trades-value")
    expect(page.locator("main")).not_to_contain_text("harbour")


def test_the_offered_schema_is_shown_against_the_accepted_one(visit: Visit) -> None:
    page = visit("/schemas?q=northgate-trades")
    page.get_by_role("link", name="northgate-trades-value").click()
    refused = page.get_by_role("region", name="Last refusal")
    expect(refused).to_contain_text("Field venue is new and has no default")
    expect(refused.locator(".diff__added").filter(has_text='"venue"')).to_have_count(1)


@pytest.mark.parametrize("width", [390, 1280, 1920])
@pytest.mark.parametrize("path", ["/rejections?period=7d", "/schemas"])
def test_no_cell_is_cut_off(visit: Visit, path: str, width: int) -> None:
    """Long names break; nothing stands over the edge of its panel."""
    page = visit(path, width=width)
    over = page.evaluate(
        "[...document.querySelectorAll('.rejection-table :is(td, th)')].filter(e => e.scrollWidth > e.clientWidth + 1)"
        ".map(e => e.className + ' ' + e.textContent.slice(0, 40))"
    )
    assert over == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
