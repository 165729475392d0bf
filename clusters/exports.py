"""The calendar and the table of certificates and keys that somebody may see, for API and pages alike."""

from collections.abc import Iterator
from datetime import datetime

from accounts.policies import Person
from clusters.feeds import Event, calendar, table
from clusters.selectors import certificates as selectors
from clusters.selectors.certificates import CertificateRow, KeyRow
from ops_portal.lib.clock import iso

COLUMNS = (
    "cluster", "id", "kind", "subject", "issuer", "serial", "fingerprint_sha256", "not_before", "not_after", "days_left", "band",
    "served_on", "file", "drift", "verdict", "failing_link", "client", "owner",
)  # fmt: skip


def certificates_ics(user: Person) -> bytes:
    """Ends and rotation days of what the user may see; what was rotated or taken away lately stands there as cancelled."""
    at = selectors.now()
    events = [event for row in selectors.certificates(user) for event in _of_certificate(row)]
    events += [event for row in selectors.certificates_gone(user) for event in _of_certificate(row, cancelled=True)]
    events += [_of_key(row) for row in selectors.keys(user)]
    return calendar("Certificates", events, at)


def certificates_csv(user: Person, cluster: str | None = None) -> bytes:
    """Every certificate that the user may see, a line each."""
    rows = selectors.certificates(user, cluster)
    values = (
        selectors.contract(row) | {"cluster": row.cluster, "client": row.client, "owner": row.owner} for row in rows
    )
    return table(COLUMNS, ([_text(line[name]) for name in COLUMNS] for line in values))


def _of_certificate(row: CertificateRow, *, cancelled: bool = False) -> Iterator[Event]:
    name = f"{row.title} ({row.kind.label}, {row.cluster})"
    uid = row.fingerprint or f"hand-{row.id}"
    text = f"Serial {row.serial or 'unknown'}\nValid until {iso(row.not_after)}"
    text += f"\nServed on {', '.join(row.served_on)}" if row.served_on else ""
    yield Event(f"{uid}-{row.cluster}-rotate@ops-portal", row.rotate_at.date(), f"Rotate {name}", text, cancelled)
    yield Event(f"{uid}-{row.cluster}-expires@ops-portal", row.not_after.date(), f"{name} expires", text, cancelled)


def _of_key(row: KeyRow) -> Event:
    how = "by hand" if row.manual else "by the key service"
    text = f"Version {row.version or 'unknown'}, rotated {iso(row.rotated_at)}, every {row.rotation_days:g} days, {how}"
    return Event(f"key-{row.id}@ops-portal", row.due_at.date(), f"Rotate the key {row.name} ({row.cluster})", text)


def _text(value: object) -> object:
    return iso(value) if isinstance(value, datetime) else value
