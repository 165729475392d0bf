"""The demo's certificate hierarchy: root -> issuing authority -> brokers, clients and the schema registry. PEM files.

Lifetimes are chosen to be looked at: one broker is due for rotation, one client's certificate ends in 20 days, another's
has ended. What is there stays as long as it still tells that story; what no longer does is issued anew.
"""

import ipaddress
import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

ORGANIZATION = "Ops Portal Demo"
YEAR_DAYS = 365
_ROOT_DAYS, _ROOT_AGE_DAYS = 10 * YEAR_DAYS, 2 * YEAR_DAYS
_ISSUING_DAYS, _ISSUING_AGE_DAYS = 5 * YEAR_DAYS, 500
_PEM, _PKCS8 = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8


class Kind(StrEnum):
    """What a certificate is for; its organisational unit and its key usages follow from it."""

    BROKER = "broker"
    CLIENT = "client"
    REGISTRY = "registry"


_UNITS = {Kind.BROKER: "brokers", Kind.CLIENT: "clients", Kind.REGISTRY: "registries"}
_USAGES = {
    Kind.BROKER: (ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH),
    Kind.CLIENT: (ExtendedKeyUsageOID.CLIENT_AUTH,),
    Kind.REGISTRY: (ExtendedKeyUsageOID.SERVER_AUTH,),
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """A certificate as it is to be: `days` left when it is issued (negative: ended so long ago).

    An existing one is kept while at least `least_days` are left; None keeps it for good.
    """

    name: str
    kind: Kind
    days: float = YEAR_DAYS - 10.0
    least_days: float | None = 30.0
    hosts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Files:
    """Where a certificate lies: `chain` is leaf and issuing authority, `key` is PKCS 8, `keystore` is key and chain."""

    chain: Path
    key: Path
    keystore: Path


class Authority:
    """A root and an issuing authority in `directory`, made on first use; keys are readable by the owner alone."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        directory.mkdir(parents=True, exist_ok=True, mode=0o700)
        if not self._path("issuing.key").exists():
            self._found()
        self._issuer = x509.load_pem_x509_certificate(self._path("issuing.pem").read_bytes())
        key = serialization.load_pem_private_key(self._path("issuing.key").read_bytes(), None)
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise TypeError(f"{self._path('issuing.key')} is no key of this authority")
        self._key = key

    @property
    def root(self) -> Path:
        """The root certificate: what everybody trusts."""
        return self._path("root.pem")

    @property
    def issuing(self) -> Path:
        """The issuing authority's certificate."""
        return self._path("issuing.pem")

    def files(self, name: str) -> Files:
        """Where the certificate `name` lies or will lie."""
        return Files(self._path(f"{name}.pem"), self._path(f"{name}.key"), self._path(f"{name}.keystore.pem"))

    def certificate(self, name: str) -> x509.Certificate:
        """The newest certificate issued under `name`. OSError when there is none."""
        return x509.load_pem_x509_certificate(self.files(name).chain.read_bytes())

    def ensure(self, wanted: Iterable[Wanted]) -> list[str]:
        """Issue what is missing or has too few days left; the names of those."""
        due = [one for one in wanted if self._due(one)]
        for one in due:
            self.issue(one)
        return [one.name for one in due]

    def issue(self, wanted: Wanted) -> x509.Certificate:
        """A new key and certificate in place of the old ones."""
        key = ec.generate_private_key(ec.SECP256R1())
        ends = _now() + timedelta(days=wanted.days)
        begins = min(ends - timedelta(days=YEAR_DAYS), _now() - timedelta(minutes=5))
        builder = _builder(
            _subject(wanted.name, _UNITS[wanted.kind]), self._issuer.subject, key.public_key(), begins, ends
        )
        builder = builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        builder = builder.add_extension(_leaf_usage(), critical=True)
        builder = builder.add_extension(x509.ExtendedKeyUsage(_USAGES[wanted.kind]), critical=False)
        builder = builder.add_extension(_signed_by(self._key), critical=False)
        if wanted.hosts:
            names = x509.SubjectAlternativeName([_host(host) for host in wanted.hosts])
            builder = builder.add_extension(names, critical=False)
        certificate = builder.sign(self._key, hashes.SHA256())
        chain, secret = _pem(certificate) + _pem(self._issuer), _key_pem(key)
        files = self.files(wanted.name)
        _write(files.chain, chain)
        _write(files.key, secret)
        _write(files.keystore, secret + chain)
        return certificate

    def _due(self, wanted: Wanted) -> bool:
        files = self.files(wanted.name)
        if not all(path.exists() for path in (files.chain, files.key, files.keystore)):
            return True
        if wanted.least_days is None:
            return False
        left = self.certificate(wanted.name).not_valid_after_utc - _now()
        return left < timedelta(days=wanted.least_days)

    def _found(self) -> None:
        root_key, key = ec.generate_private_key(ec.SECP384R1()), ec.generate_private_key(ec.SECP384R1())
        name = _subject("Ops Portal Demo Root CA", "authorities")
        begins = _now() - timedelta(days=_ROOT_AGE_DAYS)
        root = _builder(name, name, root_key.public_key(), begins, begins + timedelta(days=_ROOT_DAYS))
        root = _authority(root, path_length=1)
        begins = _now() - timedelta(days=_ISSUING_AGE_DAYS)
        ends = begins + timedelta(days=_ISSUING_DAYS)
        issuing = _builder(_subject("Ops Portal Demo Kafka CA", "authorities"), name, key.public_key(), begins, ends)
        issuing = _authority(issuing, path_length=0).add_extension(_signed_by(root_key), critical=False)
        _write(self._path("root.pem"), _pem(root.sign(root_key, hashes.SHA384())))
        _write(self._path("issuing.pem"), _pem(issuing.sign(root_key, hashes.SHA384())))
        _write(self._path("root.key"), _key_pem(root_key))
        _write(self._path("issuing.key"), _key_pem(key))  # last: its presence says that all are there

    def _path(self, name: str) -> Path:
        return self.directory / name


def broker_name(number: int) -> str:
    return f"broker-{number}"


def broker_certificate(number: int, *, days: float = YEAR_DAYS - 10.0) -> Wanted:
    """A broker's certificate, good for every loopback name and a made-up host name of its own."""
    hosts = ("localhost", "127.0.0.1", f"{broker_name(number)}.kafka.example")
    return Wanted(broker_name(number), Kind.BROKER, days=days, hosts=hosts)


def client_properties(authority: Authority, name: str) -> dict[str, str]:
    """What a client of librdkafka needs to come as `name`."""
    files = authority.files(name)
    return {
        "security.protocol": "SSL",
        "ssl.ca.location": str(authority.root),
        "ssl.certificate.location": str(files.chain),
        "ssl.key.location": str(files.key),
    }


def _now() -> datetime:
    return datetime.fromtimestamp(time.time(), UTC)  # brokers and clients judge by the machine's clock


def _subject(name: str, unit: str) -> x509.Name:
    parts = (
        (NameOID.ORGANIZATION_NAME, ORGANIZATION),
        (NameOID.ORGANIZATIONAL_UNIT_NAME, unit),
        (NameOID.COMMON_NAME, name),
    )
    return x509.Name([x509.NameAttribute(kind, text) for kind, text in parts])


def _builder(
    subject: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePublicKey, begins: datetime, ends: datetime
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
    )


def _authority(builder: x509.CertificateBuilder, *, path_length: int) -> x509.CertificateBuilder:
    return builder.add_extension(x509.BasicConstraints(ca=True, path_length=path_length), critical=True).add_extension(
        _usage("key_cert_sign", "crl_sign"), critical=True
    )


def _leaf_usage() -> x509.KeyUsage:
    return _usage("digital_signature")


def _usage(*names: str) -> x509.KeyUsage:
    every: Sequence[str] = (
        "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement",
        "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
    )  # fmt: skip
    return x509.KeyUsage(**{name: name in names for name in every})


def _signed_by(key: ec.EllipticCurvePrivateKey) -> x509.AuthorityKeyIdentifier:
    return x509.AuthorityKeyIdentifier.from_issuer_public_key(key.public_key())


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(_PEM)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(_PEM, _PKCS8, serialization.NoEncryption())


def _write(path: Path, content: bytes) -> None:
    """Whole or not at all: a broker may be told to read the file at any moment."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as handle:
        handle.write(content)
    draft.replace(path)
