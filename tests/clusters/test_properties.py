"""Client properties: what is let through, in librdkafka's words and in Java's."""

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import pkcs12

from clusters.properties import PropertiesRefused, check, check_bootstrap, parse_file
from tests.pki import Authority

LOGIN = (
    'org.apache.kafka.common.security.scram.ScramLoginModule required username="port\\"al" password="p=a;ss w\\\\ord";'
)


def refused(raw: dict[str, str], **options: object) -> dict[str, str]:
    with pytest.raises(PropertiesRefused) as failure:
        check(raw, **options)  # type: ignore[arg-type]
    return failure.value.fields


def test_nothing_given_is_plaintext() -> None:
    assert check({}).all == {"security.protocol": "PLAINTEXT"}


def test_a_java_file_is_translated() -> None:
    text = f"# comment\n! too\nbootstrap.servers=a:1\nsecurity.protocol = sasl_ssl\nsasl.mechanism: SCRAM-SHA-512\nsasl.jaas.config={LOGIN.replace(chr(92), chr(92) * 2)}\ngroup.id=x\n"
    found = check(parse_file(text))
    assert found.plain == {
        "security.protocol": "SASL_SSL",
        "sasl.mechanism": "SCRAM-SHA-512",
        "sasl.username": 'port"al',
    }
    assert found.secret == {"sasl.password": "p=a;ss w\\ord"}
    assert found.ignored == ("bootstrap.servers", "group.id")


def test_continued_lines_and_escapes_are_read() -> None:
    assert parse_file("a=one\\\n   two\nb\\:c : d\\u0041\\n\n\nempty=\nlast = x=y") == {
        "a": "onetwo",
        "b:c": "dA\n",
        "empty": "",
        "last": "x=y",
    }


@pytest.mark.parametrize(
    "name",
    [
        "plugin.library.paths",
        "ssl.engine.location",
        "log_cb",
        "debug",
        "sasl.kerberos.kinit.cmd",
        "ssl.keystore.foo",
        "",
    ],
)
def test_what_could_load_code_or_write_is_refused(name: str) -> None:
    assert list(refused({name: "x"})) == [name]


def test_files_are_read_for_administrators_only(tmp_path: Path) -> None:
    path = tmp_path / "ca.pem"
    path.write_text(Authority().pem, encoding="ascii")
    assert "Files cannot be named here" in refused({"ssl.ca.location": str(path)})["ssl.ca.location"]
    found = check({"ssl.ca.location": str(path)}, read_file=lambda name: Path(name).read_bytes())
    assert found.plain["security.protocol"] == "SSL"
    assert found.plain["ssl.ca.pem"].startswith("-----BEGIN CERTIFICATE")
    missing = refused({"ssl.ca.location": "/no/such"}, read_file=lambda name: Path(name).read_bytes())
    assert "cannot be read" in missing["ssl.ca.location"]


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        ({"security.protocol": "KERBEROS"}, "security.protocol"),
        ({"security.protocol": "SASL_SSL", "sasl.username": "a", "sasl.password": "b"}, "sasl.mechanism"),
        ({"sasl.mechanism": "GSSAPI", "sasl.username": "a", "sasl.password": "b"}, "sasl.mechanism"),
        ({"sasl.mechanism": "PLAIN", "sasl.username": "a"}, "sasl.password"),
        ({"ssl.ca.pem": "not a certificate"}, "ssl.ca.pem"),
        ({"ssl.certificate.pem": Authority().pem}, "ssl.key.pem"),
        ({"ssl.endpoint.identification.algorithm": "maybe"}, "ssl.endpoint.identification.algorithm"),
        ({"sasl.jaas.config": "com.sun.security.auth.module.Krb5LoginModule required;"}, "sasl.jaas.config"),
        ({"client.id": "x" * 70_000}, "client.id"),
    ],
)
def test_what_cannot_work_names_its_field(raw: dict[str, str], field: str) -> None:
    assert field in refused(raw)


def test_a_key_must_open_and_belong_to_its_certificate() -> None:
    authority = Authority()
    leaf, other = authority.issue("portal", password="sesame"), authority.issue("other")
    pair = {"ssl.certificate.pem": leaf.certificate, "ssl.key.pem": leaf.key}
    assert check(pair | {"ssl.key.password": "sesame"}).secret["ssl.key.password"] == "sesame"
    assert "does not open" in refused(pair | {"ssl.key.password": "wrong"})["ssl.key.password"]
    assert "needs its password" in refused(pair)["ssl.key.password"]
    mixed = {"ssl.certificate.pem": leaf.certificate, "ssl.key.pem": other.key}
    assert "does not belong" in refused(mixed)["ssl.key.pem"]
    assert "sesame" not in str(refused(pair | {"ssl.key.password": "sesame2"}))


def test_java_stores_are_read(tmp_path: Path) -> None:
    authority = Authority()
    leaf = authority.issue("portal")
    (tmp_path / "keys.pem").write_text(leaf.key + leaf.certificate, encoding="ascii")
    certificate = x509.load_pem_x509_certificate(leaf.certificate.encode())
    key = serialization.load_pem_private_key(leaf.key.encode(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    store = pkcs12.serialize_key_and_certificates(
        b"portal",
        key,
        certificate,
        None,
        serialization.BestAvailableEncryption(b"changeit"),
    )
    (tmp_path / "keys.p12").write_bytes(store)

    def read(name: str) -> bytes:
        return (tmp_path / name).read_bytes()

    inline = check({"ssl.truststore.type": "PEM", "ssl.truststore.certificates": authority.pem})
    assert inline.plain["ssl.ca.pem"].strip() == authority.pem.strip()
    pem = check({"ssl.keystore.type": "PEM", "ssl.keystore.location": "keys.pem"}, read_file=read)
    p12 = check({"ssl.keystore.location": "keys.p12", "ssl.keystore.password": "changeit"}, read_file=read)
    for found in (pem, p12):
        assert found.plain["ssl.certificate.pem"].strip() == leaf.certificate.strip()
        assert "PRIVATE KEY" in found.secret["ssl.key.pem"]
    wrong = refused({"ssl.keystore.location": "keys.p12", "ssl.keystore.password": "no"}, read_file=read)
    assert "ssl.keystore.password" in wrong["ssl.keystore.location"]
    assert (
        "keytool"
        in refused({"ssl.keystore.location": "a.jks", "ssl.keystore.password": "x"}, read_file=read)[
            "ssl.keystore.type"
        ]
    )


@pytest.mark.parametrize("text", ["", "host", "host:0", "host:65536", "a:1,b", "http://a:1", "a b:1", "a:1;b:2"])
def test_an_address_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(PropertiesRefused):
        check_bootstrap(text)


def test_addresses_are_tidied() -> None:
    assert check_bootstrap(" kafka-1.example:9092, [::1]:9093 ,") == "kafka-1.example:9092,[::1]:9093"
