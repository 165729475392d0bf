"""The PKI corpus: chains of every kind of fault, each with the verdict and the link that must be blamed, written by hand.

`openssl` is what `openssl verify` must say, (error number, depth) or 0 for a chain that holds; where it differs from the
verdict's usual number, or OpenSSL is silent by design, the case says so with a reason.
"""

import ipaddress
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from clusters.chains import ChainVerdict, Purpose
from tests.clusters.certificates.make import (
    CLIENT,
    DAY,
    HOST,
    NOW,
    SERVER,
    Made,
    authority,
    leaf,
    make,
    name,
    resigned,
    root,
    spoiled,
    version_one,
)

SECOND = timedelta(seconds=1)
V = ChainVerdict

# ChainVerdict -> number of the error in OpenSSL (x509_vfy.h) when it is the leaf's, an authority's.
NUMBERS: dict[ChainVerdict, tuple[set[int], set[int]]] = {
    V.EXPIRED: ({10}, {10}),
    V.NOT_YET_VALID: ({9}, {9}),
    V.MISSING_ISSUER: ({20}, {2, 20}),
    V.SELF_SIGNED: ({18}, set()),
    V.UNTRUSTED: (set(), {19}),
    V.WEAK_KEY: ({66}, {67}),
    V.WEAK_SIGNATURE: ({68}, {68}),
    V.UNHANDLED_EXTENSION: ({34}, {34}),
    V.NOT_A_CA: (set(), {24, 79}),
    V.WRONG_USAGE: ({26}, {26}),
    V.PATH_TOO_LONG: (set(), {25}),
    V.WRONG_NAME: ({62, 64}, set()),
    V.BAD_SIGNATURE: ({7}, {7}),
    V.NAME_NOT_PERMITTED: ({47, 48}, {47, 48}),
}


@dataclass(frozen=True)
class Case:
    name: str
    presented: Sequence[Made]
    trusted: Sequence[Made]
    verdict: ChainVerdict
    blamed: Made | None = None
    host: str | None = HOST
    at: datetime = NOW
    purpose: Purpose = Purpose.SERVER
    openssl: bool = True  # False = it judges otherwise, `why` says how
    why: str = ""
    fails_at: datetime | None = None  # checked where given


def cases() -> list[Case]:
    """Every case, each under its own name."""
    found = [case for build in _BUILDERS for case in build()]
    assert len({case.name for case in found}) == len(found)
    return found


_BUILDERS: list[Callable[[], Iterator[Case]]] = []


def _group(build: Callable[[], Iterator[Case]]) -> Callable[[], Iterator[Case]]:
    _BUILDERS.append(build)
    return build


@_group
def sound() -> Iterator[Case]:
    for kind in ("rsa2048", "rsa3072", "ec256", "ec384", "ed25519"):
        top = root(kind=kind, number=0)
        low = authority(top, kind=kind, number=1)
        yield Case(
            f"sound, {kind}",
            [end := leaf(low, kind=kind, number=2), low],
            [top],
            V.OK,
            fails_at=end.certificate.not_after,
        )
    top = root()
    low = authority(top)
    end = leaf(low)
    yield Case("sound, no intermediate", [leaf(top)], [top], V.OK)
    yield Case("sound, two intermediates", [leaf(deep := authority(low, "Issuing CA")), deep, low], [top], V.OK)
    yield Case("sound, root is sent too", [end, low, top], [top], V.OK)
    yield Case("sound, sent out of order", [end, top, low], [top], V.OK)
    yield Case("sound, intermediate sent twice", [end, low, low], [top], V.OK)
    yield Case("sound, a stranger is sent too", [end, root("Stranger"), low], [top], V.OK)
    yield Case("sound, several trust stores", [end, low], [root("Other Root"), top, root("Third Root")], V.OK)
    yield Case("sound, without a name to check", [leaf(low, dns=()), low], [top], V.OK, host=None)
    yield Case("sound, no key usage at all", [leaf(low, key_usage=None), low], [top], V.OK)
    yield Case("sound, no extended usage", [leaf(low, extended=None), low], [top], V.OK)
    yield Case("sound, both usages", [leaf(low, extended=[SERVER, CLIENT]), low], [top], V.OK)
    bare_root = root("Bare Root", key_ids=False)
    bare = authority(bare_root, "Bare CA", key_ids=False)
    yield Case("sound, no key identifiers", [leaf(bare, key_ids=False), bare], [bare_root], V.OK)
    rsa_root = root("RSA Root", kind="rsa2048", number=0)
    mixed = authority(rsa_root, "EC CA", kind="ec256")
    yield Case("sound, mixed keys", [leaf(mixed), mixed], [rsa_root], V.OK)
    yield Case("sound, anchored in the intermediate", [end, low], [low], V.OK)
    yield Case("sound, anchored in the leaf", [end], [end], V.OK)
    own = leaf(None, HOST)
    yield Case("sound, self-signed leaf in the trust store", [own], [own], V.OK)
    yield Case("sound, root without key usage", [leaf(plain := root(key_usage=None))], [plain], V.OK)
    elder = root("Elder Root")
    one = version_one(elder, elder)
    born = one.certificate.not_before
    under = leaf(one, begins=born, ends=born + 9 * DAY, key_ids=False)
    yield Case("sound, root of version 1", [under], [one], V.OK, at=born + DAY)
    endless = root(ends=datetime(9999, 12, 31, 23, 59, 59, tzinfo=NOW.tzinfo))
    yield Case("sound, root without an end", [leaf(endless)], [endless], V.OK)
    spaced = root(name("Northgate   ROOT"))
    yield Case("sound, issuer's name in other case and spaces", [leaf(spaced, issuer_name=name("northgate root"))], [spaced], V.OK)  # fmt: skip


