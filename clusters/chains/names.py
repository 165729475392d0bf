"""Whether a certificate names a host, as OpenSSL and Java decide it."""

import ipaddress

from clusters.chains.facts import Certificate


def is_address(host: str) -> bool:
    """Whether a host is an IP address rather than a name."""
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True


def names_host(certificate: Certificate, host: str) -> bool:
    """Addresses must stand among the IP names; host names match DNS names, or the common name where there are none."""
    if is_address(host):
        wanted = ipaddress.ip_address(host.strip("[]"))
        return any(_same_address(one, wanted) for one in certificate.ip_names)
    name = to_ascii(host)
    return any(matches(pattern, name) for pattern in _patterns(certificate))


def by_common_name_only(certificate: Certificate) -> bool:
    """Such a certificate names hosts in a way that many clients no longer accept."""
    return not certificate.dns_names and not certificate.ip_names and bool(certificate.common_name)


def to_ascii(host: str) -> str:
    """Lower case and A-labels, without the root's dot; a name that IDNA refuses stays as it is."""
    text = host.strip().rstrip(".").lower()
    if text.isascii():
        return text
    try:
        return text.encode("idna").decode("ascii")
    except UnicodeError:
        return text


def matches(pattern: str, host: str) -> bool:
    """Whether a DNS name of a certificate, which may begin with a wildcard label, covers the host (both ASCII, lower case)."""
    pattern = pattern.lower()
    if "*" not in pattern:
        return bool(pattern) and pattern == host
    label, _, rest = pattern.partition(".")
    host_label, _, host_rest = host.partition(".")
    if label.count("*") != 1 or "*" in rest or rest.count(".") < 1 or rest != host_rest or not host_label:
        return False
    before, after = label.split("*")
    if before or after:  # only part of the label is free: never for international names
        if label.startswith("xn--") or host_label.startswith("xn--"):
            return False
        return (
            len(host_label) >= len(before) + len(after) and host_label.startswith(before) and host_label.endswith(after)
        )
    return True


def _patterns(certificate: Certificate) -> tuple[str, ...]:
    if certificate.dns_names:
        return certificate.dns_names
    return (certificate.common_name,) if certificate.common_name else ()


def _same_address(text: str, wanted: ipaddress.IPv4Address | ipaddress.IPv6Address) -> bool:
    try:
        return ipaddress.ip_address(text) == wanted
    except ValueError:  # a network, which a name cannot be
        return False
