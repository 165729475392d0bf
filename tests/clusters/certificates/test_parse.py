"""Certificates out of every form of file; what cannot be read says why, and nothing that comes in makes the reader fall over."""

import base64
import subprocess
import time
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs7, pkcs12
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clusters.chains import LARGEST_BUNDLE, NotACertificate, Reason, Unreadable, der, java_trust, parse, read
from clusters.chains.facts import Certificate
from clusters.chains.parse import MOST_ROUNDS
from tests.clusters.certificates.make import authority, leaf, root
from tests.programs import program

TOP = root()
LOW = authority(TOP)
END = leaf(LOW)
ALL = [END, LOW, TOP]
PEM = b"".join(one.pem for one in ALL)
PASSWORD = "sesame-sesame"


def found(data: bytes, *passwords: str) -> list[str]:
    return [one.common_name for one in parse(data, passwords).certificates]


def refused(data: bytes, *passwords: str) -> Reason:
    with pytest.raises(Unreadable) as refusal:
        parse(data, passwords)
    assert refusal.value.message.endswith(".")
    return refusal.value.reason


NAMES = ["kafka-1", "Northgate Kafka CA", "Northgate Root CA"]


def test_a_pem_bundle_with_a_key_and_text_gives_its_certificates() -> None:
    bundle = parse(b"Bag Attributes\n    friendlyName: x\n" + END.key_pem + PEM)
    assert [one.common_name for one in bundle.certificates] == NAMES
    assert (bundle.form, bundle.problems) == ("pem", ())


def test_line_ends_and_encodings_of_other_systems() -> None:
    assert found(PEM.replace(b"\n", b"\r\n")) == NAMES
    assert found(b"\xef\xbb\xbf" + PEM) == NAMES
    assert found(PEM.decode().encode("utf-16")) == NAMES
    assert found(base64.encodebytes(END.der)) == ["kafka-1"]


def test_old_and_own_labels_of_pem(tmp_path: Path) -> None:
    assert found(END.pem.replace(b"CERTIFICATE", b"X509 CERTIFICATE")) == ["kafka-1"]
    (tmp_path / "in").write_bytes(TOP.pem)
    made = subprocess.run(
        ["openssl", "x509", "-in", "in", "-addtrust", "serverAuth", "-trustout"],
        cwd=tmp_path, capture_output=True, check=True, timeout=20,
    )  # fmt: skip
    assert b"TRUSTED CERTIFICATE" in made.stdout
    assert found(made.stdout) == ["Northgate Root CA"]


def test_a_repeated_certificate_counts_once_and_is_told() -> None:
    bundle = parse(PEM + END.pem)
    assert len(bundle.certificates) == 3
    assert "repeats kafka-1" in bundle.problems[0]


def test_one_broken_block_costs_no_other() -> None:
    lines = LOW.pem.splitlines(keepends=True)
    broken = lines[0] + b"!!!!\n" + b"".join(lines[2:])
    bundle = parse(END.pem + broken + TOP.pem)
    assert [one.common_name for one in bundle.certificates] == ["kafka-1", "Northgate Root CA"]
    assert "is not base64" in bundle.problems[0]


def test_der_alone_and_in_a_row() -> None:
    assert found(END.der) == ["kafka-1"]
    assert found(b"".join(one.der for one in ALL)) == NAMES
    bundle = parse(END.der + b"\x30\x82\x01")
    assert "no whole certificate" in bundle.problems[0]


def test_pkcs7_in_both_encodings() -> None:
    certificates = [one.certificate.parsed for one in ALL]
    for encoding in (serialization.Encoding.DER, serialization.Encoding.PEM):
        assert sorted(found(pkcs7.serialize_certificates(certificates, encoding))) == sorted(NAMES)


