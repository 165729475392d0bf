"""Client properties of a cluster: what may be set, in the words of librdkafka or of Java, and which of it is secret.

Only what is listed here reaches the client: others can load code, read files or write to places of their choice.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12

ReadFile = Callable[[str], bytes]

SECRET = frozenset({"sasl.password", "ssl.key.pem", "ssl.key.password"})
PROTOCOLS = ("PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL")
MECHANISMS = ("PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512")
_PLAIN = frozenset(
    {
        "security.protocol",
        "sasl.mechanism",
        "sasl.username",
        "ssl.ca.pem",
        "ssl.certificate.pem",
        "ssl.endpoint.identification.algorithm",
        "ssl.cipher.suites",
        "ssl.curves.list",
        "ssl.sigalgs.list",
        "client.id",
        "client.dns.lookup",
        "broker.address.family",
        "socket.connection.setup.timeout.ms",
        "connections.max.idle.ms",
    }
)
ALLOWED = _PLAIN | SECRET
# Files are read once, where the person is; stored is what they hold.
_FILES = {
    "ssl.ca.location": "ssl.ca.pem",
    "ssl.certificate.location": "ssl.certificate.pem",
    "ssl.key.location": "ssl.key.pem",
}
_SAME = {"sasl.mechanisms": "sasl.mechanism"}
_JAVA_STORES = re.compile(r"ssl\.(keystore|truststore)\.(type|location|password|certificates|certificate\.chain|key)\Z")
# What a client's file may also hold and an admin client has no use for.
_IGNORED = re.compile(
    r"(group\.(id|instance\.id)|auto\.offset\.reset|enable\.auto\.commit|auto\.commit\.interval\.ms|isolation\.level"
    r"|(key|value)\.(de)?serializer|acks|retries|linger\.ms|batch\.size|compression\.type|enable\.idempotence"
    r"|(default\.api|request|delivery|session|retry\.backoff|reconnect\.backoff|max\.poll|fetch|heartbeat|metadata)\b.*"
    r"|ssl\.(protocol|enabled\.protocols)|partition\.assignment\.strategy|buffer\.memory|max\.block\.ms)\Z"
)
_LOGIN = re.compile(r"\b(\w+)\s*=\s*(?:\"((?:[^\"\\]|\\.)*)\"|'((?:[^'\\]|\\.)*)'|([^\s;]+))")
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]+)-----.*?-----END \1-----", re.DOTALL)
_ADDRESS = re.compile(r"(?:[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})|\[[0-9A-Fa-f:.]{2,45}\]):(\d{1,5})\Z")
_VALUE_LIMIT = 64 * 1024


class PropertiesRefused(Exception):
    """Properties that cannot be used; `fields` maps each to a sentence. Values that may be secret are never repeated."""

    def __init__(self, fields: Mapping[str, str]) -> None:
        super().__init__(" ".join(f"{name}: {text}" for name, text in fields.items()))
        self.fields = dict(fields)


@dataclass(frozen=True, slots=True)
class Properties:
    """Checked properties under librdkafka's names: `plain` may be shown, `secret` may not. `ignored`: given, of no use."""

    plain: Mapping[str, str] = field(default_factory=dict)
    secret: Mapping[str, str] = field(default_factory=dict)
    ignored: tuple[str, ...] = ()

    @property
    def all(self) -> dict[str, str]:
        return {**self.plain, **self.secret}


def parse_file(text: str) -> dict[str, str]:
    """The pairs of a properties file as Java reads it: comments, continued lines, escapes."""
    pairs: dict[str, str] = {}
    for line in _logical_lines(text):
        match = re.match(r"((?:\\.|[^\\=:\s])+)\s*[=:\s]?\s*(.*)\Z", line, re.DOTALL)
        if match:
            pairs[_unescaped(match.group(1))] = _unescaped(match.group(2))
    return pairs


def check_bootstrap(text: str) -> str:
    """`host:port[,host:port...]` without spaces. Raises PropertiesRefused."""
    addresses = [address.strip() for address in text.split(",") if address.strip()]
    for address in addresses:
        found = _ADDRESS.match(address)
        if not found or not 1 <= int(found.group(1)) <= 65_535:
            raise PropertiesRefused({"bootstrap": f"{address[:100]!r} is not host:port."})
    if not addresses:
        raise PropertiesRefused({"bootstrap": "At least one host:port is needed."})
    return ",".join(addresses)


