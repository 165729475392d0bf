"""The demo's certificates: a hierarchy that OpenSSL accepts, with lifetimes that have something to show."""

import stat
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from ops_portal.demo.pki import Authority, Kind, Wanted, broker_certificate
from tests.programs import program


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "pki")


def days_left(certificate: x509.Certificate) -> float:
    return (certificate.not_valid_after_utc - datetime.now(UTC)) / timedelta(days=1)


def verified(authority: Authority, name: str, purpose: str) -> str:
    """OpenSSL's word on a certificate with the root as the only anchor."""
    command = [
        *(program("openssl", "openssl"), "verify", "-purpose", purpose, "-CAfile", str(authority.root)),
        *("-untrusted", str(authority.issuing), str(authority.files(name).chain)),
    ]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False)
    return answer.stdout + answer.stderr


def test_every_kind_is_accepted_by_openssl_for_its_purpose_alone(authority: Authority) -> None:
    authority.ensure([
        broker_certificate(1), Wanted("northgate", Kind.CLIENT), Wanted("registry", Kind.REGISTRY, hosts=("localhost",)),
    ])  # fmt: skip
    assert verified(authority, "broker-1", "sslserver").endswith("OK\n")
    assert verified(authority, "broker-1", "sslclient").endswith("OK\n")
    assert verified(authority, "northgate", "sslclient").endswith("OK\n")
    assert "OK" not in verified(authority, "northgate", "sslserver")
    assert verified(authority, "registry", "sslserver").endswith("OK\n")
    assert "OK" not in verified(authority, "registry", "sslclient")


def test_the_root_lives_ten_years_and_the_issuing_authority_five(authority: Authority) -> None:
    for path, years, length in ((authority.root, 10, 1), (authority.issuing, 5, 0)):
        found = x509.load_pem_x509_certificate(path.read_bytes())
        assert found.not_valid_after_utc - found.not_valid_before_utc == timedelta(days=365 * years)
        assert found.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == length


def test_a_certificate_may_be_near_its_end_or_beyond(authority: Authority) -> None:
    authority.ensure([Wanted("soon", Kind.CLIENT, days=20), Wanted("ended", Kind.CLIENT, days=-3, least_days=None)])
    assert round(days_left(authority.certificate("soon"))) == 20
    assert round(days_left(authority.certificate("ended"))) == -3
    assert "certificate has expired" in verified(authority, "ended", "sslclient")


def test_what_is_there_stays_until_it_has_too_few_days(authority: Authority) -> None:
    wanted = Wanted("northgate", Kind.CLIENT, days=50, least_days=30)
    assert authority.ensure([wanted]) == ["northgate"]
    first = authority.certificate("northgate").serial_number
    assert Authority(authority.directory).ensure([wanted]) == []
    assert authority.certificate("northgate").serial_number == first
    assert authority.ensure([Wanted("northgate", Kind.CLIENT, days=365, least_days=60)]) == ["northgate"]
    assert authority.certificate("northgate").serial_number != first


def test_a_file_that_was_lost_is_made_again(authority: Authority) -> None:
    authority.ensure([broker_certificate(1)])
    authority.files("broker-1").keystore.unlink()
    assert authority.ensure([broker_certificate(1)]) == ["broker-1"]


def test_a_keystore_holds_the_key_the_leaf_and_the_issuing_authority(authority: Authority) -> None:
    authority.ensure([broker_certificate(1)])
    content = authority.files("broker-1").keystore.read_bytes()
    leaf, issuing = x509.load_pem_x509_certificates(content)
    assert leaf.issuer == issuing.subject
    key = load_pem_private_key(content, None)
    assert key.public_key() == leaf.public_key()
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["localhost", "broker-1.kafka.example"]


def test_keys_are_for_the_owner_alone(authority: Authority) -> None:
    authority.ensure([broker_certificate(1)])
    for path in authority.directory.iterdir():
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert stat.S_IMODE(authority.directory.stat().st_mode) == 0o700
