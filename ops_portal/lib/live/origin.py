"""Which pages may open a socket: the portal's own, and those of CSRF_TRUSTED_ORIGINS."""

from collections.abc import Iterable
from urllib.parse import urlsplit

from django.conf import settings
from django.http.request import split_domain_port, validate_host

_SCHEMES = {"http": 80, "https": 443}


def origin_allowed(headers: Iterable[tuple[bytes, bytes]]) -> bool:
    """True when the handshake comes from a page of this portal.

    The Origin must be listed in CSRF_TRUSTED_ORIGINS, or name the very host that the request went to, which has to be one of
    ALLOWED_HOSTS. So neither a wildcard there nor a neighbouring subdomain opens the door. No Origin, no socket.
    """
    found = {name: value.decode("latin-1") for name, value in headers if name in {b"origin", b"host"}}
    origin, host = found.get(b"origin", ""), found.get(b"host", "")
    if origin in settings.CSRF_TRUSTED_ORIGINS:
        return True
    try:
        parts = urlsplit(origin)
        port = parts.port or _SCHEMES[parts.scheme]
    except (ValueError, KeyError):
        return False
    if settings.SESSION_COOKIE_SECURE and parts.scheme != "https":
        return False
    domain, host_port = split_domain_port(host)
    return (
        bool(domain)
        and split_domain_port(parts.netloc)[0] == domain
        and (host_port or str(_SCHEMES[parts.scheme])) == str(port)
        and validate_host(domain, settings.ALLOWED_HOSTS)
    )
