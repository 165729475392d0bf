"""Certificates out of files: PEM bundles, DER, PKCS#7, PKCS#12, Java key stores. What cannot be read says why.

Only certificates are kept. Private keys in a PEM file are passed over; those in a PKCS#12 are opened with it by the library
and dropped at once; those in a Java store stay closed. Call it from a worker: a store's key derivation takes its time.
"""

import base64
import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7, pkcs12

from clusters.chains import der, jks
from clusters.chains.facts import Certificate, NotACertificate, read
from clusters.chains.java_trust import without_mark

LARGEST_BUNDLE = 20 * 1024 * 1024  # bytes
MOST_CERTIFICATES = 20_000
MOST_PROBLEMS = 50
MOST_ROUNDS = 10_000_000  # of a key derivation: more is an attack on whoever opens the store

_BEGIN = re.compile(r"-----BEGIN ([A-Z0-9 ]{1,40})-----")
_CERTIFICATE_LABELS = {"CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE"}


class Reason(StrEnum):
    """Why a file gives no certificate."""

    EMPTY = "empty"
    TOO_LARGE = "too_large"
    NO_CERTIFICATE = "no_certificate"
    MALFORMED_PEM = "malformed_pem"
    MALFORMED_DER = "malformed_der"
    MALFORMED_STORE = "malformed_store"
    TRUNCATED = "truncated"
    PASSWORD_NEEDED = "password_needed"  # noqa: S105 - a word of ours
    WRONG_PASSWORD = "wrong_password"  # noqa: S105


