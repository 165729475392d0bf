"""Every page in both themes: accessible, within the content policy, usable on a phone."""

import contextlib
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from ops_portal.lib import formats
from tests.browser.conftest import Site, Visit

AXE = Path(__file__).resolve().parents[2] / "node_modules/axe-core/axe.min.js"
PAGES = (
    "/", "/lag/demo", "/lag/demo/groups/risk-engine", "/lag/demo/groups/risk-engine/settings", "/topics",
    "/topics/demo/risk.alerts", "/events", "/slos", "/slos/add", "/clusters/demo", "/targets", "/certificates",
    "/certificates/demo/1", "/certificates/demo/add", "/certificates/demo/rotations", "/rejections", "/rejections/1",
    "/schemas", "/schemas/1", "/load-tests", "/load-tests/1", "/load-tests/compare?id=1&id=2", "/load-tests/import",
    "/findings", "/clients", "/clients/1", "/sources", "/sources/demo/lag", "/docs",
    "/patterns", "/account", "/account/password", "/nothing-here",
)  # fmt: skip
JUDGED_ELSEWHERE = ("/clusters/demo", "/targets", "/load-tests")  # in both themes, by the tests of these pages
OF_ADMINISTRATION = (
    "/audit", "/admin", "/admin/users", "/admin/users/1", "/admin/users/add", "/admin/clients", "/admin/clients/1",
    "/admin/clients/add", "/admin/clusters", "/admin/clusters/demo/settings", "/admin/clusters/add", "/admin/tokens",
)  # fmt: skip
MACHINE_WORDS = re.compile(r"\b(None|NaN|undefined|null|Infinity)\b|\[object |\{'|datetime\.|&[a-z]+;")
SERIOUS = {"serious", "critical"}


def serious_findings(page: Page) -> list[str]:
    page.evaluate(AXE.read_text())
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")
    return [f"{one['id']}: {one['nodes'][0]['html'][:200]}" for one in found["violations"] if one["impact"] in SERIOUS]


@pytest.mark.parametrize("half", [0, 1])
@pytest.mark.parametrize("theme", ["light", "dark"])
def test_no_page_has_a_serious_accessibility_finding(visit: Visit, theme: str, half: int) -> None:
    page = visit("/", theme=theme, bypass_csp=True)
    found = {}
    for path in [path for path in PAGES if not path.startswith(JUDGED_ELSEWHERE)][half::2]:
        page.goto(path)
        page.wait_for_load_state()
        found[path] = serious_findings(page)
    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_administration_is_accessible_too(visit: Visit, theme: str) -> None:
    page = visit("/", role="admin", theme=theme, bypass_csp=True)
    found = {}
    for path in OF_ADMINISTRATION:
        page.goto(path)
        found[path] = serious_findings(page)
    assert {path: texts for path, texts in found.items() if texts} == {}


def test_the_history_chart_keeps_to_the_content_policy(visit: Visit) -> None:
    page = visit("/lag/demo/groups/risk-engine?range=1h")
    page.get_by_role("heading", name="History").scroll_into_view_if_needed()
    chart = page.locator("[data-history]")
    expect(chart.locator(".main-svg").first).to_be_visible()
    box, inside = chart.bounding_box(), chart.locator(".main-svg").first.bounding_box()
    assert box is not None
    assert inside is not None
    assert inside["width"] <= box["width"] + 1


@pytest.mark.parametrize(
    ("role", "width"), [("sre", 390), ("sre", 1280), ("sre", 1920), ("admin", 390), ("admin", 1920)]
)
def test_no_page_scrolls_sideways_breaks_the_content_policy_or_talks_like_a_machine(
    visit: Visit, role: str, width: int
) -> None:
    page = visit("/", role=role, width=width)
    page.add_init_script(
        "window.broken = []; addEventListener('securitypolicyviolation', e => window.broken.push(e.blockedURI + ' ' + e.violatedDirective))"
    )
    found = {}
    for path in OF_ADMINISTRATION if role == "admin" else PAGES:
        page.goto(path)
        page.wait_for_load_state()
        wide, broken, text = page.evaluate(
            "[document.documentElement.scrollWidth > innerWidth, window.broken, document.querySelector('main').innerText]"
        )
        if not path.startswith("/docs"):  # which speak of code
            broken += [word[0] for word in MACHINE_WORDS.finditer(text)]
        if wide or broken:
            found[path] = (wide, broken)
    assert found == {}


def test_a_phone_reaches_every_place(visit: Visit) -> None:
    page = visit("/lag/demo", width=390)
    expect(page.get_by_role("link", name="risk-engine")).to_be_visible()
    page.get_by_role("button", name="More").click()
    page.get_by_role("navigation", name="Main", exact=True).get_by_role("link", name="Sources").click()
    expect(page.get_by_role("heading", name="Sources", level=1)).to_be_visible()


def open_palette(page: Page) -> Locator:
    """Press the key until the page, which may still be starting, hears it."""
    dialog = page.get_by_role("dialog", name="Search")
    for _ in range(10):
        page.keyboard.press("Control+k")
        with contextlib.suppress(AssertionError):
            expect(dialog).to_be_visible(timeout=2_000)
            return dialog
    raise AssertionError("the palette does not open")


