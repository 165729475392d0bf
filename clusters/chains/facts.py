"""What a certificate says of itself, read once and kept as plain values. Oddities are facts too, never a reason to drop one."""

import hashlib
import warnings
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

LARGEST_CERTIFICATE = 1024 * 1024  # bytes; a real one has a few thousand

NameKey = tuple[tuple[tuple[str, str], ...], ...]

# What is understood here; another extension that is marked critical makes a certificate unusable.
_HANDLED = frozenset(
    {
        ExtensionOID.KEY_USAGE,
        ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
        ExtensionOID.BASIC_CONSTRAINTS,
        ExtensionOID.CERTIFICATE_POLICIES,
        ExtensionOID.CRL_DISTRIBUTION_POINTS,
        ExtensionOID.EXTENDED_KEY_USAGE,
        ExtensionOID.POLICY_CONSTRAINTS,
        ExtensionOID.NAME_CONSTRAINTS,
        ExtensionOID.POLICY_MAPPINGS,
        ExtensionOID.INHIBIT_ANY_POLICY,
        x509.ObjectIdentifier("2.16.840.1.113730.1.1"),  # Netscape's certificate type
    }
)
_KEY_USAGES = (
    "digital_signature", "content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "key_cert_sign",
    "crl_sign",
)  # fmt: skip


class NotACertificate(ValueError):
    """These bytes are no certificate; the text says why."""


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate. Equal when the bytes are equal. Times are aware UTC, `serial` lower-case hex (with - when negative).

    `key_usage` and `extended_usage` are None where the extension is absent, `is_ca` where basic constraints are.
    `problems` are sentences on what breaks the rules of X.509.
    """

    der: bytes
    fingerprint: str = field(compare=False)  # SHA-256 of the bytes, hex
    spki: str = field(compare=False)  # SHA-256 of the public key, hex: the same after a renewal that kept the key
    subject: str = field(compare=False)  # RFC 4514
    issuer: str = field(compare=False)
    common_name: str = field(compare=False)
    subject_key: NameKey = field(compare=False, repr=False)
    issuer_key: NameKey = field(compare=False, repr=False)
    serial: str = field(compare=False)
    version: int = field(compare=False)
    not_before: datetime = field(compare=False)
    not_after: datetime = field(compare=False)
    key_type: str = field(compare=False)
    key_bits: int | None = field(compare=False)
    signature: str = field(compare=False)
    signature_hash: str | None = field(compare=False)  # None where the scheme has its own (Ed25519)
    is_ca: bool | None = field(compare=False)
    path_length: int | None = field(compare=False)
    key_usage: frozenset[str] | None = field(compare=False)
    extended_usage: frozenset[str] | None = field(compare=False)  # dotted
    dns_names: tuple[str, ...] = field(compare=False)
    ip_names: tuple[str, ...] = field(compare=False)
    other_names: tuple[str, ...] = field(compare=False)
    subject_key_id: str | None = field(compare=False)
    authority_key_id: str | None = field(compare=False)
    authority_serial: str | None = field(compare=False)
    unhandled_critical: tuple[str, ...] = field(compare=False)
    problems: tuple[str, ...] = field(compare=False)
    parsed: x509.Certificate = field(compare=False, repr=False)
    constraints: x509.NameConstraints | None = field(compare=False, repr=False)

    @property
    def self_issued(self) -> bool:
        return self.subject_key == self.issuer_key

    @property
    def looks_self_signed(self) -> bool:
        """Same name, and no key identifiers that tell two keys apart: OpenSSL's rule, without the signature."""
        ids = (self.authority_key_id, self.subject_key_id)
        return self.self_issued and (None in ids or ids[0] == ids[1])

    @property
    def title(self) -> str:
        """How a sentence names it."""
        return self.common_name or self.subject or (self.dns_names or ("a certificate without a name",))[0]

    @property
    def lifetime_days(self) -> float:
        return (self.not_after - self.not_before).total_seconds() / 86_400


def read(der: bytes) -> Certificate:
    """The facts of one DER certificate. Raises NotACertificate."""
    if len(der) > LARGEST_CERTIFICATE:
        raise NotACertificate(f"a certificate has at most {LARGEST_CERTIFICATE // 1024} KB")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd serials and versions are told as problems
        try:
            return _read(der)
        except (ValueError, x509.InvalidVersion, UnsupportedAlgorithm, OverflowError) as error:
            raise NotACertificate(_short(error)) from error


