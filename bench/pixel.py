"""Commit to pixel: from a commit sent to the broker until its figure is painted on the board in Chromium."""

import random
import statistics
import time
from collections.abc import Mapping, Sequence
from typing import Any

from bench.board import PIXEL_RECORDS, PIXEL_TOPIC, PIXELS, Served, in_thread, pixel_group
from bench.report import goal, note, p95, row, spread
from bench.site import CLUSTER, PERIOD

ROUNDS = 8  # periods over which the commits are spread, at random, so that every phase of the poll occurs
_WAIT_SECONDS = 30
_UNTIL_READ = ("load", "list", "describe", "commits")  # stages of a poll up to the moment that decides what it has seen
# Looks at the rows after every change; what stands there is timed after the frame that shows it.
_WATCH = """wanted => {
  window.seen = {};
  const look = () => {
    for (const row of document.querySelectorAll("[data-board] tbody tr[data-key]")) {
      const name = row.querySelector("th a")?.textContent;
      if (!(name in wanted) || name in seen) continue;
      if (row.querySelector(".col-lag_records")?.textContent !== wanted[name]) continue;
      seen[name] = null;
      requestAnimationFrame(() => setTimeout(() => { seen[name] = Date.now() / 1000; }));
    }
  };
  new MutationObserver(look).observe(document.querySelector("[data-board] tbody"), {subtree: true, childList: true, characterData: true});
}"""


def measure(served: Served) -> dict[str, Any]:
    """The row of the table."""
    page = served.context.new_page()
    frames: list[float] = []

    def hear(payload: str | bytes) -> None:
        if '"type":"d"' in str(payload):
            frames.append(time.time())

    page.on("websocket", lambda socket: socket.on("framereceived", hear))
    page.goto(f"/lag/{CLUSTER}")
    page.locator("[data-board][data-state=live]").wait_for(state="attached")
    page.get_by_role("link", name=pixel_group(PIXELS - 1), exact=True).wait_for(state="visible")
    wanted = {pixel_group(index): str(100 + index) for index in range(PIXELS)}
    page.evaluate(_WATCH, wanted)
    note(f"{PIXELS} commits over {ROUNDS * PERIOD} s")
    moments = sorted(random.uniform(0, ROUNDS * PERIOD) for _ in range(PIXELS))
    started, sent = time.monotonic(), {}
    for moment, group in zip(moments, random.sample(sorted(wanted), PIXELS), strict=True):
        page.wait_for_timeout(max(0.0, started + moment - time.monotonic()) * 1000)
        unread = int(wanted[group])
        sent[group] = served.traffic.commit_one(group, (PIXEL_TOPIC, 0), PIXEL_RECORDS - unread)
    until = time.monotonic() + _WAIT_SECONDS
    while len(seen := _seen(page)) < PIXELS and time.monotonic() < until:
        page.wait_for_timeout(20)  # frames are timed when Playwright hands them over, which it does while it waits
    page.close()
    took = [seen[group] - at for group, at in sent.items() if group in seen]
    missing = PIXELS - len(took)
    return row(
        "commit to pixel in Chromium",
        {
            "p95_seconds": goal(round(p95(took), 2) if not missing else None, PERIOD + 1.0, "s"),
            "never_shown": goal(missing, 0, "commits"),
        },
        {
            "trials": PIXELS,
            "period_seconds": PERIOD,
            "seconds": spread(took, 2) if took else None,
            "where_it_goes": in_thread(_stages, sent, seen, frames),
        },
    )


def _stages(sent: Mapping[str, float], seen: Mapping[str, float], frames: Sequence[float]) -> dict[str, Any]:
    """Medians and p95 in seconds: until the poll reads the commit, from there to the frame, from there to the pixel.

    And what does not add to them: how long after the beginning of its slot a poll starts.
    """
    from clusters.models import PollRun

    runs = [
        (run.started_at.timestamp(), run.started_at.timestamp() + sum(run.counts.get(f"{name}_seconds", 0.0) for name in _UNTIL_READ), run.slot)
        for run in PollRun.objects.filter(source__kind="lag", status="ok").order_by("-id")[:60]
    ]  # fmt: skip
    waits, cycles, paints = [], [], []
    for group, at in seen.items():
        frame = max((one for one in frames if one <= at + 0.05), default=None)
        read = frame and max((moment for _, moment, _ in runs if moment <= frame), default=None)
        if group in sent and frame and read:
            waits.append(read - sent[group])
            cycles.append(frame - read)
            paints.append(max(0.0, at - frame))
    starts = [started - slot * PERIOD for started, _, slot in runs]
    found = {"until_read": waits, "read_to_frame": cycles, "frame_to_pixel": paints, "start_after_slot": starts}
    return {
        name: {"median": round(statistics.median(values), 3), "p95": round(p95(values), 3)}
        for name, values in found.items()
        if values
    }


def _seen(page: Any) -> dict[str, float]:
    found: dict[str, float | None] = page.evaluate("seen")
    return {group: at for group, at in found.items() if at is not None}
