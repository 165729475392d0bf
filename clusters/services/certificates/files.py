"""Files with certificates: uploaded, or read from the paths of the settings. Reading happens before any lock is taken."""

import errno
import glob
import hashlib
import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import transaction

from accounts.models import User
from accounts.services import audit_record
from clusters.chains import LARGEST_BUNDLE, Bundle, Unreadable, parse
from clusters.models import CertificateFile, Cluster
from clusters.services.certificates.judging import certificates_judge, cluster_hold
from clusters.services.certificates.keep import certificates_keep
from ops_portal.lib.clock import as_datetime
from ops_portal.lib.database import database_clock

MOST_FILES = 500  # that one pattern may match
LONGEST_NAME = 200


@dataclass(frozen=True, slots=True)
class Read:
    """A file as read: its bundle, or why there is none."""

    name: str
    digest: str = ""
    bundle: Bundle | None = None
    error: str = ""
    message: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """Files that the settings name for a cluster."""

    pattern: str
    trusted: bool


def places_of(cluster: Cluster, entries: Sequence[str]) -> list[Place]:
    """Patterns for this cluster out of entries such as `demo=/etc/kafka/*.pem`, `trust:/etc/ca.pem`, `demo=trust:/etc/ca.pem`."""
    found = []
    for entry in entries:
        name, separator, rest = entry.partition("=")
        if separator and "/" not in name and name != cluster.name:
            continue
        pattern = rest if separator and "/" not in name else entry
        trusted = pattern.startswith("trust:")
        found.append(Place(pattern.removeprefix("trust:"), trusted))
    return found


def read_places(cluster: Cluster) -> list[tuple[Read, bool]]:
    """Every file that the settings name, read now, with whether it is trusted. A pattern without a match is told as missing."""
    found: dict[str, tuple[Read, bool]] = {}
    for place in places_of(cluster, settings.CERTIFICATE_PATHS):
        matched = sorted(glob.glob(place.pattern))[:MOST_FILES] if glob.has_magic(place.pattern) else [place.pattern]  # noqa: PTH207 - a whole pattern
        if not matched:
            found[place.pattern] = (Read(place.pattern, error="missing", message="No file matches."), place.trusted)
        for name in matched:
            found[name] = (read_file(name), place.trusted)
    return list(found.values())


def read_file(name: str) -> Read:
    """One file, at most as large as a bundle may be. A broken link, a missing file and one without rights are told apart."""
    try:
        handle = os.open(name, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        return Read(name, error=_why(name, error), message=f"The file cannot be opened: {error.strerror}.")
    with os.fdopen(handle, "rb") as content:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            return Read(name, error="no_file", message="This is no regular file.")
        data = content.read(LARGEST_BUNDLE + 1)
    return read_data(name, data, settings.CERTIFICATE_PASSWORDS)


def read_data(name: str, data: bytes, passwords: Sequence[str]) -> Read:
    """What these bytes hold."""
    digest = hashlib.sha256(data).hexdigest()
    try:
        return Read(name, digest, parse(data, passwords))
    except Unreadable as refused:
        return Read(name, digest, error=refused.reason.value, message=refused.message)


def _why(name: str, error: OSError) -> str:
    if error.errno == errno.ENOENT:
        return "broken_link" if Path(name).is_symlink() else "missing"
    return "not_allowed" if error.errno == errno.EACCES else "unreadable"


@transaction.atomic
def files_store(*, cluster: Cluster, found: Sequence[tuple[Read, bool]], at: datetime) -> None:
    """Bring the stored files of the settings up to what was read; those that are named no longer are removed."""
    rows = {
        row.name: row
        for row in CertificateFile.objects.filter(
            cluster=cluster, origin=CertificateFile.Origin.PATH, removed_at__isnull=True
        )
    }
    for read, trusted in found:
        row = rows.pop(read.name, None) or CertificateFile(
            cluster=cluster, name=read.name[:1000], origin=CertificateFile.Origin.PATH
        )
        row.trusted = trusted
        _take(cluster, row, read, at)
    CertificateFile.objects.filter(pk__in=[row.pk for row in rows.values()]).update(removed_at=at)


def _take(cluster: Cluster, row: CertificateFile, read: Read, at: datetime) -> None:
    """Put what was read into the row; what cannot be read keeps the certificates of the last good reading."""
    row.error, row.message = read.error, read.message
    if read.bundle is not None:
        certificates_keep(cluster=cluster, found=read.bundle.certificates, at=at)
        fingerprints = [one.fingerprint for one in read.bundle.certificates]
        if row.digest != read.digest:
            row.changed_at = at
        row.form, row.digest, row.fingerprints = read.bundle.form, read.digest, fingerprints
        row.problems, row.read_at = list(read.bundle.problems), at
    row.save()


def file_upload(
    *, cluster: Cluster, name: str, data: bytes, password: str, trusted: bool, acting_user: User | None
) -> CertificateFile:
    """Keep the certificates of an uploaded file; one of the same name is replaced. Raises ValidationError.

    The password is used once and kept nowhere, nor is any private key.
    """
    name = Path(name.replace("\\", "/")).name[:LONGEST_NAME].strip()
    if not name:
        raise ValidationError({"file": ["Give the file a name."]})
    read = read_data(name, data, [password] if password else [])
    if read.bundle is None:
        field = "password" if "password" in read.error else "file"
        raise ValidationError({field: [read.message]}, code=read.error)
    with transaction.atomic():
        cluster_hold(cluster.pk)
        at = as_datetime(database_clock().now())
        kept = CertificateFile.objects.select_for_update().filter(cluster=cluster, name=name, removed_at__isnull=True)
        row = kept.first() or CertificateFile(cluster=cluster, name=name, origin=CertificateFile.Origin.UPLOAD)
        if row.origin != CertificateFile.Origin.UPLOAD:
            raise ValidationError({"file": ["A path of the settings has this name."]})
        before = _shown(row) if row.pk else None
        row.trusted = trusted
        _take(cluster, row, read, at)
        _record("clusters.certificates_uploaded", cluster, row, before, _shown(row), acting_user)
        certificates_judge(cluster=cluster, at=at)
    return row


@transaction.atomic
def file_remove(*, row: CertificateFile, acting_user: User | None) -> None:
    """Forget an uploaded file. Raises ValidationError for one that the settings name."""
    cluster_hold(row.cluster_id)
    row = CertificateFile.objects.select_for_update(of=("self",)).select_related("cluster").get(pk=row.pk)
    if row.origin != CertificateFile.Origin.UPLOAD:
        raise ValidationError("The settings name this path; take it out there.")
    at = as_datetime(database_clock().now())
    row.removed_at = at
    row.save(update_fields=["removed_at"])
    _record("clusters.certificates_removed", row.cluster, row, _shown(row), None, acting_user)
    certificates_judge(cluster=row.cluster, at=at)


def _shown(row: CertificateFile) -> dict[str, object]:
    return {"name": row.name, "trusted": row.trusted, "digest": row.digest, "certificates": len(row.fingerprints)}


def _record(
    action: str, cluster: Cluster, row: CertificateFile, before: object, after: object, acting_user: User | None
) -> None:
    audit_record(
        action=action, entity=f"certificates {row.name} of {cluster.name}", before=before, after=after, acting_user=acting_user
    )  # fmt: skip