def test_the_palette_finds_what_the_person_may_see(visit: Visit) -> None:
    page = visit("/")
    dialog = open_palette(page)
    dialog.get_by_role("combobox").fill("risk-eng")
    expect(dialog.get_by_role("option").first).to_contain_text("risk-engine")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="risk-engine", level=1)).to_be_visible()
    client = visit("/", role="client")
    open_palette(client).get_by_role("combobox").fill("risk-eng")
    expect(client.get_by_role("dialog", name="Search")).to_contain_text("Nothing that you may see")


def test_the_switch_and_the_account_tell_the_same_theme(visit: Visit) -> None:
    page = visit("/account", role="lead", theme="light")
    html, stored = page.locator("html"), page.get_by_label("Theme", exact=True)
    for chosen, shown in (("dark", "dark"), ("light", "light"), ("auto", "light")):
        with page.expect_response("**/account/theme") as answer:
            page.get_by_role("button", name="Theme").click()
        assert answer.value.status == 204
        expect(html).to_have_attribute("data-bs-theme", shown)
        page.reload(wait_until="commit")
        expect(html).to_have_attribute("data-bs-theme", shown)  # from the first byte, hence without a flash
        expect(stored).to_have_value(chosen)


def test_times_are_shown_in_utc_or_in_the_account_s_zone(site: Site, visit: Visit) -> None:
    site.tell("join newborn")  # which is an event
    site.tell("step")
    page = visit("/account", role="lead")
    field = page.get_by_label("Time zone")
    field.fill("Atlantis")
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_text("There is no time zone of that name")).to_be_visible()
    expect(field).to_have_value("Atlantis")
    field.fill("Asia/Tokyo")
    assert page.locator("#time-zones option[value='Asia/Tokyo']").count() == 1
    page.get_by_role("button", name="Save").click()
    page.goto("/lag/demo/groups/newborn")
    moment = page.locator(".event-list time").first
    utc = moment.inner_text()
    page.get_by_role("button", name="Times: UTC").click()
    expect(moment).not_to_have_text(utc)
    expect(moment).to_have_attribute("title", re.compile(r"Asia/Tokyo, .* UTC$"))
    page.reload()
    expect(page.get_by_role("button", name="Times: Asia/Tokyo")).to_be_visible()
    expect(moment).not_to_have_text(utc)


def test_events_of_all_groups_are_listed_to_those_who_may_see_them(site: Site, visit: Visit) -> None:
    site.tell("join fleeting-group")
    site.tell("step")
    page = visit("/events?q=fleeting")
    row = page.get_by_role("row").filter(has_text="fleeting-group")
    expect(row).to_contain_text("Group appeared")
    page.get_by_label("Kind").select_option("member_left")
    expect(page).to_have_url(re.compile("kind=member_left"))
    expect(page.get_by_text("No event fits this filter")).to_be_visible()
    page.get_by_role("link", name="Clear", exact=True).click()
    expect(row).to_be_visible()
    client = visit("/events?range=all", role="client")
    assert "fleeting" not in client.content()
    assert client.request.get("/events?range=all&q=fleeting&until=x&cursor=1-x").status == 200


def test_the_group_page_moves_by_push(site: Site, visit: Visit) -> None:
    page = visit("/lag/demo/groups/harbour-feed")
    page.evaluate("window.untouched = true")
    expect(page.locator("[data-chart] .u-over")).to_have_count(3)
    site.tell("stop harbour-feed")
    site.tell("step")
    expect(page.locator("[data-field=lag_records] data")).to_have_attribute("value", "80")
    expect(page.locator(".heat__cell[data-worst]")).to_have_count(1)
    assert page.evaluate("window.untouched") is True
    site.tell("go harbour-feed")
    site.tell("step")


def test_a_form_keeps_its_input_and_says_what_is_wrong(visit: Visit) -> None:
    page = visit("/slos/add?cluster=demo&glob=risk-*")
    page.get_by_label("Name").fill("No limit given")
    page.get_by_role("button", name="Add").click()
    expect(page.get_by_text("Give a limit in seconds, in records, or both.")).to_be_visible()
    expect(page.get_by_label("Name")).to_have_value("No limit given")


def test_browser_and_server_write_figures_alike(visit: Visit) -> None:
    values = [
        0,
        0.004,
        0.42,
        1,
        9.99,
        9.996,
        12.345,
        99.94,
        99.96,
        100,
        999,
        999.6,
        1000,
        1234,
        45_678,
        999_499,
        999_500,
        12_345_678,
        4e9,
        59.99,
        119.5,
        3599.6,
        3600,
        86_399,
        90_000,
        1e7,
    ]
    page = visit("/patterns")
    shown = page.evaluate(
        "values => import('ops/format').then(f => values.map(v => [f.compact(v), f.duration(v), f.exact(Math.round(v))]))",
        values,
    )
    assert shown == json.loads(
        json.dumps([[formats.compact(v), formats.duration(v), formats.exact(int(v + 0.5))] for v in values])
    )


def test_the_first_load_keeps_to_its_budget(site: Site, visit: Visit) -> None:
    """At most 120 KB over the wire without Plotly, compressed by brotli."""
    page = visit("/lag/demo")
    page.wait_for_load_state("networkidle")
    sizes = page.evaluate(
        "performance.getEntriesByType('resource').filter(e => e.name.includes('/static/')).map(e => [e.name.split('/static/')[1], e.encodedBodySize])"
    )
    assert sum(size for _, size in sizes) <= 120 * 1024, sizes
    assert not any("plotly" in name for name, _ in sizes)
