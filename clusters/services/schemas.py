"""Schema registries: setting one, reading its subjects, and checking a schema before it is registered."""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from accounts.models import User
from accounts.services import audit_record
from clusters import secrets, sources
from clusters.gateways import prometheus
from clusters.gateways.registry import Checked, Registry, RegistryFailed, Version
from clusters.models import Cluster, SchemaOffer, SchemaRegistry, SchemaSubject, Source
from clusters.ports import EntityError, GatewayFailed
from clusters.rejections.difference import Difference, difference, registry_words
from clusters.secrets import SecretUnreadable
from clusters.selectors.rejection_owners import owners_on
from clusters.services.schedule import sources_ensure
from clusters.services.schema_offers import offer_keep
from clusters.sources import Outcome, Poll, RunDropped
from ops_portal.lib.database import connection_release
from ops_portal.lib.resilience import Deadline, DeadlinePassed

TABLE = SchemaRegistry._meta.db_table
KIND = "schemas"
CHECK_SECONDS = 15.0
TEST_SECONDS = 8.0
READ_PER_RUN = 150  # subjects whose text and mode are read in one run, those read longest ago first
SCHEMA_TYPES = ("AVRO", "JSON", "PROTOBUF")


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The answer to "may this schema be registered?" `reasons` and `fixes` are sentences."""

    compatible: bool
    subject: str
    cluster: str
    compatibility: str
    version: int | None
    schema_type: str
    reasons: tuple[str, ...]
    fixes: tuple[str, ...]
    found: Difference | None


@dataclass(frozen=True, slots=True)
class RegistrySettings:
    """An address in its stored form, and user name and password, both or neither."""

    url: str
    secrets: dict[str, str] = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True)
class RegistryTest:
    """What a registry answered. Without an answer `message` says why; `problems` are sentences although it answers."""

    ok: bool
    message: str
    problems: tuple[str, ...] = ()


def registry_settings(
    *, cluster: Cluster | None, url: str, username: str = "", password: str = "", keep_secrets: bool = False
) -> RegistrySettings:
    """What a person typed, checked. Raises ValidationError by field: url, username, password.

    With `keep_secrets` stored ones fill what is left empty, but only for the server that they were entered for: whoever
    changes the address does not get to send them elsewhere.
    """
    try:
        url = prometheus.check_url(url)
    except ValueError as error:
        said = str(error).replace("http://prometheus.example:9090", "http://registry.example:8081")
        raise ValidationError({"url": [said]}) from error
    row = SchemaRegistry.objects.filter(cluster=cluster).first() if cluster is not None and keep_secrets else None
    here = row is not None and _server(row.url) == _server(url)
    stored = _opened(row) if row is not None and here and not (username and password) else {}
    if not username and not password:
        return RegistrySettings(url, stored)
    if not username:
        raise ValidationError({"username": ["A password needs its user name."]})
    if not password and stored.get("username") != username:
        raise ValidationError({"password": ["Type the password of this user name."]})
    return RegistrySettings(url, {"username": username, "password": password or stored["password"]})


@transaction.atomic(durable=True)
def registry_set(
    *,
    cluster: Cluster,
    url: str,
    username: str = "",
    password: str = "",
    acting_user: User | None,
) -> SchemaRegistry:
    """Name the registry of a cluster, or change it; nothing happens where nothing changes. Raises ValidationError."""
    wanted = registry_settings(cluster=cluster, url=url, username=username, password=password)
    before = SchemaRegistry.objects.select_for_update().filter(cluster=cluster).first()
    if before is not None and before.url == wanted.url and _same_secrets(before, wanted):
        return before
    registry, _ = SchemaRegistry.objects.update_or_create(cluster=cluster, defaults={"url": wanted.url})
    registry.secrets = secrets.seal_all(wanted.secrets, table=TABLE, pk=registry.pk)
    registry.save(update_fields=["secrets"])
    if before is not None and before.url != wanted.url:
        registry.subjects.update(gone_at=Now())
    audit_record(
        action="clusters.registry_set",
        entity=registry_entity(cluster),
        before=_shown(before) if before else None,
        after=_shown(registry),
        acting_user=acting_user,
    )
    sources_ensure(cluster=cluster)
    # What the old settings led to says nothing about the new ones.
    Source.objects.filter(cluster=cluster, kind=KIND).update(
        breaker_state="closed", breaker_outcomes="", breaker_probe_at=None
    )
    return registry


@transaction.atomic(durable=True)
def registry_remove(*, cluster: Cluster, acting_user: User | None) -> None:
    """Read no registry for this cluster any more: its secrets and what was read of it go, refusals stay."""
    registry = SchemaRegistry.objects.select_for_update().filter(cluster=cluster).first()
    if registry is None:
        return
    audit_record(
        action="clusters.registry_removed",
        entity=registry_entity(cluster),
        before=_shown(registry),
        after=None,
        acting_user=acting_user,
    )
    Source.objects.filter(cluster=cluster, kind=KIND).delete()
    registry.delete()


def registry_test(*, wanted: RegistrySettings, seconds: float = TEST_SECONDS) -> RegistryTest:
    """Does a registry answer under these settings? Changes nothing."""
    registry = _registry(wanted.url, wanted.secrets, Deadline.after(seconds))
    try:
        count = len(registry.subjects())
        default = registry.default_compatibility()
    except DeadlinePassed:
        return RegistryTest(False, f"{wanted.url} did not answer within {seconds:g} s.")
    except RegistryFailed as failure:
        return RegistryTest(False, failure.message)
    problems = (
        ("Its default is NONE: subjects without a rule of their own take any schema.",) if default == "NONE" else ()
    )
    return RegistryTest(True, f"{count} subject{'s' if count != 1 else ''}, {default} by default.", problems)


def registry_connect(registry: SchemaRegistry, deadline: Deadline) -> Registry:
    """The registry's gateway. Raises RegistryFailed when its secrets do not open."""
    try:
        texts = secrets.unseal_all(registry.secrets, table=TABLE, pk=registry.pk)
    except SecretUnreadable as error:
        raise RegistryFailed("secrets", str(error)) from error
    return _registry(registry.url, texts, deadline)