@_group
def times() -> Iterator[Case]:
    top = root()
    low = authority(top)
    gone: dict[str, Any] = {"ends": NOW - DAY}
    coming: dict[str, Any] = {"begins": NOW + DAY}
    yield Case("leaf expired", [end := leaf(low, **gone), low], [top], V.EXPIRED, end)
    yield Case("leaf not yet valid", [end := leaf(low, **coming), low], [top], V.NOT_YET_VALID, end)
    old = authority(top, "Old CA", **gone)
    yield Case("intermediate expired", [leaf(old), old], [top], V.EXPIRED, old)
    early = authority(top, "Early CA", **coming)
    yield Case("intermediate not yet valid", [leaf(early), early], [top], V.NOT_YET_VALID, early)
    done = root("Done Root", **gone)
    under = authority(done)
    yield Case("root expired", [leaf(under), under], [done], V.EXPIRED, done)
    later = root("Later Root", **coming)
    yield Case("root not yet valid", [leaf(later)], [later], V.NOT_YET_VALID, later)
    yield Case("root and leaf expired: the upper link is named", [leaf(done, **gone)], [done], V.EXPIRED, done)
    yield Case(
        "intermediate and leaf expired: the upper link is named", [leaf(old, **gone), old], [top], V.EXPIRED, old
    )
    end = leaf(low, begins=NOW - DAY, ends=NOW + DAY)
    last, first = end.certificate.not_after, end.certificate.not_before
    yield Case("one second before the end", [end, low], [top], V.OK, at=last - SECOND)
    yield Case("at the last second", [end, low], [top], V.OK, at=last, openssl=False, why="OpenSSL ends a second early; RFC 5280 and Java include it")  # fmt: skip
    yield Case("one second after the end", [end, low], [top], V.EXPIRED, end, at=last + SECOND)
    yield Case("at the first second", [end, low], [top], V.OK, at=first)
    yield Case("one second before the first", [end, low], [top], V.NOT_YET_VALID, end, at=first - SECOND)
    leap = datetime(2028, 2, 29, 23, 59, 59, tzinfo=NOW.tzinfo)
    yield Case("until a leap day, on it", [leaf(low, ends=leap), low], [top], V.OK, at=leap - SECOND, fails_at=leap)
    yield Case(
        "until a leap day, on the next", [end := leaf(low, ends=leap), low], [top], V.EXPIRED, end, at=leap + SECOND
    )
    short = authority(top, "Short CA", ends=NOW + 10 * DAY)
    yield Case("intermediate ends before the leaf", [leaf(short), short], [top], V.OK, fails_at=NOW + 10 * DAY)
    brief = root("Brief Root", ends=NOW + 5 * DAY)
    yield Case("root ends before the leaf", [leaf(brief)], [brief], V.OK, fails_at=NOW + 5 * DAY)
    yield Case("ten-day leaf on its first day", [leaf(low, begins=NOW, ends=NOW + 10 * DAY), low], [top], V.OK)


