"""The board of 2,000 groups as people get it: first byte, bytes of a delta, script time of a tick, end of a session."""

import http.client
import json
import random
import statistics
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from types import TracebackType
from typing import Any, TypeVar

from bench.report import chromium, goal, note, p95, row, scaled, spread
from bench.site import CLUSTER, GROUPS, PERIOD, Site
from bench.traffic import Partition, Traffic

T = TypeVar("T")

PASSWORD = "a few plain words"  # noqa: S105 - of a user that lives as long as this run
VISIBLE, MOVING, PIXELS = 100, 20, 40
MOVING_TOPIC, QUIET_TOPIC, PIXEL_TOPIC = "a.moving", "a.quiet", "a.pixel"
PIXEL_RECORDS = 900
REQUESTS, TICKS, SIGN_OUTS = 40, 8, 20
_CHROMIUM = (
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
)  # fmt: skip


def visible_group(index: int) -> str:
    """Names that sort before all others, so that these rows are the first of their verdict."""
    return f"a.row-{index:03d}"


def pixel_group(index: int) -> str:
    return f"a.pixel-{index:03d}"


class Served:
    """The portal at work on the bench's cluster, and a browser that has signed in."""

    def __init__(self, site: Site, traffic: Traffic) -> None:
        self.site, self.traffic = site, traffic
        self.address = f"http://127.0.0.1:{site.port}"

    def __enter__(self) -> "Served":
        from django.contrib.auth.hashers import make_password

        from accounts.models import User

        if chromium() is None:
            raise RuntimeError("there is no Chromium on this machine")
        User.objects.create(username="bench", role="sre", password=make_password(PASSWORD))
        self._fill()
        self.site.manage("collect")
        self.site.start("web", "worker-poll", "worker", "beat")
        self._await_polls()
        from playwright.sync_api import sync_playwright

        self._playwright = sync_playwright().start()
        try:
            self.browser = self._playwright.chromium.launch(executable_path=chromium(), args=list(_CHROMIUM))
            self._sign_in()
        except BaseException:
            self._playwright.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.browser.close()
        self._playwright.stop()
        self.site.stop("beat", "worker", "worker-poll", "web")

    def _fill(self) -> None:
        """All groups caught up, and the groups that this measurement moves."""
        from confluent_kafka.admin import NewTopic

        note("preparing the board's groups")
        traffic = self.traffic
        traffic.catch_up()
        topics = [NewTopic(MOVING_TOPIC, MOVING), NewTopic(QUIET_TOPIC, 1), NewTopic(PIXEL_TOPIC, 1)]
        for future in traffic.admin.create_topics(topics, request_timeout=30).values():
            future.result(30)
        time.sleep(2)  # leaders
        for number in range(MOVING):
            traffic.produce(MOVING_TOPIC, number, 3)
        traffic.produce(QUIET_TOPIC, 0, 3)
        traffic.produce(PIXEL_TOPIC, 0, PIXEL_RECORDS)
        traffic.flush()
        traffic.commit({visible_group(index): {place(index): 3} for index in range(VISIBLE)})
        traffic.commit({pixel_group(index): {(PIXEL_TOPIC, 0): 0} for index in range(PIXELS)})

    def _await_polls(self) -> None:
        from clusters.models import PollRun

        note("waiting for the portal's own polls")
        newest = PollRun.objects.order_by("-id").values_list("id", flat=True).first() or 0
        until = time.monotonic() + 120
        while PollRun.objects.filter(id__gt=newest, status="ok").count() < 3:
            if time.monotonic() > until:
                last = PollRun.objects.order_by("-id").first()
                raise RuntimeError(f"no three good polls in 120 s: {last and (last.status, last.error)}")
            time.sleep(0.5)

    def _sign_in(self) -> None:
        self.context = self.browser.new_context(
            base_url=self.address, viewport={"width": 1280, "height": 5200}, reduced_motion="reduce"
        )
        self.context.set_default_timeout(30_000)
        page = self.context.new_page()
        page.goto("/sign-in")
        page.get_by_label("Name").fill("bench")
        page.get_by_label("Password").fill(PASSWORD)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_url("**/")
        self.cookie = "; ".join(f"{one['name']}={one['value']}" for one in self.context.cookies())
        page.close()


