"""The lag board in a real browser, moved by push."""

import contextlib
import re

from playwright.sync_api import expect

from lag.sentences import board_sentence
from tests.browser.conftest import Site, Visit

WATCH_SHIFTS = """
window.shifts = [];
const box = rect => [rect.x, rect.y, rect.width, rect.height].map(Math.round);
const moved = source => [source.node?.outerHTML?.slice(0, 120), box(source.previousRect), box(source.currentRect)];
new PerformanceObserver(list => { for (const one of list.getEntries()) shifts.push([one.value, one.sources.map(moved)]); })
  .observe({type: 'layout-shift', buffered: true});
"""

PUSH_A_HUNDRED = """
new MutationObserver(() => { const board = document.querySelector('[data-board]'); if (board) board.dataset.liveRows = '100'; })
  .observe(document, {childList: true, subtree: true});
"""


COUNTS: list[tuple[dict[str, int], tuple[str, float] | None]] = [
    ({}, None),
    ({"ok": 1}, None),
    ({"ok": 12, "catching_up": 1}, ("risk-engine", 3.0)),
    ({"ok": 12, "catching_up": 2, "unknown": 1}, None),
    ({"ok": 43, "stopped": 1, "falling_behind": 2}, ("risk-engine", 41.24)),
    ({"stalled": 1, "unknown": 1}, ("risk-engine", 7384.0)),
    ({"truncated": 1, "rewound": 1, "no_commits": 3}, ("risk-engine", 0.0)),
]


def test_the_page_goes_on_with_the_server_s_sentence(visit: Visit) -> None:
    said = visit("/lag/demo").evaluate(
        """async cases => {
            const { sentenceOf } = await import("ops/board-sentence");
            return cases.map(([counts, worst]) => sentenceOf(counts, worst && { group: worst[0], lag_seconds: worst[1] }));
        }""",
        COUNTS,
    )
    assert said == [board_sentence(counts, worst) for counts, worst in COUNTS]


def test_a_figure_moves_in_two_windows_without_a_reload(site: Site, visit: Visit) -> None:
    sre, client = visit("/lag/demo"), visit("/lag/demo", role="client")
    for page in (sre, client):
        page.evaluate("window.untouched = true")
        row = page.get_by_role("row").filter(has_text="northgate-feed")
        expect(row.locator(".col-spark svg")).to_be_attached()
    before = (
        sre.get_by_role("row").filter(has_text="northgate-feed").locator(".col-lag_records data").get_attribute("value")
    )
    site.tell("stop northgate-feed")
    site.tell("step")
    for page in (sre, client):
        row = page.get_by_role("row").filter(has_text="northgate-feed")
        expect(row.locator(".col-lag_records data")).not_to_have_attribute("value", before or "")
        assert page.evaluate("window.untouched") is True
    site.tell("go northgate-feed")
    site.tell("step")
    expect(sre.get_by_role("row").filter(has_text="northgate-feed").locator(".col-lag_records data")).to_have_attribute(
        "value", "0"
    )


def test_a_client_viewer_sees_own_groups_and_own_places_only(visit: Visit) -> None:
    page = visit("/lag/demo", role="client")
    expect(page.get_by_role("link", name="northgate-feed")).to_be_visible()
    rail = page.get_by_role("navigation", name="Main", exact=True)
    for word in ("Sources", "Findings", "Clients", "Audit", "Administration"):
        expect(rail.get_by_role("link", name=word)).to_have_count(0)
    assert "harbour" not in page.content()
    assert "risk-engine" not in page.content()


def test_filters_live_in_the_address_and_survive_a_reload(visit: Visit) -> None:
    page = visit("/lag/demo")
    expect(page.locator("[data-board][data-state=live]")).to_be_attached()
    page.get_by_role("searchbox", name="Filter by group name").fill("worker-01")
    expect(page.locator("tbody tr[data-key]")).to_have_count(10)
    page.locator("[data-sort-key=group]").click()
    page.locator("[data-sort-key=group]").click()
    page.locator("[data-verdict=ok]").click()
    expect(page).to_have_url(re.compile(r"q=worker-01&verdict=ok&sort=-group$"))
    expect(page.locator("tbody tr[data-key] a").first).to_have_text("worker-019")
    page.reload()
    expect(page.get_by_role("searchbox", name="Filter by group name")).to_have_value("worker-01")
    expect(page.locator("tbody tr[data-key] a").first).to_have_text("worker-019")
    expect(page.locator("tbody tr[data-key]")).to_have_count(10)
    page.get_by_role("link", name="Clear").click()
    expect(page).to_have_url(re.compile(r"/lag/demo\?sort=-group$"))