@_group
def names() -> Iterator[Case]:
    top = root()

    def case(title: str, host: str, right: bool, *dns: str, ips: Sequence[str] = (), subject: str = "kafka", **more: Any) -> Case:  # fmt: skip
        end = leaf(top, subject, dns=dns, ips=ips)
        return Case(f"name: {title}", [end], [top], V.OK if right else V.WRONG_NAME, None if right else end, host=host, **more)  # fmt: skip

    yield case("equal", "a.example.com", True, "a.example.com")
    yield case("other", "b.example.com", False, "a.example.com")
    yield case("second of several", "b.example.com", True, "a.example.com", "b.example.com")
    yield case("case does not count", "A.Example.COM", True, "a.eXample.com")
    yield case("shorter", "example.com", False, "a.example.com")
    yield case("longer", "x.a.example.com", False, "a.example.com")
    yield case("wildcard", "a.example.com", True, "*.example.com")
    yield case("wildcard covers one label only", "a.b.example.com", False, "*.example.com")
    yield case("wildcard covers no bare domain", "example.com", False, "*.example.com")
    yield case("wildcard of a top domain", "example.com", False, "*.com")
    yield case("wildcard in the middle", "a.b.example.com", False, "a.*.example.com")
    yield case("two wildcards", "a.b.example.com", False, "*.*.example.com")
    yield case("wildcard with a prefix", "kafka7.example.com", True, "kafka*.example.com")
    yield case("wildcard with another prefix", "redis7.example.com", False, "kafka*.example.com")
    why = "OpenSSL takes no wildcard after a hyphen; Java and the RFC do"
    yield case("wildcard after a hyphen", "kafka-7.example.com", True, "kafka-*.example.com", openssl=False, why=why)
    yield case("wildcard with a suffix", "7-kafka.example.com", True, "*-kafka.example.com")
    yield case("wildcard covers an international label", "xn--bcher-kva.example.com", True, "*.example.com")
    yield case("part of an international label", "xn--bcher-kva.example.com", False, "xn--b*.example.com")
    yield case("international name", "xn--bcher-kva.example", True, "xn--bcher-kva.example")
    yield case("common name when there is no other", "a.example.com", True, subject="a.example.com")
    yield case("common name does not count beside DNS names", "a.example.com", False, "b.example.com", subject="a.example.com")  # fmt: skip
    yield case("IPv4", "10.0.0.7", True, ips=["10.0.0.7"])
    yield case("other IPv4", "10.0.0.8", False, ips=["10.0.0.7"])
    yield case("IPv6", "2001:db8::7", True, ips=["2001:db8::7"])
    yield case("IPv6 in long form", "2001:db8:0:0:0:0:0:7", True, ips=["2001:db8::7"])
    yield case("other IPv6", "2001:db8::8", False, ips=["2001:db8::7"])
    yield case("an address is no DNS name", "10.0.0.7", False, "10.0.0.7")
    yield case("two hundred names", "n199.example.com", True, *(f"n{number}.example.com" for number in range(200)))
    yield case(
        "none of two hundred names", "n200.example.com", False, *(f"n{number}.example.com" for number in range(200))
    )


@_group
def anchors() -> Iterator[Case]:
    top, other = root(), root("Other Root")
    low = authority(top)
    end = leaf(low)
    yield Case("missing intermediate", [end], [top], V.MISSING_ISSUER, end)
    deep = authority(low, "Issuing CA")
    yield Case("upper intermediate missing", [leaf(deep), deep], [top], V.MISSING_ISSUER, deep)
    yield Case("lower intermediate missing", [lone := leaf(deep), low], [top], V.MISSING_ISSUER, lone)
    yield Case("self-signed leaf", [own := leaf(None, HOST)], [top], V.SELF_SIGNED, own)
    yield Case(
        "self-signed leaf without key identifiers", [own := leaf(None, HOST, key_ids=False)], [top], V.SELF_SIGNED, own
    )
    yield Case("root is sent, not trusted", [end, low, top], [other], V.UNTRUSTED, top)
    yield Case("root is neither sent nor trusted", [end, low], [other], V.MISSING_ISSUER, low)
    twin = root("Northgate Root CA")
    yield Case("trusted namesake with another key", [end, low], [twin], V.MISSING_ISSUER, low)
    first, again = root("Kept Root", number=9001), root("Kept Root", number=9001, ends=NOW + 4000 * DAY)
    yield Case("root's certificate renewed with its key", [leaf(first)], [again], V.OK)
    nameless = root("Nameless Root", key_ids=False)
    under = leaf(nameless, key_ids=False)
    double = root("Nameless Root", key_ids=False)
    yield Case("trusted namesake with another key, no identifiers", [under], [double], V.BAD_SIGNATURE, under)
    stranger = leaf(root("Foreign Root"))
    yield Case("leaf of a foreign root", [stranger], [top], V.MISSING_ISSUER, stranger)