def check(raw: Mapping[str, str], *, read_file: ReadFile | None = None) -> Properties:
    """Translate and check. `read_file` gives the contents of named files; without it they are refused (web forms).

    Raises PropertiesRefused.
    """
    refused: dict[str, str] = {}
    given: dict[str, str] = {}
    stores: dict[str, str] = {}
    ignored: list[str] = []
    for name, value in raw.items():
        known = _SAME.get(name, name)
        if known == "bootstrap.servers" or _IGNORED.match(known):
            ignored.append(name)
        elif len(value) > _VALUE_LIMIT:
            refused[name] = "The value is too long."
        elif known in _FILES:
            _take_file(known, value, read_file, given, refused)
        elif known == "sasl.jaas.config":
            _take_login(value, given, refused)
        elif _JAVA_STORES.match(known):
            stores[known] = value
        elif known in ALLOWED:
            given[known] = value
        else:
            refused[name] = "This property cannot be set here (docs/kafka-permissions.md lists those that can)."
    if stores:
        _take_stores(stores, read_file, given, refused)
    if refused:
        raise PropertiesRefused(refused)
    given = {name: value if name in SECRET else value.strip() for name, value in given.items() if value.strip()}
    _check_whole(given)
    return Properties(
        plain={name: value for name, value in given.items() if name not in SECRET},
        secret={name: value for name, value in given.items() if name in SECRET},
        ignored=tuple(ignored),
    )


# --- Checks -----------------------------------------------------------------------------------------------------------


def _check_whole(given: dict[str, str]) -> None:
    refused: dict[str, str] = {}
    protocol = given["security.protocol"] = given.get("security.protocol", _protocol_of(given)).upper()
    if protocol not in PROTOCOLS:
        raise PropertiesRefused({"security.protocol": f"Must be one of {', '.join(PROTOCOLS)}."})
    if protocol.startswith("SASL"):
        mechanism = given["sasl.mechanism"] = given.get("sasl.mechanism", "").upper()
        if mechanism not in MECHANISMS:
            refused["sasl.mechanism"] = f"Must be one of {', '.join(MECHANISMS)}."
        for name, what in (("sasl.username", "user name"), ("sasl.password", "password")):
            if not given.get(name):
                refused[name] = f"{protocol} needs a {what}."
    if bool(given.get("ssl.certificate.pem")) != bool(given.get("ssl.key.pem")):
        missing = "ssl.key.pem" if given.get("ssl.certificate.pem") else "ssl.certificate.pem"
        refused[missing] = "A client certificate and its key belong together."
    for name in ("ssl.ca.pem", "ssl.certificate.pem"):
        if given.get(name) and not _certificates(given[name]):
            refused[name] = "This is not a certificate in PEM form."
    if given.get("ssl.key.pem"):
        _check_key(given, refused)
    identification = given.get("ssl.endpoint.identification.algorithm", "https").lower()
    if identification not in {"https", "none"}:
        refused["ssl.endpoint.identification.algorithm"] = "Must be https or none."
    if refused:
        raise PropertiesRefused(refused)


def _protocol_of(given: Mapping[str, str]) -> str:
    encrypted = any(name.startswith("ssl.") for name in given)
    if "sasl.mechanism" in given or "sasl.username" in given:
        return "SASL_SSL" if encrypted else "SASL_PLAINTEXT"
    return "SSL" if encrypted else "PLAINTEXT"


def _certificates(pem: str) -> list[x509.Certificate]:
    try:
        return x509.load_pem_x509_certificates(pem.encode())
    except ValueError:
        return []


def _check_key(given: Mapping[str, str], refused: dict[str, str]) -> None:
    password = given.get("ssl.key.password")
    try:
        key = serialization.load_pem_private_key(given["ssl.key.pem"].encode(), password.encode() if password else None)
    except TypeError:  # a password where none is needed, or none where one is
        refused["ssl.key.password"] = (
            "The key is not encrypted." if password else "The key is encrypted and needs its password."
        )
        return
    except ValueError:
        text = "The key does not open with ssl.key.password." if password else "This is not a private key in PEM form."
        refused["ssl.key.password" if password else "ssl.key.pem"] = text
        return
    chain = _certificates(given.get("ssl.certificate.pem", ""))
    if chain and _public(chain[0].public_key()) != _public(key.public_key()):
        refused["ssl.key.pem"] = "The key does not belong to the first certificate of ssl.certificate.pem."


