"""Whether Java would take a PKCS#12 without a key for a trust store. Java trusts only entries that carry its own mark.

`openssl pkcs12 -export -nokeys` writes none: the certificates can be read, and a broker with that store trusts nobody.
"""

from collections.abc import Iterator

from cryptography.hazmat.primitives import hashes, padding
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC

from clusters.chains.der import Part, parts

_DATA = bytes.fromhex("2a864886f70d010701")
_ENCRYPTED_DATA = bytes.fromhex("2a864886f70d010706")
_CERTIFICATE_BAG = bytes.fromhex("2a864886f70d010c0a0103")
_TRUSTED = bytes.fromhex("060c6086480186f966adca7b0101")  # 2.16.840.1.113894.746875.1.1, with its header
_PBES2 = bytes.fromhex("2a864886f70d01050d")
_PBKDF2 = bytes.fromhex("2a864886f70d01050c")
_HASHES: dict[bytes, type[hashes.HashAlgorithm]] = {
    bytes.fromhex("2a864886f70d0207"): hashes.SHA1,  # what the standard means where nothing is said
    bytes.fromhex("2a864886f70d0209"): hashes.SHA256,
    bytes.fromhex("2a864886f70d020a"): hashes.SHA384,
    bytes.fromhex("2a864886f70d020b"): hashes.SHA512,
}
_KEY_BYTES = {
    bytes.fromhex("60864801650304012a"): 32,  # AES in CBC mode, by key length
    bytes.fromhex("608648016503040116"): 24,
    bytes.fromhex("608648016503040102"): 16,
}
_SET = 0x31


class _NotTold(Exception):
    """The store is written in a way that this module does not read."""


def without_mark(data: bytes, password: bytes) -> int | None:
    """How many certificates of the PKCS#12 lack Java's mark; None where that cannot be told (RC2, 3DES). `password` opens it."""
    try:
        return sum(_TRUSTED not in attributes for attributes in _certificate_bags(data, password))
    except (_NotTold, ValueError, IndexError, OverflowError):
        return None


def _certificate_bags(data: bytes, password: bytes) -> Iterator[bytes]:
    """The attributes of each certificate's bag."""
    safe = _content(parts(parts(data)[0].content)[1])
    for info in parts(parts(safe)[0].content):
        for bag in parts(parts(_opened(info, password))[0].content):
            inside = parts(bag.content)
            if inside[0].content == _CERTIFICATE_BAG:
                yield b"".join(one.content for one in inside[2:] if one.tag == _SET)


def _content(info: Part) -> bytes:
    """What a ContentInfo of the type `data` holds."""
    kind, wrapped = parts(info.content)[:2]
    if kind.content != _DATA:
        raise _NotTold
    return parts(wrapped.content)[0].content


def _opened(info: Part, password: bytes) -> bytes:
    kind, wrapped = parts(info.content)[:2]
    if kind.content == _DATA:
        return _content(info)
    if kind.content != _ENCRYPTED_DATA:
        raise _NotTold
    _, scheme, hidden = parts(parts(parts(wrapped.content)[0].content)[1].content)
    in_pieces = bool(hidden.tag & 0x20)
    text = b"".join(one.content for one in parts(hidden.content)) if in_pieces else hidden.content
    return _decrypted(scheme, text, password)


def _decrypted(scheme: Part, hidden: bytes, password: bytes) -> bytes:
    """PBES2 with PBKDF2 and AES, as Java and OpenSSL write today."""
    name, how = parts(scheme.content)[:2]
    if name.content != _PBES2:
        raise _NotTold
    derivation, cipher = (parts(one.content) for one in parts(how.content)[:2])
    if derivation[0].content != _PBKDF2 or cipher[0].content not in _KEY_BYTES:
        raise _NotTold
    salt, rounds, *more = parts(derivation[1].content)
    named = [parts(one.content)[0].content for one in more if one.tag == 0x30]
    digest = _HASHES.get(named[0]) if named else hashes.SHA1
    if digest is None:
        raise _NotTold
    length = _KEY_BYTES[cipher[0].content]
    key = PBKDF2HMAC(digest(), length, salt.content, int.from_bytes(rounds.content, "big")).derive(password)
    opened = Cipher(algorithms.AES(key), modes.CBC(cipher[1].content)).decryptor()
    clear = opened.update(hidden) + opened.finalize()
    unpadder = padding.PKCS7(128).unpadder()
    return unpadder.update(clear) + unpadder.finalize()