@_group
def cross_signed() -> Iterator[Case]:
    old, new = root("Old Root"), root("New Root")
    low = authority(old, "Shared CA", number=9100)
    crossed = authority(new, "Shared CA", number=9100)
    end = leaf(low)
    yield Case("cross-signed, both paths", [end, low, crossed], [old, new], V.OK)
    yield Case("cross-signed, only the old root trusted", [end, low, crossed], [old], V.OK)
    why = "OpenSSL follows the first issuer that is sent and does not turn back; Java does"
    yield Case(
        "cross-signed, only the second path is trusted", [end, low, crossed], [new], V.OK, openssl=False, why=why
    )
    yield Case("cross-signed, the trusted path is sent first", [end, crossed, low], [new], V.OK)
    yield Case("cross-signed, path of the trusted root not sent", [end, low], [new], V.MISSING_ISSUER, low)
    ends = NOW + 20 * DAY
    brief = authority(old, "Shared CA", number=9100, ends=ends)
    yield Case(
        "cross-signed, one path ends soon", [end, brief, crossed], [old, new], V.OK, fails_at=end.certificate.not_after
    )
    done = authority(old, "Shared CA", number=9100, ends=NOW - DAY)
    yield Case("cross-signed, one path has expired", [end, done, crossed], [old, new], V.OK)
    gone = authority(new, "Shared CA", number=9100, ends=NOW - DAY)
    yield Case("cross-signed, both paths have expired", [end, done, gone], [old], V.EXPIRED, done)
    coming = authority(new, "Shared CA", number=9100, begins=NOW + 30 * DAY, ends=NOW + 400 * DAY)
    yield Case("cross-signed, a gap between the paths", [end, brief, coming], [old, new], V.OK, fails_at=ends)
    joined = authority(new, "Shared CA", number=9100, begins=ends + SECOND, ends=NOW + 400 * DAY)
    yield Case(
        "cross-signed, paths that join", [end, brief, joined], [old, new], V.OK, fails_at=end.certificate.not_after
    )
    new_by_old = make("New Root", old, ca=True, key_usage=("key_cert_sign",), signing_key=old.key, number=None)
    bridge = Made(new_by_old.certificate, new_by_old.key)
    below = authority(bridge, "Below Bridge")
    yield Case("root that another root has signed", [leaf(below), below, bridge], [old], V.OK)
    left = authority(old, "Loop A", number=9200)
    right = authority(left, "Loop B", number=9201)
    again = authority(right, "Loop A", number=9200)
    yield Case(
        "a loop of authorities, anchored", [leaf(right), right, again, left], [old], V.OK, openssl=False, why=why
    )
    looped = [leaf(right), right, again]
    yield Case("a loop of authorities without an anchor", looped, [new], V.MISSING_ISSUER, again)


