"""Words for what is wrong with a chain. One enum defines value, label and tone."""

from enum import StrEnum

from ops_portal.lib.tones import Tone


class ChainVerdict(StrEnum):
    """The verdict on a chain: of its first failing link, in the order in which TLS libraries look."""

    OK = "ok"
    UNVERIFIED = "unverified"  # nothing is known to judge it by: no trust store, or a certificate known by hand only
    MISSING_ISSUER = "missing_issuer"
    SELF_SIGNED = "self_signed"
    UNTRUSTED = "untrusted"
    WEAK_KEY = "weak_key"
    UNHANDLED_EXTENSION = "unhandled_extension"
    NOT_A_CA = "not_a_ca"
    WRONG_USAGE = "wrong_usage"
    PATH_TOO_LONG = "path_too_long"
    WEAK_SIGNATURE = "weak_signature"
    WRONG_NAME = "wrong_name"
    BAD_SIGNATURE = "bad_signature"
    NOT_YET_VALID = "not_yet_valid"
    EXPIRED = "expired"
    NAME_NOT_PERMITTED = "name_not_permitted"

    @property
    def label(self) -> str:
        return _LABELS.get(self, self.value.replace("_", " "))

    @property
    def tone(self) -> Tone:
        if self is ChainVerdict.OK:
            return Tone.OK
        return Tone.UNKNOWN if self is ChainVerdict.UNVERIFIED else Tone.CRITICAL


_LABELS = {
    ChainVerdict.OK: "valid",
    ChainVerdict.SELF_SIGNED: "self-signed",
    ChainVerdict.NOT_A_CA: "not an authority",
    ChainVerdict.MISSING_ISSUER: "issuer missing",
}


class Purpose(StrEnum):
    """What a leaf is used for."""

    SERVER = "server"
    CLIENT = "client"
    ANY = "any"  # of an authority, or of a file nobody has said anything about