def in_thread(function: Callable[..., T], *args: Any) -> T:
    """Run what queries: Playwright keeps an event loop in the calling thread, and Django refuses to query beside one."""
    from django.db import connections

    def run() -> T:
        try:
            return function(*args)
        finally:
            connections.close_all()

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(run).result()


def place(index: int) -> Partition:
    """What a visible group reads."""
    return (MOVING_TOPIC, index) if index < MOVING else (QUIET_TOPIC, 0)


class Ticker(threading.Thread):
    """Moves the moving groups about twice per poll, until `stop`."""

    def __init__(self, traffic: Traffic) -> None:
        super().__init__(daemon=True)
        self.traffic, self.ended = traffic, threading.Event()
        self.failed: Exception | None = None

    def run(self) -> None:
        ends = dict.fromkeys(range(MOVING), 3)
        try:
            while not self.ended.wait(PERIOD / 2.3):
                for number in ends:
                    count = random.randint(20, 400)
                    self.traffic.produce(MOVING_TOPIC, number, count)
                    ends[number] += count
                self.traffic.flush()
                self.traffic.commit(
                    {
                        visible_group(number): {place(number): max(3, end - random.randint(0, 60))}
                        for number, end in ends.items()
                    }
                )
        except Exception as error:  # noqa: BLE001 - told by the measuring thread
            self.failed = error

    def stop(self) -> None:
        self.ended.set()
        self.join(30)
        if self.failed:
            raise self.failed


def measure(served: Served) -> dict[str, Any]:
    """The row of the table."""
    served.traffic.commit({pixel_group(index): {(PIXEL_TOPIC, 0): PIXEL_RECORDS} for index in range(PIXELS)})
    ticker = Ticker(served.traffic)
    ticker.start()
    try:
        time.sleep(3 * PERIOD)
        first_bytes, size = _first_bytes(served)
        deltas, ticks, per_period = _ticks(served)
        closings = in_thread(_closings, served)
    finally:
        ticker.stop()
    fitting = [delta for delta in deltas if delta["rows"] == MOVING]
    scripts = [tick["script_ms"] for tick in ticks]
    return row(
        "board of 2,000 groups",
        {
            "first_byte_ms_p95": goal(round(p95(first_bytes), 1) if first_bytes else None, 300, "ms"),
            "delta_bytes": goal(max((delta["bytes"] for delta in fitting), default=None), 2048, "bytes"),
            "script_ms_per_tick": goal(round(statistics.median(scripts), 2) if scripts else None, 8, "ms"),
            "sign_out_to_close_ms_p95": goal(round(p95(closings), 1) if closings else None, 2000, "ms"),
        },
        {
            "groups": scaled(GROUPS) + VISIBLE + PIXELS,
            "first_byte_ms": spread(first_bytes, 1),
            "page_bytes": size,
            "visible_rows": VISIBLE,
            "rows_changed_per_delta": [delta["rows"] for delta in deltas],
            "delta_bytes": [delta["bytes"] for delta in deltas],
            "ticks": ticks,
            "per_period_with_everything_else": per_period,
        },
    )


def _first_bytes(served: Served) -> tuple[list[float], int]:
    """Milliseconds from the request to the first byte of the answer, and the size of the answer."""
    found, size = [], 0
    for lap in range(REQUESTS + 3):
        connection = http.client.HTTPConnection("127.0.0.1", served.site.port, timeout=30)
        started = time.perf_counter()
        connection.request("GET", f"/lag/{CLUSTER}", headers={"Cookie": served.cookie, "Accept-Encoding": "gzip"})
        answer = connection.getresponse()
        elapsed = (time.perf_counter() - started) * 1000
        size = len(answer.read())
        connection.close()
        if answer.status != 200:
            raise RuntimeError(f"the board answered {answer.status}")
        if lap >= 3:  # the first requests of a process import and compile
            found.append(elapsed)
        time.sleep(0.2)
    return found, size


