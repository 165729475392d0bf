"""Which pages may open a socket."""

import pytest
from pytest_django import Settings

from ops_portal.lib.live.origin import origin_allowed


@pytest.mark.parametrize(
    ("host", "origin", "allowed"),
    [
        ("portal.example.com", "https://portal.example.com", True),
        ("portal.example.com:8443", "https://portal.example.com:8443", True),
        ("PORTAL.example.com", "https://portal.example.com", True),
        ("[::1]:8000", "http://[::1]:8000", True),
        ("portal.example.com", "https://desk.example.net", True),  # trusted by name
        ("portal.example.com", "https://evil.example.com", False),  # a neighbour under the wildcard
        ("evil.test", "https://evil.test", False),  # not a host of ours
        ("portal.example.com", "https://portal.example.com:8443", False),
        ("portal.example.com", "https://portal.example.com@evil.test", False),
        ("portal.example.com", "ftp://portal.example.com", False),
        ("portal.example.com", "https://portal.example.com:port", False),
        ("portal.example.com", "null", False),
        ("portal.example.com", "", False),
        ("", "https://portal.example.com", False),
    ],
)
def test_only_our_own_pages_and_trusted_ones(settings: Settings, host: str, origin: str, allowed: bool) -> None:
    settings.ALLOWED_HOSTS = [".example.com", "[::1]"]
    settings.CSRF_TRUSTED_ORIGINS = ["https://desk.example.net"]
    assert origin_allowed([(b"host", host.encode()), (b"origin", origin.encode())]) is allowed


def test_no_origin_no_socket(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["*"]
    assert not origin_allowed([(b"host", b"portal.example.com")])


def test_behind_tls_a_plain_page_is_refused(settings: Settings) -> None:
    settings.ALLOWED_HOSTS = ["portal.example.com"]
    settings.SESSION_COOKIE_SECURE = True
    assert not origin_allowed([(b"host", b"portal.example.com:80"), (b"origin", b"http://portal.example.com")])
    assert origin_allowed([(b"host", b"portal.example.com"), (b"origin", b"https://portal.example.com")])