def has_registry(cluster: Cluster) -> bool:
    return SchemaRegistry.objects.filter(cluster=cluster).exists()


def poll_schemas(poll: Poll) -> Outcome:
    """Handler of sources of kind `schemas`: the list of subjects, and the text and mode of those read longest ago."""
    row = SchemaRegistry.objects.filter(cluster=poll.cluster).first()
    if row is None:
        raise RunDropped("This cluster has no schema registry.")
    try:
        registry = registry_connect(row, poll.deadline)
        names = registry.subjects()
        default = registry.default_compatibility()
    except RegistryFailed as failure:
        raise GatewayFailed(failure.code, failure.message) from failure
    _names_store(row, names, default)
    errors: list[EntityError] = []
    due = row.subjects.filter(gone_at__isnull=True).order_by(F("read_at").asc(nulls_first=True), "pk")[:READ_PER_RUN]
    read = 0
    for subject in due:
        if poll.deadline.remaining() < 1.0:
            break
        try:
            _subject_store(subject, registry, default)
            read += 1
        except RegistryFailed as failure:
            SchemaSubject.objects.filter(pk=subject.pk).update(error=failure.message[:500], read_at=Now())
            errors.append(EntityError(f"subject {subject.name}", failure.code, failure.message))
        except DeadlinePassed:
            break
    return Outcome(errors, {"subjects": len(names), "read": read, "requests": registry.requests})


@transaction.atomic
def _names_store(row: SchemaRegistry, names: list[str], default: str) -> None:
    """Subjects that are new, back or gone."""
    owners = owners_on(row.cluster)
    known = set(row.subjects.values_list("name", flat=True))
    names = [name for name in names if name and len(name) <= 500 and "\0" not in name]
    SchemaSubject.objects.bulk_create(
        [
            SchemaSubject(registry=row, name=name, client_id=owners.of_subject(name))
            for name in names
            if name not in known
        ],
        ignore_conflicts=True,
    )
    row.subjects.exclude(name__in=names).filter(gone_at__isnull=True).update(gone_at=Now())
    row.subjects.filter(name__in=names, gone_at__isnull=False).update(gone_at=None)
    SchemaRegistry.objects.filter(pk=row.pk).update(compatibility=default, read_at=Now())


def _subject_store(subject: SchemaSubject, registry: Registry, default: str) -> None:
    numbers, latest = registry.versions(subject.name), registry.latest(subject.name)
    own = registry.compatibility(subject.name)
    changes: dict[str, Any] = {
        "versions": numbers,
        "compatibility": own or default,
        "compatibility_own": own is not None,
        "read_at": Now(),
        "error": "",
    }
    if latest is not None:
        changes |= {
            "version": latest.version, "schema_id": latest.schema_id, "schema_type": latest.schema_type,
            "schema": latest.schema.replace("\0", ""),
        }  # fmt: skip
        if latest.version != subject.version:
            changes["changed_at"] = Now()
    SchemaSubject.objects.filter(pk=subject.pk).update(**changes)


