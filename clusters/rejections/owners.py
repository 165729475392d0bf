"""Whose a refusal is.

The principal decides where there is one: whose topic somebody else reached for is nobody's business but that somebody's.
Without a principal the topic decides, else the subject, which belongs to the topic it is named after.
"""

from collections.abc import Callable

from clusters.rejections.types import Rejected, Resource

ClientOf = Callable[[str], int | None]
_SUFFIXES = ("-value", "-key")


def client_of(rejected: Rejected, principals: ClientOf, topics: ClientOf) -> int | None:
    """The client a refusal belongs to, None for nobody's. `principals` and `topics` tell the owner of a name."""
    if rejected.principal:
        return principals(rejected.principal)
    if rejected.resource_type == Resource.TOPIC and rejected.resource:
        return topics(rejected.resource)
    return subject_client(rejected.subject, topics) if rejected.subject else None


def spellings(principal: str) -> tuple[str, ...]:
    """`Type:name` and the bare name: rules are written either way."""
    bare = principal.partition(":")[2]
    return (principal, bare) if bare else (principal,)


def subject_client(subject: str, topics: ClientOf) -> int | None:
    """The owner of the topic a subject is named after, else of a topic named like the whole subject."""
    for suffix in _SUFFIXES:
        if subject.endswith(suffix) and (owner := topics(subject.removesuffix(suffix))) is not None:
            return owner
    return topics(subject)
