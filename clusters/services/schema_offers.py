"""Keeping schemas that were offered and refused, with what they were held against. A step of larger writes."""

from accounts.models import Client
from clusters.models import Cluster, SchemaOffer, SchemaSubject
from clusters.selectors.rejection_owners import owners_on

OFFERS_KEPT = 20  # of a subject, newest first


def offer_keep(
    *,
    cluster: Cluster,
    subject: str,
    schema: str,
    schema_type: str = "",
    reason: str = "",
    compatible: bool = False,
    via: SchemaOffer.Via = SchemaOffer.Via.REPORT,
    actor_name: str = "",
    accepted: tuple[int | None, str] | None = None,
    client: str = "",
) -> SchemaOffer:
    """Keep an offer, of the client that is named, else of the subject's owner. `accepted` is the version and text it was held against, by default what the subject last held."""
    known = SchemaSubject.objects.filter(registry__cluster=cluster, name=subject).first()
    if accepted is None:
        accepted = (known.version, known.schema) if known is not None else (None, "")
    named = Client.objects.filter(name=client).values_list("pk", flat=True).first() if client else None
    offer = SchemaOffer.objects.create(
        cluster=cluster,
        subject=subject[:500],
        client_id=named or owners_on(cluster).of_subject(subject),
        via=via,
        schema_type=schema_type.replace("\0", "") or (known.schema_type if known is not None else ""),
        schema=schema.replace("\0", ""),
        compatible=compatible,
        reason=reason.replace("\0", ""),
        accepted_version=accepted[0],
        accepted_schema=accepted[1],
        actor_name=actor_name,
    )
    old = SchemaOffer.objects.filter(cluster=cluster, subject=offer.subject).order_by("-at", "-pk")[OFFERS_KEPT:]
    SchemaOffer.objects.filter(pk__in=old.values("pk")).delete()
    return offer
