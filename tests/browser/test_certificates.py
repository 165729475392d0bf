"""The pages of certificates: what stands on top, what a client's viewer sees, and that forms say what is wrong."""

import pytest
from playwright.sync_api import expect

from tests.browser.conftest import Site, Visit


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_the_way_from_the_tree_to_a_listener_a_look_at_it_and_the_log(site: Site, visit: Visit, theme: str) -> None:
    page = visit("/certificates", theme=theme)
    tree = page.locator("#tree")
    tree.get_by_role("link", name="Northgate Kafka CA").click()
    signed = page.get_by_role("region", name="Who uses it")
    signed.get_by_role("link", name="kafka-4").first.click()
    expect(page.get_by_role("region", name="Chain, link by link").get_by_text("holds", exact=True)).to_have_count(3)
    page.get_by_role("region", name="Who uses it").get_by_role("link", name="127.0.0.1:").click()
    row = page.get_by_role("row").filter(has_text="broker 4 GATE")
    expect(row).to_be_in_viewport()
    expect(row.get_by_text("valid", exact=True)).to_be_visible()
    serial = row.locator("[title]").first
    old = serial.get_attribute("title") or ""
    site.tell("rotate")
    row.get_by_role("button", name="Look now").click()
    expect(page.get_by_text("is being looked at.")).to_be_visible()
    expect(row.get_by_text("being looked at")).to_be_visible()
    site.tell("look")
    expect(serial).not_to_have_attribute("title", old)  # pushed: nobody has asked for the page again
    new = serial.get_attribute("title") or ""
    expect(row.get_by_text("valid", exact=True)).to_be_visible()
    row.get_by_role("button", name="Look now").click()
    expect(page.get_by_text("was looked at less than a minute ago.")).to_be_visible()
    log = page.get_by_role("region", name="Rotation log").first
    expect(log.get_by_role("row").nth(1)).to_contain_text(new[:12])
    log.get_by_role("link", name="all").click()
    line = page.get_by_role("row").nth(1)
    expect(line).to_contain_text("broker 4")
    expect(line).to_contain_text(old[:12])
    expect(line).to_contain_text(new[:12])


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
