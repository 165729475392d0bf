"""The pages of certificates: what stands on top, what a client's viewer sees, and that forms say what is wrong."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Visit
from tests.browser.test_pages import serious_findings

PAGES = ("/certificates", "/certificates/demo/1", "/certificates/demo/add", "/certificates/demo/rotations")


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_pages_are_accessible(visit: Visit, theme: str) -> None:
    page = visit("/", theme=theme, bypass_csp=True)
    found = {}
    for path in PAGES:
        page.goto(path)
        page.wait_for_load_state()
        found[path] = serious_findings(page)
    assert {path: texts for path, texts in found.items() if texts} == {}


@pytest.mark.parametrize("width", [390, 1280, 1920])
def test_the_pages_fit_every_width(visit: Visit, width: int) -> None:
    page = visit("/", width=width)
    for path in PAGES:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), path


def test_drift_is_the_first_thing_on_the_page(visit: Visit) -> None:
    page = visit("/certificates")
    notice = page.get_by_role("alert").first
    expect(notice).to_contain_text("kafka-2 is renewed on disk, and the old one is still served")
    tree = page.get_by_role("heading", name="Tree of trust and when each ends")
    above, below = notice.bounding_box(), tree.bounding_box()
    assert above is not None
    assert below is not None
    assert above["y"] < below["y"]


def test_a_rotation_and_its_serials_are_in_the_log(visit: Visit) -> None:
    page = visit("/certificates/demo/rotations")
    expect(page.get_by_role("row").filter(has_text="kafka-1.northgate.example:9093")).to_have_count(1)


def test_a_client_s_viewer_has_the_own_certificate_alone(visit: Visit) -> None:
    page = visit("/certificates", role="client")
    expect(page.get_by_role("heading", name="Certificates", exact=True)).to_be_visible()
    expect(page.get_by_text("harbour-feed")).to_have_count(0)
    expect(page.get_by_text("kafka-1")).to_have_count(0)
    expect(page.get_by_role("heading", name="What is really served")).to_have_count(0)


def test_an_endpoint_that_cannot_be_is_refused_beside_its_field(visit: Visit) -> None:
    page = visit("/certificates/demo/add")
    panel = page.get_by_role("region", name="Watch an endpoint")
    panel.get_by_label("Host").fill("not a host")
    panel.get_by_label("Port").fill("8443")
    panel.get_by_role("button", name="Watch").click()
    expect(page.get_by_text("This is no host name or address.")).to_be_visible()