def _read(der: bytes) -> Certificate:
    found = x509.load_der_x509_certificate(der)
    problems: list[str] = []
    extensions = _extensions(found, problems)
    serial = found.serial_number
    if serial <= 0:
        problems.append(f"its serial number is {serial}; it must be positive")
    not_before, not_after = found.not_valid_before_utc, found.not_valid_after_utc
    if not_after < not_before:
        problems.append("it ends before it begins")
    basic = _value(extensions, x509.BasicConstraints)
    usage = _value(extensions, x509.KeyUsage)
    extended = _value(extensions, x509.ExtendedKeyUsage)
    own_id, authority = _value(extensions, x509.SubjectKeyIdentifier), _value(extensions, x509.AuthorityKeyIdentifier)
    names = _value(extensions, x509.SubjectAlternativeName)
    spki, key_type, key_bits = _key(found, problems)
    return Certificate(
        der=der,
        fingerprint=hashlib.sha256(der).hexdigest(),
        spki=spki,
        subject=_text(found.subject),
        issuer=_text(found.issuer),
        common_name=_common_name(found.subject),
        subject_key=name_key(found.subject),
        issuer_key=name_key(found.issuer),
        serial=hex_serial(serial),
        version=found.version.value + 1,
        not_before=not_before,
        not_after=not_after,
        key_type=key_type,
        key_bits=key_bits,
        signature=getattr(found.signature_algorithm_oid, "_name", found.signature_algorithm_oid.dotted_string),
        signature_hash=_hash_name(found),
        is_ca=None if basic is None else basic.ca,
        path_length=None if basic is None else basic.path_length,
        key_usage=None if usage is None else frozenset(name for name in _KEY_USAGES if getattr(usage, name)),
        extended_usage=None if extended is None else frozenset(oid.dotted_string for oid in extended),
        dns_names=() if names is None else tuple(map(_shown, names.get_values_for_type(x509.DNSName))),
        ip_names=() if names is None else tuple(str(ip) for ip in names.get_values_for_type(x509.IPAddress)),
        other_names=() if names is None else _other_names(names),
        subject_key_id=None if own_id is None else own_id.digest.hex(),
        authority_key_id=authority.key_identifier.hex() if authority and authority.key_identifier else None,
        authority_serial=(
            hex_serial(authority.authority_cert_serial_number)
            if authority and authority.authority_cert_serial_number is not None
            else None
        ),
        unhandled_critical=tuple(
            oid.dotted_string for oid, (critical, _) in extensions.items() if critical and oid not in _HANDLED
        ),
        problems=tuple(problems),
        parsed=found,
        constraints=_value(extensions, x509.NameConstraints),
    )


def hex_serial(serial: int) -> str:
    return f"-{-serial:x}" if serial < 0 else f"{serial:x}"


Extensions = dict[x509.ObjectIdentifier, tuple[bool, Any]]


def _extensions(found: x509.Certificate, problems: list[str]) -> Extensions:
    try:
        return {one.oid: (one.critical, one.value) for one in found.extensions}
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        problems.append(f"its extensions cannot be read: {_short(error)}")
        return {}


def _value(extensions: Extensions, kind: type[Any]) -> Any:
    return extensions.get(kind.oid, (False, None))[1]


def _key(found: x509.Certificate, problems: list[str]) -> tuple[str, str, int | None]:
    """SHA-256 of the public key's bytes, its type and size in bits."""
    try:
        key = found.public_key()
    except (ValueError, UnsupportedAlgorithm) as error:
        problems.append(f"its public key cannot be read: {_short(error)}")
        raw = found.public_key_algorithm_oid.dotted_string.encode() + found.fingerprint(hashes.SHA256())
        return hashlib.sha256(raw).hexdigest(), "unknown", None
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    spki = hashlib.sha256(key.public_bytes(serialization.Encoding.DER, form)).hexdigest()
    match key:
        case rsa.RSAPublicKey():
            return spki, "RSA", key.key_size
        case ec.EllipticCurvePublicKey():
            return spki, "EC", key.key_size
        case dsa.DSAPublicKey():
            return spki, "DSA", key.key_size
        case ed25519.Ed25519PublicKey():
            return spki, "Ed25519", 256
        case ed448.Ed448PublicKey():
            return spki, "Ed448", 456
        case _:
            return spki, type(key).__name__, None


def _hash_name(found: x509.Certificate) -> str | None:
    try:
        algorithm = found.signature_hash_algorithm
    except (UnsupportedAlgorithm, ValueError):
        return "unknown"
    return None if algorithm is None else algorithm.name


def _text(name: x509.Name) -> str:
    return name.rfc4514_string()


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return _shown(_as_text(found[-1].value)) if found else ""


def name_key(name: x509.Name) -> NameKey:
    """The name as it is compared: case and runs of spaces do not count (RFC 5280, 7.1)."""
    return tuple(
        tuple(sorted((one.oid.dotted_string, " ".join(_as_text(one.value).split()).casefold()) for one in rdn))
        for rdn in name.rdns
    )


def _as_text(value: str | bytes) -> str:
    return value.hex() if isinstance(value, bytes) else value


def _other_names(names: x509.SubjectAlternativeName) -> tuple[str, ...]:
    found = [f"email:{one}" for one in names.get_values_for_type(x509.RFC822Name)]
    found += [f"uri:{one}" for one in names.get_values_for_type(x509.UniformResourceIdentifier)]
    return tuple(map(_shown, found))


def _shown(name: str) -> str:
    """The name with a mark for NUL, which no database keeps and no real name holds; dropped, it would make another name."""
    return name.replace("\0", "\ufffd")


def _short(error: Exception) -> str:
    return (str(error) or type(error).__name__).splitlines()[0][:200]