@_group
def strength() -> Iterator[Case]:
    top = root(kind="rsa2048", number=0)
    low = authority(top, kind="rsa2048", number=1)
    yield Case("leaf with RSA 1024", [end := leaf(low, kind="rsa1024", number=0), low], [top], V.WEAK_KEY, end)
    yield Case("leaf with P-192", [end := leaf(low, kind="ec192", number=0), low], [top], V.WEAK_KEY, end)
    yield Case("leaf with P-224", [end := leaf(low, kind="ec224", number=0), low], [top], V.WEAK_KEY, end, openssl=False, why="level 2 allows 112 bits; the portal wants 128 of elliptic curves")  # fmt: skip
    yield Case("leaf with DSA 1024", [end := leaf(low, kind="dsa1024", number=0), low], [top], V.WEAK_KEY, end)
    weak = authority(top, "Weak CA", kind="rsa1024", number=1)
    yield Case("intermediate with RSA 1024", [leaf(weak), weak], [top], V.WEAK_KEY, weak)
    small = root("Small Root", kind="rsa1024", number=2)
    yield Case("root with RSA 1024", [leaf(small)], [small], V.WEAK_KEY, small)
    for algorithm in ("sha1", "md5"):
        end = resigned(leaf(low), low, algorithm)
        yield Case(f"leaf signed with {algorithm}", [end, low], [top], V.WEAK_SIGNATURE, end)
        bad = resigned(authority(top, "Forgeable CA", number=9300), top, algorithm)
        yield Case(f"intermediate signed with {algorithm}", [leaf(bad), bad], [top], V.WEAK_SIGNATURE, bad)
        anchor = resigned(
            root("Elder Root", kind="rsa2048", number=3), root("Elder Root", kind="rsa2048", number=3), algorithm
        )
        yield Case(f"root signed with {algorithm}, which nobody looks at", [leaf(anchor)], [anchor], V.OK)
    yield Case("leaf's signature spoiled", [end := spoiled(leaf(low)), low], [top], V.BAD_SIGNATURE, end)
    bad = spoiled(authority(top, "Spoiled CA"))
    yield Case("intermediate's signature spoiled", [leaf(bad), bad], [top], V.BAD_SIGNATURE, bad)
    forged = leaf(low, signing_key=root("Forger", kind="rsa2048", number=4).key)
    yield Case("leaf signed by another key", [forged, low], [top], V.BAD_SIGNATURE, forged)


@_group
def authorities() -> Iterator[Case]:
    top = root()
    low = authority(top)
    fake = leaf(low, "Fake CA")
    yield Case("a leaf has signed", [leaf(fake), fake, low], [top], V.NOT_A_CA, fake)
    mute = authority(top, "Mute CA", key_usage=("digital_signature",))
    yield Case("authority that may not sign certificates", [leaf(mute), mute], [top], V.NOT_A_CA, mute)
    plain = make("Plain CA", top, ca=None)
    yield Case("authority without basic constraints", [leaf(plain), plain], [top], V.NOT_A_CA, plain)
    false = make("False CA", top, ca=False)
    yield Case("basic constraints say no", [leaf(false), false], [top], V.NOT_A_CA, false)
    elder = root("Signing Root")
    one = version_one(make("Version One CA", elder), elder)
    born = one.certificate.not_before
    wide: dict[str, Any] = {"begins": born - 500 * DAY, "ends": born + 500 * DAY}
    under = leaf(one, key_ids=False, **wide)
    yield Case("intermediate of version 1", [under, one], [elder], V.NOT_A_CA, one, at=born + DAY)
    not_root = make("Not A Root", ca=False)
    yield Case("anchor that is no authority", [leaf(not_root)], [not_root], V.NOT_A_CA, not_root)
    zero = authority(top, "Zero CA", path_length=0)
    under = authority(zero, "Under CA")
    yield Case("path length 0, leaf only", [leaf(zero), zero], [top], V.OK)
    yield Case("path length 0, an authority below", [leaf(under), under, zero], [top], V.PATH_TOO_LONG, zero)
    tight = root("Tight Root", path_length=1)
    first = authority(tight, "First CA")
    second = authority(first, "Second CA")
    yield Case("path length 1, one authority below", [leaf(first), first], [tight], V.OK)
    yield Case("path length 1, two authorities below", [leaf(second), second, first], [tight], V.PATH_TOO_LONG, tight)
    rolled = make("First CA", first, ca=True, key_usage=("key_cert_sign",))
    yield Case("a self-issued authority does not count", [leaf(rolled), rolled, first], [tight], V.OK)
    yield Case("a leaf that is an authority", [leaf(low, ca=True, key_usage=("digital_signature", "key_cert_sign")), low], [top], V.OK)  # fmt: skip
    odd = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.1"), b"\x05\x00")
    yield Case("leaf with an unknown critical extension", [end := leaf(low, extra=[(odd, True)]), low], [top], V.UNHANDLED_EXTENSION, end)  # fmt: skip
    yield Case("leaf with an unknown extension", [leaf(low, extra=[(odd, False)]), low], [top], V.OK)
    strange = authority(top, "Strange CA", extra=[(odd, True)])
    yield Case("intermediate with an unknown critical extension", [leaf(strange), strange], [top], V.UNHANDLED_EXTENSION, strange)  # fmt: skip


