"""Bringing in a load test with a browser, and its page in every theme and width."""

import os
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, expect

from tests.browser.conftest import Visit
from tests.browser.test_pages import serious_findings
from tests.clusters.load_tests.made import write_files

SHOTS = os.environ.get("LOAD_TEST_SHOTS")


def look(page: Page, name: str) -> None:
    if SHOTS:
        page.screenshot(path=f"{SHOTS}/{name}.png", full_page=True)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_files_are_sent_with_progress_and_the_reading_can_be_cancelled(
    visit: Visit, tmp_path: Path, theme: str
) -> None:
    write_files(tmp_path, seconds=60)
    page = visit("/load-tests/import", theme=theme, bypass_csp=True)
    assert serious_findings(page) == []
    look(page, f"import-{theme}")
    page.get_by_role("button", name="Bring in").click()
    expect(page.get_by_text("Choose at least one file.")).to_be_visible()
    page.get_by_label("Files", exact=True).set_input_files([str(path) for path in sorted(tmp_path.iterdir())])
    page.get_by_label("Name").fill(f"Evening {theme}")
    page.get_by_role("button", name="Bring in").click()
    expect(page.get_by_role("heading", name=f"Evening {theme}", level=1)).to_be_visible()
    expect(page.get_by_text("Waiting for a worker")).to_be_visible()
    assert serious_findings(page) == []
    look(page, f"importing-{theme}")
    page.reload()
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_text("The reading was cancelled", exact=True)).to_be_visible()
    look(page, f"cancelled-{theme}")


def test_six_megabytes_pass_for_who_may_and_are_refused_to_all_others(visit: Visit) -> None:
    rows = b"timestamp,latency_ms\n" + b"1790000000,4\n" * 500_000
    large: FilePayload = {"name": "traces.csv", "mimeType": "text/csv", "buffer": rows}
    page = visit("/load-tests/import")
    token = page.locator('meta[name="csrf-token"]').get_attribute("content") or ""
    headers = {"X-CSRFToken": token, "Accept": "application/json"}
    answer = page.request.post("/load-tests/import", multipart={"files": large}, headers=headers)
    assert answer.status == 200, answer.text()[:300]
    lead = visit("/load-tests", role="lead")
    refused = lead.request.post("/load-tests/import", multipart={"files": large})
    assert refused.status == 413
    assert refused.json()["error"] == "body_too_large"
    page.goto("/load-tests")
    look(page, "list")


@pytest.mark.parametrize(("theme", "width"), [("light", 390), ("light", 1280), ("dark", 1920)])
def test_a_run_is_shown_compared_and_printed(visit: Visit, theme: str, width: int, tmp_path: Path) -> None:
    page = visit("/load-tests", theme=theme, width=width, bypass_csp=True)
    look(page, f"list-{theme}-{width}")
    assert serious_findings(page) == []
    page.get_by_role("link", name="Release 41").click()
    expect(page.locator("[data-figure] .main-svg").first).to_be_visible()
    expect(page.locator("[data-figures][data-drawn]")).to_have_count(1)
    expect(page.get_by_text("1 missed of 3 thresholds", exact=False)).to_be_visible()
    assert serious_findings(page) == []
    assert not page.evaluate("document.documentElement.scrollWidth > innerWidth")
    look(page, f"run-{theme}-{width}")
    page.pdf(path=f"{SHOTS or tmp_path}/run-{theme}-{width}.pdf", format="A4", print_background=True)
    page.goto("/load-tests")
    for box in page.get_by_role("checkbox").all()[:2]:
        box.check()
    page.get_by_role("button", name="Compare").click()
    expect(page.locator("[data-figure] .main-svg").first).to_be_visible()
    assert serious_findings(page) == []
    look(page, f"compare-{theme}-{width}")
