"""Whatever is published, dropped, doubled or lost, and however readers come and go: all end up with the same rows."""

from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from ops_portal.lib.live import frames, rows, views
from ops_portal.lib.live.socket import Slot
from ops_portal.lib.live.store import State
from ops_portal.lib.live.topic import News, Topic
from ops_portal.lib.live.views import Snapshot, View
from tests.live.client import Page

VIEW = View(
    name="test.model",
    columns=("a", "b", "at"),
    parse_params=dict,
    scope=lambda watcher, params: "all",
    snapshot=lambda scope, params: Snapshot({}, None),
    period_seconds=lambda params: None,
    time_column="at",
)
KEYS = st.sampled_from(["k1", "k2", "k3"])
VALUES = st.integers(0, 3) | st.none() | st.booleans()


class Tab:
    """A page and the slot that feeds it; `page` outlives the socket."""

    def __init__(self) -> None:
        self.page = Page()
        self.slot: Slot | None = None


class Convergence(RuleBasedStateMachine):
    """One publisher and its store, two web processes, two tabs; time moves by whole and half seconds."""

    @initialize()
    def start(self) -> None:
        self.now = 1000.0
        self.source: dict[str, list[Any]] = {}
        self.state = State()
        self.stream: list[tuple[bytes, State]] = []  # with the state each led to
        self.epochs = self.pids = 0
        self.hubs = [Topic(views.key_for(VIEW, {}, "all")) for _ in range(2)]
        self.tabs = [Tab(), Tab()]

    # --- The source and the publisher ---

    @rule(key=KEYS, a=VALUES, b=VALUES, on_time=st.booleans())
    def change(self, key: str, a: Any, b: Any, on_time: bool) -> None:
        self.source[key] = [a, b, on_time]

    @rule(key=KEYS)
    def remove(self, key: str) -> None:
        self.source.pop(key, None)

    @rule(
        passed=st.sampled_from([0.0, 0.5, 1.0]),
        heard=st.lists(st.booleans(), min_size=2, max_size=2),
        twice=st.booleans(),
    )
    def publish(self, passed: float, heard: list[bool], twice: bool) -> None:
        self.now += passed
        payload = self._publish()
        for topic, hears in zip(self.hubs, heard, strict=True):
            if hears and topic.epoch:
                for _ in range(1 + twice):
                    if not topic.offer(News.parse(payload)):
                        self._mend(topic)

    def _publish(self) -> bytes:
        snapshot = Snapshot(
            {key: [a, b, self.now if on_time else 900.0] for key, (a, b, on_time) in self.source.items()}, self.now
        )
        after, before = rows.stored_rows(VIEW, snapshot), self.state
        delta = rows.difference(VIEW, before.rows, after, self.now)
        if not before.epoch:
            self.epochs += 1
        self.pids += 1
        epoch = before.epoch or f"e{self.epochs}"
        self.state = State(epoch, before.seq + 1, self.now, f"p{self.pids}", after)
        wire, deleted = (delta.rows, delta.deleted) if before.epoch else ([], [])
        body = frames.delta_body(self.state.seq, before.seq, self.now, wire, deleted)
        payload = f"{epoch} {self.state.pid} {before.pid}\n{body}".encode()
        self.stream.append((payload, self.state))
        return payload

    # --- The store ---

    @rule()
    def store_is_emptied(self) -> None:
        self.state, self.stream = State(), []

    @rule(lost=st.integers(1, 2))
    def store_forgets_its_tail(self, lost: int) -> None:
        """What a power failure does to a log that is flushed once a second."""
        if len(self.stream) > lost:
            del self.stream[-lost:]
            self.state = self.stream[-1][1]

    @rule(kept=st.integers(1, 3))
    def stream_is_cut(self, kept: int) -> None:
        del self.stream[:-kept]

    # --- The web processes ---

    @rule(number=st.integers(0, 1))
    def hub_checks(self, number: int) -> None:
        self._mend(self.hubs[number])

    @rule(number=st.integers(0, 1))
    def hub_restarts(self, number: int) -> None:
        old = self.hubs[number]
        self.hubs[number] = Topic(old.key)
        for tab in self.tabs:
            if tab.slot is not None and tab.slot.topic is old:
                tab.slot = None

    def _mend(self, topic: Topic) -> None:
        """As the hub does it: replay from the stream, else take the state as a whole, published if there is none."""
        if topic.epoch and topic.epoch == self.state.epoch:
            if (topic.seq, topic.pid) == (self.state.seq, self.state.pid):
                return
            rewound = self.state.seq <= topic.seq
            if not rewound:
                parsed = [News.parse(payload) for payload, _ in self.stream]
                found = [news for news in parsed if news.entry.s >= topic.seq]
                replayed = topic.replay(found, topic.seq, topic.pid)
                if replayed:
                    return
                rewound = replayed is None
            if rewound:
                self.store_is_emptied()
        if not self.state.epoch:
            self._publish()
        topic.reset(self.state)

    # --- The tabs ---

    @rule(tab=st.integers(0, 1), hub=st.integers(0, 1))
    def connect(self, tab: int, hub: int) -> None:
        topic, found = self.hubs[hub], self.tabs[tab]
        if not topic.epoch:
            self._mend(topic)
        found.slot = Slot(None, "v", {}, topic)  # type: ignore[arg-type]  # a slot without a socket to wake
        found.slot.epoch, found.slot.seq = found.page.position.get("v", ("", 0))

    @rule(tab=st.integers(0, 1))
    def flush(self, tab: int) -> None:
        slot = self.tabs[tab].slot
        if slot is not None and slot.pending():
            parts: list[str] = []
            slot.take(parts)
            self.tabs[tab].page.take(frames.join(parts))

    # --- What must hold ---

    @invariant()
    def no_connected_tab_sees_a_gap(self) -> None:
        assert all(tab.page.gaps == 0 for tab in getattr(self, "tabs", []))

    @invariant()
    def a_hub_at_the_position_of_the_store_holds_its_rows(self) -> None:
        for topic in getattr(self, "hubs", []):
            if topic.epoch and (topic.epoch, topic.seq, topic.pid) == (
                self.state.epoch,
                self.state.seq,
                self.state.pid,
            ):
                assert topic.table.rows == self.wire()

    def wire(self) -> dict[str, list[Any]]:
        return {key: rows.wire_row(row, VIEW.time_index, self.state.ts) for key, row in self.state.rows.items()}

    def teardown(self) -> None:
        if not hasattr(self, "tabs"):
            return
        self._publish()
        for topic in self.hubs:
            self._mend(topic)
        for number, tab in enumerate(self.tabs):
            if tab.slot is None or tab.slot.topic not in self.hubs:
                self.connect(number, 0)
            self.flush(number)
            assert tab.page.views["v"].rows == self.wire()
            assert tab.page.gaps == 0
            assert set(self.wire()) == set(self.source)


TestConvergence = Convergence.TestCase
TestConvergence.settings = settings(max_examples=60, stateful_step_count=30, deadline=None)


def test_numbers_that_fit_do_not_hide_that_the_server_lost_what_it_told() -> None:
    def news(seq: int, pid: str, previous: str) -> News:
        body = frames.delta_body(seq, seq - 1, 1000.0, [], [])
        return News.parse(f"e {pid} {previous}\n{body}".encode())

    topic = Topic(views.key_for(VIEW, {}, "all"))
    topic.reset(State("e", 2, 1000.0, "p2", {}))
    assert topic.offer(news(2, "p2", "p1")), "heard twice"
    assert topic.offer(news(1, "p1", "p0")), "old"
    assert not topic.offer(news(2, "p7", "p1")), "the same number with other content"
    assert not topic.offer(news(3, "p8", "p7")), "what follows that content"
    assert topic.offer(news(3, "p3", "p2"))
    assert (topic.seq, topic.pid) == (3, "p3")
