"""Take the screenshots of the README and the documents from a running `make demo`: `.venv/bin/python docs/images/take.py [ADDRESS [NAME...]]`."""

import sys
from pathlib import Path
from typing import Literal

from playwright.sync_api import Browser, StorageState, sync_playwright

ADDRESS = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
WANTED = sys.argv[2:]
FOLDER = Path(__file__).parent
Theme = Literal["dark", "light"]
PICTURES: tuple[tuple[str, Theme, str], ...] = (
    ("board-dark", "dark", "/lag/demo"),
    ("group-light", "light", "/lag/demo/groups/risk-engine"),
    ("overview-dark", "dark", "/"),
    ("cluster-light", "light", "/clusters/demo"),
    ("certificates-dark", "dark", "/certificates"),
    ("rejections-light", "light", "/rejections"),
    ("targets-dark", "dark", "/targets"),
)
SHORT_PATHS = """() => { const words = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (words.nextNode()) words.currentNode.data = words.currentNode.data.replace(/\\/\\S*?\\/demo\\//g, "var/demo/"); }"""
BROWSER_ARGUMENTS = ("--no-sandbox", "--disable-gpu", "--disable-background-networking", "--no-first-run")


def main() -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(BROWSER_ARGUMENTS))
        state = signed_in(browser)
        for name, theme, path in PICTURES:
            if not WANTED or name in WANTED:
                take(browser, state, name, theme, path)
        browser.close()


def signed_in(browser: Browser) -> StorageState:
    page = browser.new_page()
    page.goto(f"{ADDRESS}/sign-in")
    page.get_by_label("Name").fill("sre")
    page.get_by_label("Password").fill("demo")
    page.keyboard.press("Enter")
    page.wait_for_url(lambda url: "sign-in" not in url)
    return page.context.storage_state()


def take(browser: Browser, state: StorageState, name: str, theme: Theme, path: str) -> None:
    size = {"width": 1440, "height": 900}
    context = browser.new_context(viewport=size, color_scheme=theme, storage_state=state)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"{ADDRESS}{path}", timeout=60_000)
    page.wait_for_timeout(6000)  # one poll period, so that live values have moved
    page.evaluate(SHORT_PATHS)  # where the data lies on this machine is nobody's concern
    page.screenshot(path=FOLDER / f"{name}.png")
    context.close()


if __name__ == "__main__":
    main()
