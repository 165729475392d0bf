"""The certificates of a Java key store (JKS or JCEKS), which stand there in clear. Keys are passed over, never opened."""

import hashlib
import hmac
import struct
from dataclasses import dataclass, field

MAGIC = {b"\xfe\xed\xfe\xed": "jks", b"\xce\xce\xce\xce": "jceks"}
_MOST_ENTRIES = 100_000
_DIGEST_BYTES = 20


class Malformed(ValueError):
    """This is no Java key store."""


class Truncated(Malformed):
    """The store ends in the middle of an entry."""


@dataclass(slots=True)
class Store:
    """`certificates`: (alias, DER) in the order of the file. `problems`: sentences on what could not be read."""

    form: str
    body: bytes
    digest: bytes
    certificates: list[tuple[str, bytes]] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)

    def opens_with(self, password: str) -> bool:
        """Whether the store was sealed with this password."""
        salted = password.encode("utf-16-be") + b"Mighty Aphrodite" + self.body
        return hmac.compare_digest(hashlib.sha1(salted, usedforsecurity=False).digest(), self.digest)


@dataclass(slots=True)
class _Reader:
    data: bytes
    place: int = 0

    def take(self, count: int) -> bytes:
        if count < 0 or self.place + count > len(self.data):
            raise Truncated(f"byte {self.place} is missing {count} more")
        self.place += count
        return self.data[self.place - count : self.place]

    def number(self) -> int:
        return int(struct.unpack(">I", self.take(4))[0])

    def text(self) -> str:
        (length,) = struct.unpack(">H", self.take(2))
        return self.take(length).decode("utf-8", "replace")


def read_store(data: bytes) -> Store:
    """Every certificate of the store. Raises Malformed, of it Truncated."""
    form = MAGIC.get(data[:4])
    if form is None:
        raise Malformed("it does not begin like one")
    if len(data) < 12 + _DIGEST_BYTES:
        raise Truncated("it has no room for its entries")
    body, digest = data[:-_DIGEST_BYTES], data[-_DIGEST_BYTES:]
    reader = _Reader(body, 4)
    version, count = reader.number(), reader.number()
    if version not in {1, 2}:
        raise Malformed(f"its version is {version}")
    if count > _MOST_ENTRIES:
        raise Malformed(f"it claims {count} entries")
    store = Store(form, body, digest)
    for _ in range(count):
        if not _entry(reader, version, store):
            return store
    if reader.place != len(body):
        store.problems.append(f"{len(body) - reader.place} bytes follow the last entry.")
    return store


def _entry(reader: _Reader, version: int, store: Store) -> bool:
    """Read one entry; False when what follows cannot be found."""
    tag, alias = reader.number(), reader.text()
    reader.take(8)  # when it was made
    if tag == 1:
        reader.take(reader.number())  # the key, sealed
        chain = reader.number()
        if chain > _MOST_ENTRIES:
            raise Malformed(f"entry {alias!r} claims {chain} certificates")
        for _ in range(chain):
            _certificate(reader, version, alias, store)
        return True
    if tag == 2:
        _certificate(reader, version, alias, store)
        return True
    if tag == 3 and store.form == "jceks":
        store.problems.append(f"Entry {alias!r} is a secret key of unknown length: entries after it are not read.")
        return False
    raise Malformed(f"entry {alias!r} is of the unknown kind {tag}")


def _certificate(reader: _Reader, version: int, alias: str, store: Store) -> None:
    kind = reader.text() if version == 2 else "X.509"
    raw = reader.take(reader.number())
    if kind.replace("-", "").replace(".", "").upper() == "X509":
        store.certificates.append((alias, raw))
    else:
        store.problems.append(f"Entry {alias!r} holds a certificate of the kind {kind!r}.")
