"""Certificates of any kind, right and wrong, for tests. Keys are made once per process: they are the slow part."""

import functools
import ipaddress
import itertools
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed25519, padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clusters.chains import Certificate, read

NOW = datetime(2026, 6, 1, 12, 0, 0, tzinfo=UTC)
HOST = "kafka-1.northgate.example"
DAY = timedelta(days=1)
SERVER, CLIENT = ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH

_numbers = itertools.count(1)


@functools.cache
def key(kind: str, number: int = 0) -> Any:
    """A private key; the same for the same arguments."""
    match kind:
        case "ec256":
            return ec.generate_private_key(ec.SECP256R1())
        case "ec384":
            return ec.generate_private_key(ec.SECP384R1())
        case "ec224":
            return ec.generate_private_key(ec.SECP224R1())
        case "ec192":
            return ec.generate_private_key(ec.SECP192R1())
        case "ed25519":
            return ed25519.Ed25519PrivateKey.generate()
        case "dsa1024":
            return dsa.generate_private_key(1024)  # noqa: S505 - weak on purpose
        case _:
            return rsa.generate_private_key(65537, int(kind.removeprefix("rsa")))


@dataclass(frozen=True)
class Made:
    """A certificate with its key."""

    certificate: Certificate
    key: Any = field(repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.der

    @property
    def pem(self) -> bytes:
        return self.certificate.parsed.public_bytes(serialization.Encoding.PEM)

    @property
    def key_pem(self) -> bytes:
        return bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )


def name(common: str | None, *more: tuple[x509.ObjectIdentifier, str]) -> x509.Name:
    parts = [x509.NameAttribute(oid, value) for oid, value in more]
    return x509.Name([*parts, *([x509.NameAttribute(NameOID.COMMON_NAME, common)] if common is not None else [])])


_CA_USAGE = ("key_cert_sign", "crl_sign")
_LEAF_USAGE = ("digital_signature",)
_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
    "crl_sign", "encipher_only", "decipher_only",
)  # fmt: skip


def usage(*names: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{one: one in names for one in _USAGES})


def make(
    subject: str | x509.Name | None,
    issuer: Made | None = None,
    *,
    ca: bool | None = None,
    path_length: int | None = None,
    kind: str = "ec256",
    number: int | None = None,
    begins: datetime = NOW - 100 * DAY,
    ends: datetime = NOW + 200 * DAY,
    dns: Sequence[str] = (),
    ips: Sequence[str] = (),
    key_usage: tuple[str, ...] | None = None,
    extended: Sequence[x509.ObjectIdentifier] | None = None,
    algorithm: Any = "default",
    key_ids: bool = True,
    serial: int | None = None,
    signing_key: Any = None,
    issuer_name: x509.Name | None = None,
    authority: x509.AuthorityKeyIdentifier | None = None,
    extra: Sequence[tuple[x509.ExtensionType, bool]] = (),
) -> Made:
    """A certificate of `subject`, signed by `issuer` or by itself."""
    own = key(kind, next(_numbers) if number is None else number)
    subject_name = subject if isinstance(subject, x509.Name) else name(subject)
    signer = signing_key or (issuer.key if issuer else own)
    if issuer_name is None:
        issuer_name = issuer.certificate.parsed.subject if issuer else subject_name
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject_name)
        .issuer_name(issuer_name)
        .public_key(own.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begins)
        .not_valid_after(ends)
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=path_length), critical=True)
    if key_usage:
        builder = builder.add_extension(usage(*key_usage), critical=True)
    if extended is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(extended), critical=False)
    names: list[x509.GeneralName] = [x509.DNSName(one) for one in dns]
    names += [x509.IPAddress(ipaddress.ip_address(one)) for one in ips]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    if key_ids:
        builder = builder.add_extension(x509.SubjectKeyIdentifier.from_public_key(own.public_key()), critical=False)
        of = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key() if issuer else own.public_key())
        builder = builder.add_extension(authority or of, critical=False)
    for extension, critical in extra:
        builder = builder.add_extension(extension, critical=critical)
    if algorithm == "default":
        algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    made = builder.sign(signer, algorithm)
    return Made(read(made.public_bytes(serialization.Encoding.DER)), own)


def root(subject: str | x509.Name = "Northgate Root CA", **options: Any) -> Made:
    given: dict[str, Any] = {"ca": True, "key_usage": _CA_USAGE, "begins": NOW - 1000 * DAY, "ends": NOW + 2650 * DAY}
    return make(subject, **given | options)


def authority(issuer: Made, subject: str = "Northgate Kafka CA", **options: Any) -> Made:
    given: dict[str, Any] = {"ca": True, "key_usage": _CA_USAGE, "begins": NOW - 500 * DAY, "ends": NOW + 1300 * DAY}
    return make(subject, issuer, **given | options)


def leaf(issuer: Made | None, subject: str | x509.Name | None = "kafka-1", **options: Any) -> Made:
    given: dict[str, Any] = {"ca": False, "key_usage": _LEAF_USAGE, "extended": [SERVER], "dns": [HOST]}
    return make(subject, issuer, **given | options)


_OIDS = {"sha1": "2a864886f70d010105", "md5": "2a864886f70d010104"}


def resigned(made: Made, signer: Made, algorithm: str) -> Made:
    """The same certificate signed with a hash that the library no longer signs with. `signer` has an RSA key."""
    old, new = bytes.fromhex("2a864886f70d01010b"), bytes.fromhex(_OIDS[algorithm])
    der = made.der.replace(old, new)
    body = made.certificate.parsed.tbs_certificate_bytes.replace(old, new)
    digest = {"sha1": hashes.SHA1(), "md5": hashes.MD5()}[algorithm]  # noqa: S303 - weak on purpose
    signature = signer.key.sign(body, padding.PKCS1v15(), digest)
    return Made(read(der[: -len(signature)] + signature), made.key)


def spoiled(made: Made) -> Made:
    """The same certificate with a signature that is wrong in one bit."""
    return Made(read(made.der[:-1] + bytes([made.der[-1] ^ 1])), made.key)


def version_one(made: Made, signer: Made) -> Made:
    """As `made`, in version 1: without extensions."""
    with TemporaryDirectory() as place:
        folder = Path(place)
        (folder / "key").write_bytes(made.key_pem)
        (folder / "ca").write_bytes(signer.pem)
        (folder / "cakey").write_bytes(signer.key_pem)
        subject = "/" + made.certificate.parsed.subject.rfc4514_string()
        run = functools.partial(subprocess.run, cwd=folder, check=True, capture_output=True, timeout=20)
        run(["openssl", "req", "-new", "-key", "key", "-subj", subject, "-out", "csr"])
        days = ["-days", "36500", "-set_serial", "77"]
        if signer is made:
            run(["openssl", "x509", "-req", "-in", "csr", "-signkey", "key", "-out", "crt", *days])
        else:
            run(["openssl", "x509", "-req", "-in", "csr", "-CA", "ca", "-CAkey", "cakey", "-out", "crt", *days])
        pem = x509.load_pem_x509_certificate((folder / "crt").read_bytes())
    return Made(read(pem.public_bytes(serialization.Encoding.DER)), made.key)
