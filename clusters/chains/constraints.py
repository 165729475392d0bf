"""Name constraints: an authority may be allowed to sign for some names only."""

import ipaddress
from collections.abc import Iterator, Sequence

from cryptography import x509

from clusters.chains.facts import Certificate, name_key
from clusters.chains.links import Defect
from clusters.chains.names import is_address
from clusters.chains.verdicts import ChainVerdict


def constraint_defects(path: Sequence[Certificate]) -> Iterator[Defect]:
    """Certificates whose names an authority above them may not sign for. Self-issued ones between are exempt (RFC 5280, 6.1.4)."""
    for top in range(len(path) - 1, 0, -1):
        limits = path[top].constraints
        if limits is None:
            continue
        for depth in range(top - 1, -1, -1):
            one = path[depth]
            if depth and one.self_issued:
                continue
            if (name := _first_refused(one, limits)) is not None:
                text = f"{path[top].title} may not sign for {name}, which {one.title} names."
                yield Defect(depth, ChainVerdict.NAME_NOT_PERMITTED, text)


def _first_refused(certificate: Certificate, limits: x509.NameConstraints) -> str | None:
    permitted, excluded = limits.permitted_subtrees or (), limits.excluded_subtrees or ()
    dns = certificate.dns_names
    if (
        not dns
        and certificate.common_name
        and "." in certificate.common_name
        and not is_address(certificate.common_name)
    ):
        dns = (certificate.common_name,)
    for kind, names in ((x509.DNSName, dns), (x509.IPAddress, certificate.ip_names)):
        allowed = [one.value for one in permitted if isinstance(one, kind)]
        denied = [one.value for one in excluded if isinstance(one, kind)]
        for name in names:
            if any(_covers(one, name) for one in denied) or (
                allowed and not any(_covers(one, name) for one in allowed)
            ):
                return name
    allowed_directories = [one.value for one in permitted if isinstance(one, x509.DirectoryName)]
    denied_directories = [one.value for one in excluded if isinstance(one, x509.DirectoryName)]
    if certificate.subject and (
        any(_begins(certificate, one) for one in denied_directories)
        or (allowed_directories and not any(_begins(certificate, one) for one in allowed_directories))
    ):
        return certificate.subject
    return None


def _covers(limit: object, name: str) -> bool:
    if isinstance(limit, str):
        base, host = limit.lower().lstrip("."), name.lower()
        if limit.startswith("."):
            return host.endswith("." + base)
        return not base or host == base or host.endswith("." + base)
    try:
        return isinstance(limit, ipaddress.IPv4Network | ipaddress.IPv6Network) and ipaddress.ip_address(name) in limit
    except (ValueError, TypeError):
        return False


def _begins(certificate: Certificate, base: x509.Name) -> bool:
    wanted = name_key(base)
    return certificate.subject_key[: len(wanted)] == wanted