class Unreadable(Exception):
    """Nothing could be read; `reason` for programs, the text is a sentence."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message


@dataclass(frozen=True, slots=True)
class Bundle:
    """The certificates of a file in its order, each once. `problems` tell of what was passed over."""

    form: str  # pem | der | pkcs7 | pkcs12 | jks | jceks
    certificates: tuple[Certificate, ...]
    problems: tuple[str, ...] = ()


@dataclass(slots=True)
class _Found:
    """What is collected while reading."""

    certificates: dict[str, Certificate] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    first: Unreadable | None = None

    def add(self, certificate: Certificate, where: str) -> None:
        if certificate.fingerprint in self.certificates:
            self.problem(Reason.MALFORMED_PEM, f"{where} repeats {certificate.title}.")
            return
        if len(self.certificates) >= MOST_CERTIFICATES:
            raise Unreadable(Reason.TOO_LARGE, f"A bundle has at most {MOST_CERTIFICATES:,} certificates.")
        self.certificates[certificate.fingerprint] = certificate

    def add_der(self, raw: bytes, where: str) -> None:
        try:
            self.add(read(raw), where)
        except NotACertificate as error:
            self.problem(Reason.MALFORMED_DER, f"{where} is no certificate: {error}.")

    def problem(self, reason: Reason, text: str) -> None:
        if self.first is None:
            self.first = Unreadable(reason, text)
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(text)

    def bundle(self, form: str, nothing: str) -> Bundle:
        if not self.certificates:
            raise self.first or Unreadable(Reason.NO_CERTIFICATE, nothing)
        return Bundle(form, tuple(self.certificates.values()), tuple(self.problems))


def parse(data: bytes, passwords: Sequence[str] = ()) -> Bundle:
    """The certificates in `data`, whatever its form. `passwords` are tried on stores. Raises Unreadable."""
    if len(data) > LARGEST_BUNDLE:
        raise Unreadable(Reason.TOO_LARGE, f"A bundle has at most {LARGEST_BUNDLE // 1024 // 1024} MB.")
    if not data.strip(b" \t\r\n\0"):
        raise Unreadable(Reason.EMPTY, "The file is empty.")
    if data[:4] in jks.MAGIC:
        return _parse_jks(data, passwords)
    if data[:1] == b"\x30":
        return _parse_der(data, passwords)
    return _parse_text(_decoded(data))


def _decoded(data: bytes) -> str:
    if data[:2] in {b"\xff\xfe", b"\xfe\xff"}:
        return data.decode("utf-16", "replace")
    return data.decode("latin-1")


def _parse_text(text: str) -> Bundle:
    found, blocks = _Found(), 0
    for label, body, line in _pem_blocks(text, found):
        blocks += 1
        where = f"The block at line {line}"
        if label in _CERTIFICATE_LABELS or label == "PKCS7":
            _add_block(found, label, body, where)
    if blocks == 0 and not found.problems:
        return _parse_bare_base64(text)
    return found.bundle("pem", "The file holds PEM blocks, but none is a certificate.")


def _pem_blocks(text: str, found: _Found) -> Iterator[tuple[str, str, int]]:
    """(label, body, line number) of each complete block, in one pass."""
    place, line, counted = 0, 1, 0
    while begin := _BEGIN.search(text, place):
        line += text.count("\n", counted, begin.start())
        counted = begin.start()
        label = begin.group(1)
        end = text.find("-----END ", begin.end())
        following = _BEGIN.search(text, begin.end())
        if end < 0 or (following and following.start() < end):
            found.problem(Reason.TRUNCATED, f"The {label.lower()} at line {line} has no end.")
            place = begin.end() if end >= 0 else len(text)
            continue
        if not text.startswith(f"-----END {label}-----", end):
            found.problem(Reason.MALFORMED_PEM, f"The {label.lower()} at line {line} ends as something else.")
        else:
            yield label, text[begin.end() : end], line
        place = end


def _add_block(found: _Found, label: str, body: str, where: str) -> None:
    try:
        raw = base64.b64decode("".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        found.problem(Reason.MALFORMED_PEM, f"{where} is not base64.")
        return
    if label == "PKCS7":
        for one in _pkcs7(raw, found, where):
            found.add(one, where)
        return
    if label == "TRUSTED CERTIFICATE":  # OpenSSL's own form: the certificate, then what it is trusted for
        raw = raw[: der.total_length(raw) or len(raw)]
    found.add_der(raw, where)


def _parse_bare_base64(text: str) -> Bundle:
    """Base64 without its first and last line, as it is pasted from a console."""
    try:
        raw = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    if raw[:1] != b"\x30":
        raise Unreadable(Reason.NO_CERTIFICATE, "This is neither PEM nor DER, PKCS#7, PKCS#12 or a Java key store.")
    found = _Found()
    found.add_der(raw, "The text")
    return found.bundle("pem", "")


def _parse_der(data: bytes, passwords: Sequence[str]) -> Bundle:
    length = der.total_length(data)
    if length is None or length > len(data):
        raise Unreadable(Reason.TRUNCATED, "The file ends before its first object does.")
    if der.is_pkcs12(data):
        return _parse_pkcs12(data, passwords)
    if der.is_pkcs7(data):
        found = _Found()
        for one in _pkcs7(data, found, "The file"):
            found.add(one, "The file")
        return found.bundle("pkcs7", "The PKCS#7 holds no certificate.")
    found, place = _Found(), 0
    while place < len(data):
        length = der.total_length(data[place : place + 16])
        if length is None or place + length > len(data):
            if data[place:].strip(b" \t\r\n\0"):
                found.problem(Reason.TRUNCATED, f"What follows byte {place} is no whole certificate.")
            break
        found.add_der(data[place : place + length], f"The object at byte {place}")
        place += length
    return found.bundle("der", "The file holds no certificate.")


def _pkcs7(raw: bytes, found: _Found, where: str) -> Iterable[Certificate]:
    try:
        loaded = pkcs7.load_der_pkcs7_certificates(raw)
        return [read(one.public_bytes(Encoding.DER)) for one in loaded]
    except (ValueError, UnsupportedAlgorithm) as error:
        found.problem(Reason.MALFORMED_DER, f"{where} is no PKCS#7 with certificates: {str(error)[:200]}.")
        return []


def _parse_pkcs12(data: bytes, passwords: Sequence[str]) -> Bundle:
    rounds = der.key_derivation_rounds(data)
    if rounds is None:
        text = "The PKCS#12 is not in DER form, or of more parts than any store has: write it anew with another tool."
        raise Unreadable(Reason.MALFORMED_STORE, text)
    if rounds > MOST_ROUNDS:
        raise Unreadable(Reason.MALFORMED_STORE, "The PKCS#12 asks for an absurd number of key derivation rounds.")
    store, opened_with = None, b""
    for password in (None, *(word.encode() for word in ("", *passwords))):
        try:
            store = pkcs12.load_pkcs12(data, password)
        except (UnsupportedAlgorithm, OverflowError, TypeError) as error:
            raise Unreadable(Reason.MALFORMED_STORE, f"The PKCS#12 cannot be read: {str(error)[:200]}.") from error
        except ValueError as error:
            if not _is_about_the_password(error):
                text = f"The PKCS#12 cannot be read: {str(error)[:200]}."
                raise Unreadable(Reason.MALFORMED_STORE, text) from error
        else:
            opened_with = password or b""
            break
    if store is None:
        if passwords:
            raise Unreadable(Reason.WRONG_PASSWORD, "The password does not open the PKCS#12.")
        raise Unreadable(Reason.PASSWORD_NEEDED, "The PKCS#12 is locked; give its password.")
    found = _Found()
    own = [store.cert] if store.cert is not None else []
    for number, one in enumerate([*own, *store.additional_certs], start=1):
        found.add_der(one.certificate.public_bytes(Encoding.DER), f"Entry {number}")
    bundle = found.bundle("pkcs12", "The PKCS#12 holds no certificate.")
    return bundle if store.key is not None else _marked(bundle, data, opened_with)


def _marked(bundle: Bundle, data: bytes, password: bytes) -> Bundle:
    """The bundle of a store without a key, with what Java would make of it."""
    count = without_mark(data, password)
    if not count:
        return bundle
    none = "trusts nobody with it" if count >= len(bundle.certificates) else f"passes over {count} of them"
    text = f"As a trust store Java {none}: its mark of trust is missing. Write the store with keytool -importcert."
    return replace(bundle, problems=(text, *bundle.problems))


def _is_about_the_password(error: ValueError) -> bool:
    return "password" in str(error).lower() or "mac" in str(error).lower()


def _parse_jks(data: bytes, passwords: Sequence[str]) -> Bundle:
    try:
        store = jks.read_store(data)
    except jks.Truncated as error:
        raise Unreadable(Reason.TRUNCATED, f"The Java key store is cut: {error}.") from error
    except jks.Malformed as error:
        raise Unreadable(Reason.MALFORMED_STORE, f"The Java key store cannot be read: {error}.") from error
    if passwords and not any(store.opens_with(word) for word in passwords):
        raise Unreadable(Reason.WRONG_PASSWORD, "The password is not that of the Java key store.")
    found = _Found(problems=list(store.problems))
    for alias, raw in store.certificates:
        found.add_der(raw, f"Entry {alias!r}")
    return found.bundle(store.form, "The Java key store holds no certificate.")