def _closings(served: Served) -> list[float]:
    """Milliseconds from asking to sign out until the socket of that session is closed by the server."""
    from django.test import Client
    from django.urls import reverse
    from websockets.exceptions import ConnectionClosed
    from websockets.sync.client import connect
    from websockets.typing import Origin

    from accounts.models import User

    found = []
    for _ in range(SIGN_OUTS):
        browser = Client(headers={"host": f"127.0.0.1:{served.site.port}"})
        browser.force_login(User.objects.get(username="bench"), backend="accounts.backends.PasswordBackend")
        headers = {"Cookie": "; ".join(f"{name}={morsel.value}" for name, morsel in browser.cookies.items())}
        url = f"{served.address.replace('http', 'ws')}/ws/live/"
        with connect(url, additional_headers=headers, origin=Origin(served.address), compression=None) as socket:
            socket.send(json.dumps({"type": "hello", "proto": 1}))
            socket.recv(timeout=10)
            started = time.perf_counter()
            if (status := browser.post(reverse("accounts:sign-out")).status_code) != 302:
                raise RuntimeError(f"signing out answered {status}")
            try:
                while True:
                    socket.recv(timeout=40)
            except ConnectionClosed:
                found.append((time.perf_counter() - started) * 1000)
    return found


def _ticks(served: Served) -> tuple[list[dict[str, int]], list[dict[str, float]], dict[str, float]]:
    """Deltas of a view of 100 rows over a socket of our own, and meanwhile what they cost a page that shows these rows.

    Returns the deltas, the cost of each delta of the page, and the cost of everything the page does per period.
    """
    deltas: list[dict[str, int]] = []
    reader = threading.Thread(target=_read_deltas, args=(served, deltas), daemon=True)
    page = served.context.new_page()
    heard: list[float] = []

    def hear(payload: str | bytes) -> None:
        if '"type":"d"' in str(payload):
            heard.append(time.monotonic())

    page.on("websocket", lambda socket: socket.on("framereceived", hear))
    page.goto(f"/lag/{CLUSTER}")
    page.locator("[data-board][data-state=live]").wait_for(state="attached")
    page.wait_for_timeout(8000)  # the tails of the sparklines and the rows beyond the live ones have come
    session = served.context.new_cdp_session(page)
    session.send("Performance.enable")
    reader.start()
    samples = [(time.monotonic(), _metrics(session))]
    while samples[-1][0] - samples[0][0] < TICKS * PERIOD:
        page.wait_for_timeout(_SAMPLE_MS)
        samples.append((time.monotonic(), _metrics(session)))
    reader.join(PERIOD * 3)
    page.close()
    return (
        deltas,
        [cost for at in heard if (cost := _cost(samples, at))],
        _between(samples[0][1], samples[-1][1], TICKS),
    )


def _cost(samples: list[tuple[float, dict[str, float]]], at: float) -> dict[str, float] | None:
    """What the page did from just before a delta came until half a second later; None outside the measurement."""
    before = [figures for moment, figures in samples if moment < at - 0.05]
    after = [figures for moment, figures in samples if moment > at + 0.5]
    return _between(before[-1], after[0]) if before and after else None


def _between(before: dict[str, float], after: dict[str, float], share: int = 1) -> dict[str, float]:
    return {name: round((after[key] - before[key]) * 1000 / share, 2) for name, key in _METRICS.items()}


_SAMPLE_MS = 100
_METRICS = {
    "script_ms": "ScriptDuration",
    "layout_ms": "LayoutDuration",
    "style_ms": "RecalcStyleDuration",
    "task_ms": "TaskDuration",
}


def _metrics(session: Any) -> dict[str, float]:
    return {one["name"]: one["value"] for one in session.send("Performance.getMetrics")["metrics"]}


def _read_deltas(served: Served, deltas: list[dict[str, int]]) -> None:
    from websockets.sync.client import connect
    from websockets.typing import Origin

    params = {"cluster": CLUSTER, "q": "a.row-", "limit": VISIBLE}
    url = f"{served.address.replace('http', 'ws')}/ws/live/"
    headers = {"Cookie": served.cookie}
    with connect(url, additional_headers=headers, origin=Origin(served.address), compression=None) as socket:
        socket.send(json.dumps({"type": "hello", "proto": 1}))
        socket.send(json.dumps({"type": "sub", "id": "v", "view": "lag.board", "params": params}))
        until = time.monotonic() + TICKS * PERIOD
        while (left := until - time.monotonic()) > 0:
            try:
                text = socket.recv(timeout=left)
            except TimeoutError:
                return
            found = json.loads(text)
            deltas.extend(
                {"rows": len(message["rows"]), "bytes": len(text)}
                for message in (found if isinstance(found, list) else [found])
                if message["type"] == "d"
            )