def sealed(password: str | None, *, key: bool = True) -> bytes:
    lock = serialization.BestAvailableEncryption(password.encode()) if password else serialization.NoEncryption()
    own = (END.key, END.certificate.parsed) if key else (None, None)
    others = [one.certificate.parsed for one in (ALL[1:] if key else ALL)]
    return pkcs12.serialize_key_and_certificates(b"kafka", own[0], own[1], others, lock)


def test_every_certificate_of_a_pkcs12_is_found() -> None:
    assert found(sealed(PASSWORD), PASSWORD) == NAMES
    assert found(sealed(PASSWORD), "wrong", PASSWORD) == NAMES
    assert found(sealed(None)) == NAMES
    assert found(sealed(PASSWORD, key=False), PASSWORD) == NAMES


def test_passwords_of_pkcs12() -> None:
    assert refused(sealed(PASSWORD)) is Reason.PASSWORD_NEEDED
    assert refused(sealed(PASSWORD), "wrong") is Reason.WRONG_PASSWORD


def test_a_pkcs12_that_asks_for_endless_work_is_refused_unopened() -> None:
    data = sealed(PASSWORD)
    rounds = der.key_derivation_rounds(data)
    assert rounds is not None
    assert 1 <= rounds <= 1_000_000
    old = b"\x02" + bytes([(rounds.bit_length() // 8) + 1]) + rounds.to_bytes(rounds.bit_length() // 8 + 1, "big")
    endless = data.replace(old, old[:2] + b"\x7f" + b"\xff" * (len(old) - 3))
    assert der.key_derivation_rounds(b"\x30\x0c\x04\x02ab\x02\x06\x00" + b"\xff" * 5) == 2**40 - 1
    if (der.key_derivation_rounds(endless) or 0) > MOST_ROUNDS:
        assert refused(endless, PASSWORD) is Reason.MALFORMED_STORE


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Stores that Java's own tool made."""
    keytool = program("keytool", "default-jre-headless")
    place = tmp_path_factory.mktemp("stores")
    made = {}
    (place / "all.p12").write_bytes(sealed(PASSWORD))
    for form in ("jks", "jceks", "pkcs12"):
        common = ["-storepass", PASSWORD, "-storetype", form, "-keystore", f"trust.{form}", "-noprompt"]
        for number, one in enumerate(ALL):
            (place / f"{number}.pem").write_bytes(one.pem)
            alias = "" if form == "pkcs12" and number == 0 else f"c{number}"  # an empty name is a name
            command = [keytool, "-importcert", "-file", f"{number}.pem", "-alias", alias, *common]
            subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=60)
        made[f"trust.{form}"] = (place / f"trust.{form}").read_bytes()
    command = [
        keytool,
        "-importkeystore",
        "-srckeystore",
        "all.p12",
        "-srcstoretype",
        "PKCS12",
        "-srcstorepass",
        PASSWORD,
    ]
    command += ["-destkeystore", "key.jks", "-deststoretype", "jks", "-deststorepass", PASSWORD, "-noprompt"]
    subprocess.run(command, cwd=place, check=True, capture_output=True, timeout=60)
    made["key.jks"] = (place / "key.jks").read_bytes()
    return made


def told_of_java(data: bytes) -> str:
    """What a store without a key says of Java, as a password opens it."""
    return " ".join(text for text in parse(data, [PASSWORD]).problems if "Java" in text)


def test_a_trust_store_of_java_is_one_for_java(stores: dict[str, bytes]) -> None:
    assert sorted(found(stores["trust.pkcs12"], PASSWORD)) == sorted(NAMES)
    assert told_of_java(stores["trust.pkcs12"]) == ""
    assert refused(stores["trust.pkcs12"], "wrong") is Reason.WRONG_PASSWORD


@pytest.mark.parametrize(
    "options", [[], ["-certpbe", "NONE"], ["-nomac"], ["-certpbe", "AES-128-CBC", "-macalg", "sha1"]]
)
def test_a_trust_store_that_java_would_find_empty_says_so(options: list[str], tmp_path: Path) -> None:
    (tmp_path / "all.pem").write_bytes(b"".join(one.pem for one in ALL))
    command = ["openssl", "pkcs12", "-export", "-nokeys", "-in", "all.pem", "-out", "all.p12", *options]
    subprocess.run([*command, "-passout", f"pass:{PASSWORD}"], cwd=tmp_path, check=True, timeout=60)
    data = (tmp_path / "all.p12").read_bytes()
    assert found(data, PASSWORD) == NAMES
    assert "Java trusts nobody with it" in told_of_java(data)


def test_a_store_with_a_key_is_no_trust_store() -> None:
    assert told_of_java(sealed(PASSWORD)) == ""


def test_nothing_is_said_of_a_store_that_cannot_be_looked_into() -> None:
    own = pkcs12.PKCS12Certificate(END.certificate.parsed, b"one")
    data = pkcs12.serialize_java_truststore([own], serialization.BestAvailableEncryption(PASSWORD.encode()))
    assert told_of_java(data) == ""
    assert java_trust.without_mark(data, b"wrong") is None
    assert java_trust.without_mark(data[:-40], PASSWORD.encode()) is None


@pytest.mark.parametrize("name", ["trust.jks", "trust.jceks", "key.jks"])
def test_java_stores_are_read_with_and_without_their_password(name: str, stores: dict[str, bytes]) -> None:
    assert sorted(found(stores[name])) == sorted(NAMES)
    assert sorted(found(stores[name], PASSWORD)) == sorted(NAMES)
    assert refused(stores[name], "wrong") is Reason.WRONG_PASSWORD
    assert refused(stores[name][:-100]) is Reason.TRUNCATED


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", Reason.EMPTY),
        (b" \r\n\0", Reason.EMPTY),
        (b"hello, world", Reason.NO_CERTIFICATE),
        (END.key_pem, Reason.NO_CERTIFICATE),
        (b"-----BEGIN CERTIFICATE-----\nAAAA", Reason.TRUNCATED),
        (END.pem[:200], Reason.TRUNCATED),
        (b"-----BEGIN CERTIFICATE-----\n***\n-----END CERTIFICATE-----\n", Reason.MALFORMED_PEM),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END PRIVATE KEY-----\n", Reason.MALFORMED_PEM),
        (b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", Reason.MALFORMED_DER),
        (END.der[:100], Reason.TRUNCATED),
        (b"\x30\x03\x02\x01\x05", Reason.MALFORMED_DER),
        (b"\x30\x80\x00", Reason.TRUNCATED),
        (b"\xfe\xed\xfe\xed", Reason.TRUNCATED),
        (b"\xfe\xed\xfe\xed" + b"\x00\x00\x00\x09" * 20, Reason.MALFORMED_STORE),
        (b"\x30\x08\x02\x01\x03\x30\x03\x02\x01\x05", Reason.MALFORMED_STORE),
        (b"x" * (LARGEST_BUNDLE + 1), Reason.TOO_LARGE),
    ],
    ids=lambda value: value.value if isinstance(value, Reason) else f"{len(value)} bytes",
)
def test_what_gives_no_certificate_says_why(data: bytes, reason: Reason) -> None:
    assert refused(data) is reason


def test_a_bundle_at_its_limit_is_read_in_a_few_seconds() -> None:
    block = TOP.pem + b"# a comment\n"
    data = block * (LARGEST_BUNDLE // len(block))
    begun = time.monotonic()
    assert len(parse(data).certificates) == 1
    many = b"-----BEGIN CERTIFICATE-----\n" * (LARGEST_BUNDLE // 28)
    assert refused(many) is Reason.TRUNCATED
    assert time.monotonic() - begun < 60  # seconds would do; this only tells linear work from the square of it


@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.data())
def test_spoiled_files_are_read_or_refused_but_never_break_the_reader(data: st.DataObject) -> None:
    whole = data.draw(st.sampled_from(_SOUND))
    raw = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 8))):
        where = data.draw(st.integers(0, len(raw) - 1))
        match data.draw(st.sampled_from(["flip", "cut", "insert", "copy"])):
            case "flip":
                raw[where] ^= 1 << data.draw(st.integers(0, 7))
            case "cut":
                del raw[where : where + data.draw(st.integers(1, 40))]
            case "insert":
                raw[where:where] = data.draw(st.binary(min_size=1, max_size=12))
            case _:
                raw[where:where] = raw[: data.draw(st.integers(1, 60))]
        if not raw:
            break
    assert _outcome(bytes(raw))


