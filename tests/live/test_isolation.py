"""Two tenants on the same boards: whatever is published, and whoever comes and goes, nobody is sent a byte of the other.

ISOLATION_MESSAGES is how many rows are delivered in all; the default keeps the run short, 1000000 takes a minute and a half.
"""

import os
import random
from contextlib import ExitStack
from functools import partial

from ops_portal.lib.live import publish
from tests.live import board
from tests.live.client import Reader

MESSAGES = int(os.environ.get("ISOLATION_MESSAGES", "60000"))
COLOURS = ("red", "blue")
BOARDS = ("one", "two", "three", "four")
READERS = 3  # of each colour


class Tenant(Reader):
    """A reader that looks at every byte of every frame."""

    def __init__(self, web: str, colour: str, number: int) -> None:
        super().__init__(web, f"{colour}-{number}")
        self.foreign = "mark-blue" if colour == "red" else "mark-red"
        self.own, self.rows_taken = f"mark-{colour}", 0
        self.hello()
        for name in BOARDS:
            self.sub(name, name)

    def take(self, text: str | bytes) -> None:
        text = text if isinstance(text, str) else text.decode()
        assert self.foreign not in text
        self.rows_taken += text.count(self.own)
        super().take(text)


def test_no_socket_is_sent_a_row_of_the_other_tenant(web: str) -> None:
    choose = random.Random(7)
    for colour in COLOURS:
        for number in range(READERS):
            board.sign_in(f"{colour}-{number}", user_id=1 + COLOURS.index(colour), colour=colour)
    taken = written = 0
    with ExitStack() as stack:
        places = [(colour, number) for colour in COLOURS for number in range(READERS)]
        readers = {place: stack.enter_context(Tenant(web, *place)) for place in places}
        while taken < MESSAGES:
            for name in BOARDS:
                for colour in COLOURS:
                    # The same keys and figures for both: only the scope tells the tenants apart.
                    rows = {f"k{choose.randrange(900)}": (written, f"mark-{colour}-{written}") for _ in range(600)}
                    written += 1
                    board.put(name, rows, colour=colour)
            publish.publish_changed("test.board")
            if choose.random() < 0.5:
                place = choose.choice(places)
                taken += readers[place].rows_taken
                readers[place].close()
                readers[place] = stack.enter_context(Tenant(web, *place))
            for reader in readers.values():
                reader.until(partial(caught_up, reader, written), 30)
                taken += reader.rows_taken
                reader.rows_taken = 0
                reader.seen.clear()
    assert taken >= MESSAGES


def caught_up(reader: Tenant, written: int) -> bool:
    """Whether both boards show what was written last."""
    newest = [max((row[0] for row in reader.rows(name).values()), default=-1) for name in BOARDS]
    return min(newest) >= written - len(BOARDS) * len(COLOURS)
