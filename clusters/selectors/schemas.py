"""Reads of schema registries, subjects and refused offers. All take the user and keep to that user's rights and scope."""

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from accounts.policies import Person, may, scope_of
from accounts.roles import Right
from clusters.models import Cluster, Rejection, SchemaOffer, SchemaRegistry, SchemaSubject
from clusters.rejections.types import Kind
from clusters.selectors.polling import clusters_visible
from clusters.selectors.rejection_owners import owners_on
from clusters.selectors.rejections import rejections


@dataclass(frozen=True, slots=True)
class SubjectRow:
    """One subject; `rejection` is its newest refusal."""

    subject: SchemaSubject
    rejection: Rejection | None


def subjects(
    user: Person, *, q: str = "", cluster: str = "", client: str = "", gone: bool = False
) -> QuerySet[SchemaSubject]:
    """Subjects by cluster and name that the user may see; `q` looks in name and client."""
    if not may(user, Right.SEE_LAG):
        return SchemaSubject.objects.none()
    rows = SchemaSubject.objects.filter(registry__cluster__removed_at__isnull=True, gone_at__isnull=not gone)
    scope = scope_of(user)
    if not scope.everything:
        rows = rows.filter(client_id__in=scope.client_ids)
    if q:
        rows = rows.filter(Q(name__icontains=q) | Q(client__name__icontains=q))
    if cluster:
        rows = rows.filter(registry__cluster__name=cluster)
    if client:
        rows = rows.filter(client__name=client)
    return rows.select_related("registry__cluster", "client").order_by("registry__cluster__name", "name")


def subject_by_id(user: Person, pk: int) -> SchemaSubject | None:
    """One subject that the user may see, also one that the registry no longer has."""
    return next((found for gone in (False, True) if (found := subjects(user, gone=gone).filter(pk=pk).first())), None)


def subject_named(user: Person, cluster: str | None, name: str) -> SchemaSubject | None:
    """The subject of that name on a cluster."""
    return subjects(user).filter(registry__cluster__name=cluster, name=name).first() if cluster else None


def subject_rows(user: Person, found: list[SchemaSubject]) -> list[SubjectRow]:
    """With the newest refusal of each that the user may see, in one query."""
    newest: dict[tuple[int | None, str], Rejection] = {}
    rows = rejections(user, kinds=[Kind.SCHEMA]).filter(subject__in=[subject.name for subject in found])
    for rejection in rows.order_by("last_at"):
        newest[rejection.cluster_id, rejection.subject] = rejection
    return [SubjectRow(one, newest.get((one.registry.cluster_id, one.name))) for one in found]


def subject_rejections(user: Person, subject: SchemaSubject) -> list[Rejection]:
    """Refusals for a subject that the user may see, newest first: one that another client met with stays that client's."""
    rows = rejections(user, kinds=[Kind.SCHEMA]).filter(cluster=subject.registry.cluster, subject=subject.name)
    return list(rows[:50])


def subject_offers(user: Person, subject: SchemaSubject) -> QuerySet[SchemaOffer]:
    """Schemas that were offered for a subject, newest first, as far as they are the user's matter."""
    rows = SchemaOffer.objects.filter(cluster=subject.registry.cluster, subject=subject.name)
    scope = scope_of(user)
    if not scope.everything:
        rows = rows.filter(client_id__in=scope.client_ids)
    return rows.order_by("-at", "-pk")


def offer_of(user: Person, subject: SchemaSubject, refused_at: datetime | None) -> SchemaOffer | None:
    """The newest schema that was offered and refused since the subject last changed; None when nobody brought one."""
    rows = subject_offers(user, subject).filter(compatible=False)
    if subject.changed_at is not None and refused_at is not None and refused_at > subject.changed_at:
        rows = rows.filter(at__gte=subject.changed_at)
    return rows.first()


def registries(user: Person) -> list[SchemaRegistry]:
    """Registries by cluster, for people who see clusters."""
    if not may(user, Right.SEE_CLUSTERS):
        return []
    rows = SchemaRegistry.objects.filter(cluster__removed_at__isnull=True).select_related("cluster")
    return list(rows.order_by("cluster__name"))


def registry_of(user: Person, cluster: Cluster) -> SchemaRegistry | None:
    """The registry of one cluster, for people who see clusters."""
    return next((row for row in registries(user) if row.cluster_id == cluster.pk), None)


def clusters_of_subject(user: Person, subject: str) -> list[Cluster]:
    """Clusters with a registry where somebody may ask about a subject, whether it exists or not: it is an own client's."""
    scope = scope_of(user)
    rows = clusters_visible(user).filter(schema_registry__isnull=False)
    return [row for row in rows if scope.everything or owners_on(row).of_subject(subject) in scope.client_ids]
