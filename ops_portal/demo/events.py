"""The events of the demo: small JSON records of made-up clients, keyed by client account."""

import random
from collections.abc import Iterator

from ops_portal.demo.topology import ACCOUNTS, ALERTS, CLIENTS, NAV, STATE, TRADES

_INSTRUMENTS = ("ALBN", "CRWN", "DLTA", "ESTR", "FJRD", "GLEN", "HRBR", "KESL", "LNDN", "MRCY", "NRTH", "ORLN")
_VARIANTS = 2048

Event = tuple[bytes, bytes]  # key, value


def events(topic: str, seed: int = 7) -> Iterator[Event]:
    """Endless events of `topic`. Bodies repeat after some thousand, sequence numbers do not."""
    bodies = _bodies(topic, random.Random(seed))  # noqa: S311 - made-up trades need no secrecy
    sequence = 0
    while True:
        for key, head in bodies:
            sequence += 1
            yield key, b'%s"sequence":%d}' % (head, sequence)


def _bodies(topic: str, chance: random.Random) -> list[Event]:
    clients = chance.choices(CLIENTS, weights=[client.weight for client in CLIENTS], k=_VARIANTS)
    made = []
    for client in clients:
        account = f"{client.key}.{chance.randrange(ACCOUNTS):03d}"
        instrument = chance.choice(_INSTRUMENTS)
        # A compacted topic keeps the newest record of each key: one per account and instrument.
        key = f"{account}/{instrument}" if topic == STATE else account
        made.append((key.encode(), _head(topic, account, instrument, chance).encode()))
    return made


def _head(topic: str, account: str, instrument: str, chance: random.Random) -> str:
    start = f'{{"account":"{account}","instrument":"{instrument}",'
    if topic == TRADES:
        side, quantity, price = chance.choice(("buy", "sell")), chance.randrange(1, 500) * 10, chance.uniform(5, 400)
        return f'{start}"side":"{side}","quantity":{quantity},"price":"{price:.2f}",'
    if topic == ALERTS:
        return f'{start}"limit":"{chance.choice(("exposure", "drawdown", "concentration"))}","used":{chance.uniform(0.5, 1.2):.3f},'
    if topic == NAV:
        return f'{start}"net_asset_value":"{chance.uniform(1e6, 9e8):.2f}","currency":"USD",'
    return f'{start}"position":{chance.randrange(-5000, 5000)},"average_price":"{chance.uniform(5, 400):.2f}",'