@settings(max_examples=200, deadline=None)
@given(
    st.binary(max_size=300),
    st.sampled_from([b"", b"\x30", b"\xfe\xed\xfe\xed\x00\x00\x00\x02", b"-----BEGIN CERTIFICATE-----"]),
)
def test_anything_at_all_is_read_or_refused(data: bytes, begin: bytes) -> None:
    assert _outcome(begin + data)


def _outcome(data: bytes) -> str | tuple[Certificate, ...]:
    """What was read, or why nothing was; anything else that is raised fails the test."""
    try:
        bundle = parse(data, [PASSWORD])
    except Unreadable as refusal:
        return refusal.message
    assert all(isinstance(one, Certificate) for one in bundle.certificates)
    return tuple(bundle.certificates)


_SOUND = [PEM, END.der, b"".join(one.der for one in ALL), sealed(None), sealed(PASSWORD, key=False)]


# --- odd certificates -------------------------------------------------------------------------------------------------


def odd(tmp_path: Path, *options: str) -> Certificate:
    (tmp_path / "key").write_bytes(END.key_pem)
    command = ["openssl", "req", "-new", "-x509", "-key", "key", "-subj", "/CN=odd", "-days", "10", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, check=True, timeout=20)
    (one,) = parse(done.stdout).certificates
    return one


