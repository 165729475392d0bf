"""A broker's refusal until it is painted on the rejections page, and how fast lines are read: `python -m bench.refusals`.

PostgreSQL, Valkey, a web process and the log shipper of its own; lines are appended to a file as a broker appends them.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bench.report import chromium, goal, note, p95, row, scaled, spread

LINES = 40
SECONDS = 60.0  # over which the lines are spread, at random
CORPUS = 20_000
_WAIT_SECONDS = 20
# What stands in the table is timed after the frame that shows it.
_WATCH = """() => {
  window.seen = {};
  const look = () => {
    for (const found of document.querySelectorAll(".rejection-table__who > span:first-child")) {
      const name = found.textContent;
      if (name in seen || !name.startsWith("User:bench-")) continue;
      seen[name] = null;
      requestAnimationFrame(() => setTimeout(() => { seen[name] = Date.now() / 1000; }));
    }
  };
  new MutationObserver(look).observe(document.body, {subtree: true, childList: true, characterData: true});
}"""


def measure() -> dict[str, Any]:
    """The row of the table."""
    reading = _reading()
    with _stage() as (log, address, cookies):
        took, missing = _painted(log, address, cookies)
    return row(
        "a broker's refusal to the pixel, and lines read per second",
        {
            "lines_per_second": goal(reading["median"], 20_000, "lines/s", at_least=True),
            "line_to_page_p95_seconds": goal(round(p95(took), 2) if took and not missing else None, 5.0, "s"),
            "never_shown": goal(missing, 0, "lines"),
        },
        {"trials": LINES, "lines_per_second_runs": reading, "seconds": spread(took, 2) if took else None},
    )


def _reading() -> dict[str, float | int]:
    from clusters.rejections.fold import fold
    from clusters.rejections.lines import read_lines
    from tests.clusters.rejections.corpus import corpus

    made = [line for line, _ in corpus(1000)]
    lines = [made[number % 1000] for number in range(scaled(CORPUS, least=2000))]
    rates = []
    for _ in range(5):
        started = time.perf_counter()
        fold("log", read_lines(lines).rejected, now=2e9)
        rates.append(len(lines) / (time.perf_counter() - started))
    return spread(rates, 0)


def _painted(log: Path, address: str, cookies: list[dict[str, Any]]) -> tuple[list[float], int]:
    """Seconds from writing each line to the frame that shows it, and how many were never shown."""
    from playwright.sync_api import sync_playwright

    from tests.clusters.rejections.corpus import denied_line

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium(), args=["--no-sandbox", "--disable-gpu"])
        context = browser.new_context(base_url=address)
        context.add_cookies(cookies)  # type: ignore[arg-type]  # a TypedDict
        page = context.new_page()
        page.goto("/rejections?period=1h")
        page.evaluate(_WATCH)
        count = scaled(LINES, least=4)
        note(f"{count} lines over {SECONDS:g} s")
        sent: dict[str, float] = {}
        started = time.monotonic()
        for number, moment in enumerate(sorted(random.uniform(0, SECONDS) for _ in range(count))):
            page.wait_for_timeout(max(0.0, started + moment - time.monotonic()) * 1000)
            name = f"User:bench-{number:03d}"
            with log.open("a", encoding="utf-8") as file:
                sent[name] = time.time()
                file.write(denied_line(sent[name], principal=name) + "\n")
        until = time.monotonic() + _WAIT_SECONDS
        seen: dict[str, float | None] = {}
        while time.monotonic() < until:
            seen = page.evaluate("seen")
            if sum(at is not None for at in seen.values()) == count:
                break
            page.wait_for_timeout(50)
        browser.close()
    took = [at - sent[name] for name, at in seen.items() if at is not None]
    return took, count - len(took)


@contextmanager
def _stage() -> Iterator[tuple[Path, str, list[dict[str, Any]]]]:
    """The log, the portal's address, and cookies of somebody signed in."""
    from ops_portal.lib import embedded, portal
    from ops_portal.lib.kafka_runner import free_ports
    from ops_portal.lib.processes import end_all, spawn, wait_until

    var = Path(tempfile.mkdtemp(prefix="ops-portal-bench-"))
    servers = embedded.RunningServers(var)
    servers.start(durable=False)
    children = []
    try:
        (port,) = free_ports(1)
        address = f"http://127.0.0.1:{port}"
        env = os.environ | {
            "PORTAL_VAR": str(var),
            "RATE_LIMIT_PER_MINUTE": "1000000",
            "DATABASE_URL": "",
            "VALKEY_URL": "",
        }
        done = subprocess.run(
            [sys.executable, "-m", "bench.refusals", "prepare"],
            env=env,
            stdout=subprocess.PIPE,
            check=True,
            timeout=120,
        )
        secrets = json.loads(done.stdout.splitlines()[-1])
        (var / "token").write_text(secrets["token"], encoding="utf-8")
        log = var / "kafka-authorizer.log"
        log.touch()
        children.append((spawn(portal.web_argv("127.0.0.1", port), log=var / "web.log", env=env), signal.SIGTERM))
        argv: list[str | Path] = [
            *portal.MANAGE, "ship_authorizer_log", str(log), "--url", address, "--cluster", "bench", "--token-file",
            str(var / "token"),
        ]  # fmt: skip
        children.append((spawn(argv, log=var / "shipper.log", env=env, cwd=portal.ROOT), signal.SIGTERM))
        if not wait_until(lambda: _is_up(address), seconds=60):
            raise RuntimeError((var / "web.log").read_text(encoding="utf-8")[-2000:])
        cookie = {"name": "ops_session", "value": secrets["session"], "domain": "127.0.0.1", "path": "/"}
        yield log, address, [cookie]
    finally:
        end_all(children, grace_seconds=8)
        servers.stop()
        for directory in {var, embedded.state_directory(var), embedded.runtime_directory(var)}:
            shutil.rmtree(directory, ignore_errors=True)


def _is_up(address: str) -> bool:
    from ops_portal.lib import outbound
    from ops_portal.lib.resilience import Deadline

    try:
        answer = outbound.call("GET", f"{address}/healthz", policy=outbound.INVENTORY, deadline=Deadline.after(2))
    except outbound.OutboundFailed:
        return False
    return answer.status == 200


def _prepare() -> None:
    """In a process of its own: tables, static files, a cluster, somebody signed in, a token."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ops_portal.settings.base")
    import django

    django.setup()
    from django.core.management import call_command
    from django.test import Client

    from accounts.models import User
    from accounts.services import token_create
    from clusters.models import Cluster

    call_command("migrate", verbosity=0)
    call_command("collect", verbosity=0)
    Cluster.objects.create(name="bench", bootstrap="127.0.0.1:9")
    user = User.objects.create(username="bench", role="sre")
    browser = Client()
    browser.force_login(user)
    secrets = {"token": token_create(user=user, acting_user=None)[1], "session": browser.cookies["ops_session"].value}
    sys.stdout.write("\n" + json.dumps(secrets) + "\n")


if __name__ == "__main__":
    if sys.argv[1:] == ["prepare"]:
        _prepare()
    else:
        os.environ.setdefault("DJANGO_SETTINGS_MODULE", "ops_portal.settings.base")
        sys.stdout.write(json.dumps(measure(), indent=2) + "\n")