def test_keys_move_between_rows_and_open_one(visit: Visit) -> None:
    page = visit("/lag/demo?sort=group")
    expect(page.locator("[data-board][data-state=live]")).to_be_attached()
    page.keyboard.press("j")
    page.keyboard.press("j")
    page.keyboard.press("k")
    expect(page.get_by_role("link", name="harbour-feed")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="harbour-feed", level=1)).to_be_visible()
    for _ in range(10):  # the page may still be starting, and hear the second key only
        page.keyboard.press("g")
        page.keyboard.press("b")
        with contextlib.suppress(AssertionError):
            expect(page).to_have_url(re.compile("/lag/demo$"), timeout=2_000)
            break
    expect(page).to_have_url(re.compile("/lag/demo$"))
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox", name="Filter by group name")).to_be_focused()
    page.get_by_role("heading", level=1).click()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keyboard")).to_be_visible()


def test_only_the_rows_near_the_window_are_in_the_page(visit: Visit) -> None:
    page = visit("/lag/demo?sort=group")
    table = page.get_by_role("table")
    expect(table).to_have_attribute("aria-rowcount", re.compile("30[3-9]"))
    expect(page.locator("tbody tr.spacer").last).to_be_visible()
    assert page.locator("tbody tr[data-key]").count() < 120
    page.mouse.wheel(0, 20_000)
    expect(page.get_by_role("link", name="worker-299")).to_be_visible()
    assert page.locator("tbody tr[data-key]").count() < 120


def test_rows_beyond_the_pushed_ones_are_listed_and_a_filter_has_them_pushed(site: Site, visit: Visit) -> None:
    page = visit("/topics")
    page.add_init_script(PUSH_A_HUNDRED)
    with page.expect_websocket() as socket:
        page.goto("/lag/demo?sort=group")
    expect(page.get_by_text(re.compile(r"The first 100 of 3\d\d groups move by push"))).to_be_visible()
    expect(page.get_by_role("table")).to_have_attribute("aria-rowcount", re.compile("3[01]"))
    with socket.value.expect_event("framesent", lambda text: '"q":"worker-29"' in str(text)) as asked:
        page.get_by_role("searchbox", name="Filter by group name").fill("worker-29")
    assert '"sort":"group"' in str(asked.value)
    expect(page.locator("tbody tr[data-key]")).to_have_count(10)
    site.tell("stop worker-299")
    site.tell("step")
    figure = page.get_by_role("row").filter(has_text="worker-299").locator(".col-lag_records data")
    expect(figure).not_to_have_attribute("value", "0")
    site.tell("go worker-299")
    site.tell("step")
    expect(figure).to_have_attribute("value", "0")


def test_selected_groups_can_be_exported(visit: Visit) -> None:
    page = visit("/lag/demo?sort=group")
    expect(page.locator("[data-board][data-state=live]")).to_be_attached()
    for key in "jxjx":
        page.keyboard.press(key)
    expect(page.get_by_text("2 selected")).to_be_visible()
    address = page.get_by_role("link", name="CSV", exact=True).get_attribute("href") or ""
    assert len(page.request.get(address).text().splitlines()) == 3
    page.keyboard.press("Escape")
    expect(page.get_by_text("2 selected")).to_be_hidden()
    expect(page.locator("tr.is-selected")).to_have_count(0)


def test_rows_stay_under_the_pointer_until_it_leaves(site: Site, visit: Visit) -> None:
    page = visit("/lag/demo?q=feed&sort=-lag_records")
    rows = page.locator("tbody tr[data-key] a")
    expect(rows).to_have_count(2)
    first = rows.first.inner_text()
    last = rows.last.inner_text()
    rows.first.hover()
    site.tell(f"stop {last}")
    site.tell("step")
    expect(page.get_by_role("button", name="re-sorted")).to_be_visible()
    expect(rows.first).to_have_text(first)
    page.get_by_role("heading", level=1).hover()
    expect(rows.first).to_have_text(last)
    site.tell(f"go {last}")
    site.tell("step")


def test_a_group_that_appears_is_listed_by_itself(site: Site, visit: Visit) -> None:
    page = visit("/lag/demo?q=newcomer")
    expect(page.get_by_text("No group matches this filter")).to_be_visible()
    site.tell("join newcomer")
    site.tell("step")
    expect(page.get_by_role("link", name="newcomer")).to_be_visible()


def test_news_does_not_shift_the_layout(site: Site, visit: Visit) -> None:
    page = visit("/lag/demo")
    expect(page.locator("[data-board][data-state=live]")).to_be_attached()
    page.evaluate(WATCH_SHIFTS)
    before = page.locator("[data-age]").first.get_attribute("data-at")
    site.tell("step")
    expect(page.locator("[data-age]").first).not_to_have_attribute("data-at", before or "")
    shifts = page.evaluate("window.shifts")
    assert sum(value for value, _ in shifts) < 0.02, shifts


def test_exports_hold_all_filtered_rows(visit: Visit) -> None:
    page = visit("/lag/demo?q=worker-00")
    csv = page.request.get("/lag/demo/export.csv?q=worker-00").text().splitlines()
    assert csv[0].startswith("id,cluster,group,")
    assert len(csv) == 11
    assert len(page.request.get("/lag/demo/export.json?q=worker-00").json()) == 10