@pytest.mark.parametrize("serial", ["0", "-5"])
def test_a_serial_that_must_not_be_is_told_and_the_certificate_kept(serial: str, tmp_path: Path) -> None:
    one = odd(tmp_path, "-set_serial", serial)
    assert one.serial == serial
    assert "must be positive" in one.problems[0]


def test_a_subject_without_a_name_has_a_title_all_the_same() -> None:
    nameless = leaf(LOW, None, dns=("only.example",))
    assert nameless.certificate.title == "only.example"


def test_bytes_that_are_no_certificate_are_refused() -> None:
    for data in (b"", b"\x30\x00", b"x" * 2_000_000):
        with pytest.raises(NotACertificate):
            read(data)


def _tlv(tag: int, body: bytes) -> bytes:
    size = len(body).to_bytes(4, "big")
    return bytes([tag, 0x84]) + size + body


def test_rounds_that_are_hidden_behind_other_parts_are_not_run() -> None:
    """A PKCS#12 whose last part asks for two thousand million rounds, after more parts than are looked at or a part without a length."""
    data = bytes.fromhex("06092a864886f70d010701")

    def store(safe: bytes) -> bytes:
        seal = _tlv(0x30, _tlv(0x30, b"") + _tlv(0x04, b"12345678") + _tlv(0x02, b"\x7f\xff\xff\xff"))
        return _tlv(0x30, b"\x02\x01\x03" + _tlv(0x30, data + safe) + seal)

    plain = store(_tlv(0xA0, _tlv(0x04, _tlv(0x30, b""))))
    crowded = store(_tlv(0xA0, _tlv(0x04, _tlv(0x30, b"\x30\x00" * 150_000))))
    endless = store(b"\xa0\x80" + _tlv(0x04, _tlv(0x30, b"")) + b"\0\0")
    assert der.key_derivation_rounds(plain) == 0x7FFFFFFF
    for hidden in (crowded, endless):
        assert der.is_pkcs12(hidden)
        with pytest.raises(Unreadable, match="not in DER form") as refused:
            parse(hidden, ["made-up"])
        assert refused.value.reason is Reason.MALFORMED_STORE