def _public(key: object) -> bytes:
    return key.public_bytes(  # type: ignore[attr-defined,no-any-return]  # every public key type has it
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def client_certificate(properties: Mapping[str, str]) -> x509.Certificate | None:
    """The certificate the portal shows to the cluster, if it has one."""
    chain = _certificates(properties.get("ssl.certificate.pem", ""))
    return chain[0] if chain else None


# --- Java's words -----------------------------------------------------------------------------------------------------


def _take_file(
    name: str, path: str, read_file: ReadFile | None, given: dict[str, str], refused: dict[str, str]
) -> None:
    content = _content(name, path, read_file, refused)
    if content is not None:
        given[_FILES[name]] = content.decode("utf-8", "replace")


def _content(name: str, path: str, read_file: ReadFile | None, refused: dict[str, str]) -> bytes | None:
    if read_file is None:
        refused[name] = "Files cannot be named here; give the PEM text itself."
        return None
    try:
        return read_file(path)
    except OSError as error:
        refused[name] = f"The file {path} cannot be read: {error.strerror}."
        return None


def _take_login(value: str, given: dict[str, str], refused: dict[str, str]) -> None:
    if not re.search(r"\b(Scram|Plain)LoginModule\b", value):
        refused["sasl.jaas.config"] = "Only PlainLoginModule and ScramLoginModule are known."
        return
    options = {name: re.sub(r"\\(.)", r"\1", a or b or c) for name, a, b, c in _LOGIN.findall(value)}
    if "username" not in options or "password" not in options:
        refused["sasl.jaas.config"] = "It names no username and password."
        return
    given.setdefault("sasl.username", options["username"])
    given.setdefault("sasl.password", options["password"])


def _take_stores(
    stores: dict[str, str], read_file: ReadFile | None, given: dict[str, str], refused: dict[str, str]
) -> None:
    for store in ("truststore", "keystore"):
        kind = stores.get(f"ssl.{store}.type", "PEM" if _inline(stores, store) else "").upper()
        location = f"ssl.{store}.location"
        if kind == "PEM":
            _take_pem(store, stores, read_file, given, refused)
        elif location in stores and kind in {"PKCS12", ""} and not stores[location].endswith(".jks"):
            content = _content(location, stores[location], read_file, refused)
            if content is not None:
                _take_pkcs12(store, content, stores.get(f"ssl.{store}.password", ""), given, refused)
        elif location in stores or kind:
            refused[f"ssl.{store}.type"] = (
                "Java's own store format cannot be read; convert it: keytool -importkeystore -deststoretype PKCS12."
            )


def _inline(stores: Mapping[str, str], store: str) -> bool:
    return any(f"ssl.{store}.{part}" in stores for part in ("certificates", "certificate.chain", "key"))


def _take_pem(
    store: str, stores: dict[str, str], read_file: ReadFile | None, given: dict[str, str], refused: dict[str, str]
) -> None:
    text = "\n".join(stores.get(f"ssl.{store}.{part}", "") for part in ("key", "certificate.chain", "certificates"))
    location = f"ssl.{store}.location"
    if location in stores:
        content = _content(location, stores[location], read_file, refused)
        text = content.decode("utf-8", "replace") if content is not None else ""
    blocks = [(match.group(1), match.group(0)) for match in _PEM.finditer(text)]
    certificates = "\n".join(block for label, block in blocks if label.endswith("CERTIFICATE"))
    keys = [block for label, block in blocks if label.endswith("PRIVATE KEY")]
    if store == "truststore":
        given["ssl.ca.pem"] = certificates
    else:
        given["ssl.certificate.pem"] = certificates
        given["ssl.key.pem"] = keys[0] if keys else ""


def _take_pkcs12(store: str, content: bytes, password: str, given: dict[str, str], refused: dict[str, str]) -> None:
    try:
        found = pkcs12.load_pkcs12(content, password.encode() or None)
    except ValueError:
        refused[f"ssl.{store}.location"] = f"The file is no PKCS12 store that opens with ssl.{store}.password."
        return
    chain = [found.cert, *found.additional_certs]
    pem = "".join(entry.certificate.public_bytes(serialization.Encoding.PEM).decode() for entry in chain if entry)
    if store == "truststore":
        given["ssl.ca.pem"] = pem
    elif found.key is None:
        refused["ssl.keystore.location"] = "The store holds no private key."
    else:
        given["ssl.certificate.pem"] = pem
        given["ssl.key.pem"] = found.key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        ).decode()
        given.pop("ssl.key.password", None)


def _logical_lines(text: str) -> list[str]:
    lines: list[str] = []
    held = ""
    for line in text.splitlines():
        stripped = line.lstrip()
        if not held and (not stripped or stripped[0] in "#!"):
            continue
        slashes = len(stripped) - len(stripped.rstrip("\\"))
        if slashes % 2:
            held += stripped[:-1]
            continue
        lines.append(held + stripped)
        held = ""
    return [*lines, held] if held else lines


def _unescaped(text: str) -> str:
    def one(match: re.Match[str]) -> str:
        code = match.group(1)
        if code[0] == "u" and len(code) == 5:
            return chr(int(code[1:], 16))
        return {"n": "\n", "t": "\t", "r": "\r", "f": "\f"}.get(code, code)

    return re.sub(r"\\(u[0-9a-fA-F]{4}|.)", one, text, flags=re.DOTALL)
