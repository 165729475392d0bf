"""What can be wrong with one link of a chain. Each function says it in one sentence, or nothing."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, padding, rsa

from clusters.chains.facts import Certificate
from clusters.chains.verdicts import ChainVerdict, Purpose

SMALLEST_RSA = 2048
SMALLEST_EC = 256
WEAK_HASHES = frozenset({"md2", "md4", "md5", "sha1"})

_SERVER_AUTH, _CLIENT_AUTH = "1.3.6.1.5.5.7.3.1", "1.3.6.1.5.5.7.3.2"
_GATED_CRYPTO = {"1.3.6.1.4.1.311.10.3.3", "2.16.840.1.113730.4.1"}  # older words for the same as server use
_SERVER_KEY_USAGES = {"digital_signature", "key_encipherment", "key_agreement"}
_CLIENT_KEY_USAGES = {"digital_signature", "key_agreement"}


@dataclass(frozen=True, slots=True)
class Defect:
    """One thing wrong with the certificate at `depth` (0 = leaf). `text` is a sentence."""

    depth: int
    verdict: ChainVerdict
    text: str


def day(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%d %H:%M:%S UTC")


def time_defect(certificate: Certificate, depth: int, at: datetime) -> Defect | None:
    """Valid from the first to the last second named, both included (RFC 5280, 4.1.2.5)."""
    if at < certificate.not_before:
        return Defect(
            depth, ChainVerdict.NOT_YET_VALID, f"{certificate.title} is not valid before {day(certificate.not_before)}."
        )
    if at > certificate.not_after:
        return Defect(depth, ChainVerdict.EXPIRED, f"{certificate.title} has expired on {day(certificate.not_after)}.")
    return None


def key_defect(certificate: Certificate, depth: int) -> Defect | None:
    bits, kind = certificate.key_bits, certificate.key_type
    if bits is None or (kind == "RSA" and bits < SMALLEST_RSA) or (kind == "EC" and bits < SMALLEST_EC):
        size = f"{kind} key of {bits} bits" if bits else "key of an unknown kind"
        return Defect(depth, ChainVerdict.WEAK_KEY, f"{certificate.title} has a {size}.")
    if kind == "DSA" and bits < SMALLEST_RSA:
        return Defect(depth, ChainVerdict.WEAK_KEY, f"{certificate.title} has a DSA key of {bits} bits.")
    return None


def hash_defect(certificate: Certificate, depth: int) -> Defect | None:
    if certificate.signature_hash in WEAK_HASHES:
        name = certificate.signature_hash.upper() if certificate.signature_hash else ""
        return Defect(
            depth, ChainVerdict.WEAK_SIGNATURE, f"{certificate.title} is signed with {name}, which can be forged."
        )
    return None


def may_sign_certificates(certificate: Certificate) -> bool:
    """Whether it is an authority, as OpenSSL decides it: version 1 roots and a bare key usage count."""
    if certificate.key_usage is not None and "key_cert_sign" not in certificate.key_usage:
        return False
    if certificate.is_ca is not None:
        return certificate.is_ca
    return (certificate.version == 1 and certificate.self_issued) or certificate.key_usage is not None


def usage_defect(certificate: Certificate, depth: int, purpose: Purpose) -> Defect | None:
    """Extended usage counts on authorities too: one that names uses allows its leaves no others."""
    if purpose is Purpose.ANY:
        return None
    server = purpose is Purpose.SERVER
    wanted = {_SERVER_AUTH} | _GATED_CRYPTO if server else {_CLIENT_AUTH}
    if certificate.extended_usage is not None and not certificate.extended_usage & wanted:
        text = f"{certificate.title} may not be used to identify a {purpose.value}."
        return Defect(depth, ChainVerdict.WRONG_USAGE, text)
    keys = _SERVER_KEY_USAGES if server else _CLIENT_KEY_USAGES
    if depth == 0 and certificate.key_usage is not None and not certificate.key_usage & keys:
        return Defect(depth, ChainVerdict.WRONG_USAGE, f"The key usage of {certificate.title} rules out TLS.")
    return None


def structure_defects(path: Sequence[Certificate], purpose: Purpose) -> Iterator[Defect]:
    """Extensions, from the leaf up: what is not understood, who is no authority, wrong use, too many below."""
    below = 0
    for depth, one in enumerate(path):
        if one.unhandled_critical:
            oid = one.unhandled_critical[0]
            yield Defect(
                depth, ChainVerdict.UNHANDLED_EXTENSION, f"{one.title} has the unknown critical extension {oid}."
            )
        if depth and not may_sign_certificates(one):
            yield Defect(depth, ChainVerdict.NOT_A_CA, f"{one.title} has signed a certificate but is no authority.")
        if (wrong := usage_defect(one, depth, purpose)) is not None:
            yield wrong
        if depth > 1 and one.path_length is not None and below > one.path_length:
            text = f"{one.title} allows {one.path_length} authorities below it; the chain has {below}."
            yield Defect(depth, ChainVerdict.PATH_TOO_LONG, text)
        if depth and not one.self_issued:
            below += 1


def strength_defects(path: Sequence[Certificate]) -> Iterator[Defect]:
    """Keys of all, signatures of all but the last: an anchor is trusted for itself."""
    for depth, one in enumerate(path):
        if (weak := key_defect(one, depth)) is not None:
            yield weak
        if depth < len(path) - 1 and (weak := hash_defect(one, depth)) is not None:
            yield weak


def signature_defect(child: Certificate, issuer: Certificate, depth: int) -> Defect | None:
    if signed_by(child, issuer):
        return None
    return Defect(depth, ChainVerdict.BAD_SIGNATURE, f"The signature of {child.title} is not that of {issuer.title}.")


@lru_cache(maxsize=20_000)
def _verified(child: Certificate, issuer: Certificate) -> bool:
    try:
        _verify(issuer.parsed.public_key(), child)
    except (InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return False
    return True


def signed_by(child: Certificate, issuer: Certificate) -> bool:
    """Whether the issuer's key made the child's signature."""
    return _verified(child, issuer)


def _verify(key: Any, child: Certificate) -> None:
    signature, body = child.parsed.signature, child.parsed.tbs_certificate_bytes
    algorithm = child.parsed.signature_hash_algorithm
    match key:
        case rsa.RSAPublicKey():
            scheme = child.parsed.signature_algorithm_parameters
            if not isinstance(scheme, padding.PKCS1v15 | padding.PSS) or algorithm is None:
                raise InvalidSignature
            key.verify(signature, body, scheme, algorithm)
        case ec.EllipticCurvePublicKey():
            if algorithm is None:
                raise InvalidSignature
            key.verify(signature, body, ec.ECDSA(algorithm))
        case dsa.DSAPublicKey():
            if algorithm is None:
                raise InvalidSignature
            key.verify(signature, body, algorithm)
        case ed25519.Ed25519PublicKey() | ed448.Ed448PublicKey():
            key.verify(signature, body)
        case _:
            raise InvalidSignature


def may_have_issued(issuer: Certificate, child: Certificate) -> bool:
    """Whether names and key identifiers fit; the signature is looked at later."""
    if issuer.subject_key != child.issuer_key:
        return False
    ids = (child.authority_key_id, issuer.subject_key_id)
    if None not in ids and ids[0] != ids[1]:
        return False
    return child.authority_serial is None or child.authority_serial == issuer.serial