def schema_check(
    *, cluster: Cluster, subject: str, schema: str, schema_type: str = "", acting_user: User | None
) -> CheckResult:
    """Ask the registry whether a schema may be registered, and keep the offer. Raises RegistryFailed, ValidationError."""
    row = SchemaRegistry.objects.filter(cluster=cluster).first()
    if row is None:
        raise ValidationError({"cluster": [f"{cluster.name} has no schema registry."]})
    if not schema.strip():
        raise ValidationError({"schema": ["The schema is empty."]})
    registry = registry_connect(row, Deadline.after(CHECK_SECONDS))
    connection_release()
    try:
        registry.subjects()  # finds the address under which subjects are
        latest = registry.latest(subject)
        mode = registry.compatibility(subject) or registry.default_compatibility()
        kind = schema_type.upper() or (latest.schema_type if latest is not None else "AVRO")
        if kind not in SCHEMA_TYPES:
            raise ValidationError({"schema_type": [f"{schema_type!r} is not one of {', '.join(SCHEMA_TYPES)}."]})
        checked = registry.check(subject, schema, kind, mode)
    except DeadlinePassed as error:
        raise RegistryFailed("timeout", f"{row.url} did not answer within {CHECK_SECONDS:g} s.") from error
    result = _result(cluster, subject, schema, kind, mode, latest, checked)
    with transaction.atomic(durable=True):
        offer_keep(
            cluster=cluster, subject=subject, schema=schema, schema_type=kind, compatible=checked.compatible,
            reason="\n".join(result.reasons), via=SchemaOffer.Via.CHECK,
            actor_name=acting_user.username if acting_user else "command line",
            accepted=(latest.version, latest.schema) if latest is not None else (None, ""),
        )  # fmt: skip
    return result


def _result(
    cluster: Cluster, subject: str, schema: str, kind: str, mode: str, latest: Version | None, checked: Checked
) -> CheckResult:
    found = difference(latest.schema, schema, schema_type=kind, compatibility=mode) if latest is not None else None
    reasons: tuple[str, ...] = ()
    fixes: tuple[str, ...] = ()
    if not checked.compatible:
        own = found.reasons if found is not None else ()
        told = tuple(registry_words(text) for text in checked.messages)
        reasons = own or told or (f"The registry says it is not compatible under {mode} and names no reason.",)
        fixes = found.fixes if found is not None else ()
    return CheckResult(
        checked.compatible, subject, cluster.name, mode, checked.version, kind, reasons, fixes, found
    )  # fmt: skip


@transaction.atomic
def subject_owners_apply() -> int:
    """Give every subject and offer to the client that the rules name now; how many changed hands."""
    changed = 0
    for cluster in Cluster.objects.filter(removed_at__isnull=True, schema_registry__isnull=False):
        owners = owners_on(cluster)
        for subject in SchemaSubject.objects.filter(registry__cluster=cluster).order_by("pk"):
            client_id = owners.of_subject(subject.name)
            if client_id != subject.client_id:
                changed += SchemaSubject.objects.filter(pk=subject.pk).update(client_id=client_id)
    return changed


def register_source() -> None:
    """Called once, in `apps.ready`."""
    sources.register(KIND, poll_schemas, lambda: 60, applies=has_registry)


def _registry(url: str, texts: dict[str, str], deadline: Deadline) -> Registry:
    return Registry(url, deadline, username=texts.get("username", ""), password=texts.get("password", ""))


def _opened(registry: SchemaRegistry) -> dict[str, str]:
    try:
        return secrets.unseal_all(registry.secrets, table=TABLE, pk=registry.pk)
    except SecretUnreadable as error:
        said = f"The stored user name and password cannot be read: {error}. Type both anew."
        raise ValidationError({"password": [said]}) from error


def _same_secrets(registry: SchemaRegistry, wanted: RegistrySettings) -> bool:
    try:
        return secrets.unseal_all(registry.secrets, table=TABLE, pk=registry.pk) == wanted.secrets
    except SecretUnreadable:
        return False


def _server(url: str) -> tuple[str, str, int]:
    parts = urlsplit(url)
    return parts.scheme, parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)


def registry_entity(cluster: Cluster) -> str:
    """What the registry is called in the audit trail."""
    return f"schema registry of {cluster.name}"


def _shown(registry: SchemaRegistry) -> dict[str, Any]:
    """What audit may hold: of secrets only which are set."""
    return {"url": registry.url, "secrets": sorted(registry.secrets)}