@_group
def usages() -> Iterator[Case]:
    top = root()
    low = authority(top)
    client: dict[str, Any] = {"purpose": Purpose.CLIENT, "host": None}
    yield Case(
        "server with a client's certificate", [end := leaf(low, extended=[CLIENT]), low], [top], V.WRONG_USAGE, end
    )
    yield Case("client with a client's certificate", [leaf(low, extended=[CLIENT]), low], [top], V.OK, **client)
    yield Case("client with a server's certificate", [end := leaf(low), low], [top], V.WRONG_USAGE, end, **client)
    yield Case("client with both usages", [leaf(low, extended=[SERVER, CLIENT]), low], [top], V.OK, **client)
    yield Case("client without extended usage", [leaf(low, extended=None), low], [top], V.OK, **client)
    mail = [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    yield Case("server with a mail certificate", [end := leaf(low, extended=mail), low], [top], V.WRONG_USAGE, end)
    code = authority(top, "Code CA", extended=[ExtendedKeyUsageOID.CODE_SIGNING])
    yield Case("intermediate for code only", [leaf(code), code], [top], V.WRONG_USAGE, code)
    yield Case("intermediate for servers only, of a client", [end := leaf(only := authority(top, "Server CA", extended=[SERVER]), extended=[CLIENT]), only], [top], V.WRONG_USAGE, only, **client)  # fmt: skip
    yield Case("key usage rules out TLS", [end := leaf(low, key_usage=("crl_sign",)), low], [top], V.WRONG_USAGE, end)
    yield Case("key usage: encipherment only, server", [leaf(low, key_usage=("key_encipherment",)), low], [top], V.OK)
    yield Case("key usage: encipherment only, client", [end := leaf(low, key_usage=("key_encipherment",), extended=[CLIENT]), low], [top], V.WRONG_USAGE, end, **client)  # fmt: skip
    yield Case("key usage: agreement only", [leaf(low, key_usage=("key_agreement",)), low], [top], V.OK)


@_group
def constraints() -> Iterator[Case]:
    top = root()

    def limited(permitted: Sequence[x509.GeneralName] = (), excluded: Sequence[x509.GeneralName] = ()) -> Made:
        limits = x509.NameConstraints(permitted or None, excluded or None)
        return authority(top, "Limited CA", extra=[(limits, True)])

    inside = limited([x509.DNSName("northgate.example")])
    yield Case("names within the constraint", [leaf(inside), inside], [top], V.OK)
    outside = limited([x509.DNSName("southbank.example")])
    yield Case("names outside the constraint", [end := leaf(outside), outside], [top], V.NAME_NOT_PERMITTED, end)
    banned = limited(excluded=[x509.DNSName("northgate.example")])
    yield Case("names that are excluded", [end := leaf(banned), banned], [top], V.NAME_NOT_PERMITTED, end)
    net = limited([x509.IPAddress(ipaddress.ip_network("10.0.0.0/8"))])
    yield Case(
        "address within the constraint", [leaf(net, dns=(), ips=["10.1.2.3"]), net], [top], V.OK, host="10.1.2.3"
    )
    yield Case("address outside the constraint", [end := leaf(net, dns=(), ips=["192.0.2.1"]), net], [top], V.NAME_NOT_PERMITTED, end, host="192.0.2.1")  # fmt: skip
    where = limited([x509.DirectoryName(name(None, (NameOID.ORGANIZATION_NAME, "Northgate")))])
    good = name("kafka", (NameOID.ORGANIZATION_NAME, "Northgate"))
    yield Case("subject within the constraint", [leaf(where, good), where], [top], V.OK)
    wrong = name("kafka", (NameOID.ORGANIZATION_NAME, "Southbank"))
    yield Case("subject outside the constraint", [end := leaf(where, wrong), where], [top], V.NAME_NOT_PERMITTED, end)
    below = authority(inside, "Below Limited")
    yield Case("the constraint of a grandparent", [end := leaf(below, dns=["a.southbank.example"]), below, inside], [top], V.NAME_NOT_PERMITTED, end, host="a.southbank.example")  # fmt: skip
