"""Take the README's screenshots from a running `make demo`: `.venv/bin/python docs/images/take.py [ADDRESS]`."""

import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import sync_playwright

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
FOLDER = Path(__file__).parent
PICTURES: tuple[tuple[str, Literal["dark", "light"], str], ...] = (
    ("board-dark", "dark", "/lag/demo"),
    ("group-light", "light", "/lag/demo/groups/risk-engine"),
    ("overview-dark", "dark", "/"),
)
BROWSER_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(BROWSER_ARGUMENTS))
        for name, theme, path in PICTURES:
            page = browser.new_context(viewport={"width": 1440, "height": 900}, color_scheme=theme).new_page()
            page.goto(f"{ADDRESS}/sign-in")
            page.get_by_label("Name").fill("sre")
            page.get_by_label("Password").fill("demo")
            page.keyboard.press("Enter")
            page.wait_for_url(lambda url: "sign-in" not in url)
            page.goto(f"{ADDRESS}{path}")
            page.wait_for_timeout(6000)  # one poll period, so that live values have moved
            page.screenshot(path=FOLDER / f"{name}.png")
        browser.close()


if __name__ == "__main__":
    main()
