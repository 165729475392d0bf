"""A web process on a database of its own, a world that polls on demand, and the system's Chromium."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest
from django.conf import settings
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from ops_portal.lib import embedded, portal, processes
from ops_portal.lib.processes import wait_until
from tests.browser.world import PASSWORD

CHROMIUM = next(
    (path for name in ("chromium", "chromium-browser", "google-chrome") if (path := shutil.which(name))), None
)
ARGUMENTS = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip
DATABASE = f"browser_{os.environ.get('PYTEST_XDIST_WORKER', 'main')}"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.parent == Path(__file__).parent:
            item.add_marker(pytest.mark.browser)
            item.add_marker(pytest.mark.xdist_group("browser"))


@dataclass(slots=True)
class Site:
    """The running portal: its address, and the world behind it."""

    address: str
    world: "subprocess.Popen[str]"
    states: dict[str, dict[str, object]] = field(default_factory=dict)

    def tell(self, command: str) -> None:
        """Have the world do something, and wait until it is done."""
        assert self.world.stdin is not None
        assert self.world.stdout is not None
        self.world.stdin.write(command + "\n")
        self.world.stdin.flush()
        assert self.world.stdout.readline().strip() == command, "the world ended"


@pytest.fixture(scope="package")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """The portal as in production: hashed static files, uvicorn, a database and keys of its own."""
    directory = tmp_path_factory.mktemp("browser")
    host = str(embedded.runtime_directory(settings.PORTAL_VAR))
    with psycopg.connect(host=host, user="postgres", autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {DATABASE}")
    env = os.environ | {
        "DJANGO_SETTINGS_MODULE": "ops_portal.settings.base",
        "DATABASE_URL": f"postgresql://postgres@/{DATABASE}?host={quote(host, safe='')}",
        "VALKEY_URL": settings.VALKEY,
        "DEPLOYMENT_ID": f"{settings.DEPLOYMENT_ID}-browser",
        "PORTAL_VAR": str(directory),  # static files of its own: nobody else collects there meanwhile
        "SECRET_KEY": settings.SECRET_KEY,
        "FIELD_KEYS": ",".join(settings.FIELD_KEYS),
        "RATE_LIMIT_PER_MINUTE": "100000",
    }
    subprocess.run([sys.executable, "manage.py", "collect"], env=env, check=True, timeout=110)
    with subprocess.Popen(
        [sys.executable, "-m", "tests.browser.world"], env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as world:
        assert world.stdout is not None
        assert any(line.strip() == "ready" for line in iter(world.stdout.readline, "")), "the world could not be made"
        with _web(env, directory) as address:
            yield Site(address, world)
        assert world.stdin is not None
        world.stdin.close()
        world.wait(10)


class _web:  # noqa: N801 - used as a function
    def __init__(self, env: dict[str, str], directory: Path) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.log = directory / "web.log"
        self.child = processes.spawn(portal.web_argv("127.0.0.1", self.port), log=self.log, env=env)

    def __enter__(self) -> str:
        assert wait_until(lambda: self.child.poll() is not None or _answers(self.port), seconds=40), "the web is silent"
        assert self.child.poll() is None, self.log.read_text()
        return f"http://127.0.0.1:{self.port}"

    def __exit__(self, *args: object) -> None:
        processes.end_all([(self.child, signal.SIGTERM)], grace_seconds=8)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2) as answer:
            return bool(answer.status == 200)
    except urllib.error.HTTPError:
        return True
    except OSError:
        return False


@pytest.fixture(scope="package")
def browser() -> Iterator[Browser]:
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
        yield chromium
        chromium.close()


Visit = Callable[..., Page]


@pytest.fixture
def visit(site: Site, browser: Browser) -> Iterator[Visit]:
    """`visit(path, role="sre", width=1280, theme="light", bypass_csp=False)`: a page in a context of its own.

    At the end no page may have logged an error or broken the content policy.
    """
    contexts: list[BrowserContext] = []
    complaints: list[str] = []

    def open_page(
        path: str, role: str = "sre", *, width: int = 1280, theme: str = "light", bypass_csp: bool = False
    ) -> Page:
        context = browser.new_context(
            viewport={"width": width, "height": 844 if width < 500 else 900},
            storage_state=site.states.get(role),  # type: ignore[arg-type]  # what storage_state() gave
            bypass_csp=bypass_csp,
            base_url=site.address,
            reduced_motion="reduce",
            color_scheme=theme,  # type: ignore[arg-type]  # what accounts follow that have chosen none
        )
        context.set_default_timeout(20_000)
        contexts.append(context)
        page = context.new_page()
        if role not in site.states:
            sign_in(page, role)
            site.states[role] = context.storage_state()  # type: ignore[assignment]  # a TypedDict
        page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.goto(path)
        return page

    yield open_page
    for context in contexts:
        context.close()
    expected = "the server responded with a status of 4"  # pages that are asked for on purpose
    assert [text for text in complaints if expected not in text] == []


def sign_in(page: Page, role: str) -> None:
    page.goto("/sign-in")
    page.get_by_label("Name").fill(role)
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url("**/")
