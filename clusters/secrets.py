"""Secrets at rest: AES-256-GCM, bound to table, row and field, with a ring of keys (`FIELD_KEYS`, newest first).

A ciphertext is `<key id>:<base64url of nonce and sealed text>`. One that is moved to another row or field does not open.
"""

import base64
import binascii
import functools
import os
from collections.abc import Mapping

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

_NONCE_BYTES = 12


class SecretUnreadable(Exception):
    """A stored secret does not open: its key is not in FIELD_KEYS, or it was changed or moved."""


def seal(text: str, *, table: str, pk: int, field: str) -> str:
    """Encrypt under the newest key."""
    key_id, key = next(iter(_ring().items()))
    nonce = os.urandom(_NONCE_BYTES)
    sealed = key.encrypt(nonce, text.encode(), _bound_to(table, pk, field))
    return f"{key_id}:{base64.urlsafe_b64encode(nonce + sealed).decode()}"


def unseal(ciphertext: str, *, table: str, pk: int, field: str) -> str:
    """The text behind a ciphertext of that row and field. Raises SecretUnreadable."""
    key_id, _, body = ciphertext.partition(":")
    key = _ring().get(key_id)
    if key is None:
        raise SecretUnreadable(f"the key {key_id!r} that sealed {table}.{field} is not in FIELD_KEYS")
    try:
        raw = base64.urlsafe_b64decode(body)
        return key.decrypt(raw[:_NONCE_BYTES], raw[_NONCE_BYTES:], _bound_to(table, pk, field)).decode()
    except (InvalidTag, binascii.Error, ValueError) as error:
        raise SecretUnreadable(f"the stored {table}.{field} was changed or moved") from error


def seal_all(texts: Mapping[str, str], *, table: str, pk: int) -> dict[str, str]:
    """Field -> ciphertext."""
    return {field: seal(text, table=table, pk=pk, field=field) for field, text in texts.items()}


def unseal_all(ciphertexts: Mapping[str, str], *, table: str, pk: int) -> dict[str, str]:
    """Field -> text. Raises SecretUnreadable."""
    return {field: unseal(text, table=table, pk=pk, field=field) for field, text in ciphertexts.items()}


def sealed_with_newest(ciphertext: str) -> bool:
    """Whether rotation has nothing to do here."""
    return ciphertext.partition(":")[0] == next(iter(_ring()))


def _bound_to(table: str, pk: int, field: str) -> bytes:
    return f"{table}\0{pk}\0{field}".encode()


def _ring() -> dict[str, AESGCM]:
    return _ring_of(tuple(settings.FIELD_KEYS))


@functools.lru_cache(maxsize=4)
def _ring_of(texts: tuple[str, ...]) -> dict[str, AESGCM]:
    ring: dict[str, AESGCM] = {}
    for text in texts:
        key_id, _, body = text.partition(":")
        try:
            key = base64.urlsafe_b64decode(body)
        except (binascii.Error, ValueError):
            key = b""
        if not key_id or len(key) != 32:
            raise ImproperlyConfigured("FIELD_KEYS: every key is id:base64url of 32 bytes.")
        if key_id in ring:
            raise ImproperlyConfigured(f"FIELD_KEYS names the key {key_id!r} twice.")
        ring[key_id] = AESGCM(key)
    if not ring:
        raise ImproperlyConfigured("FIELD_KEYS is empty.")
    return ring
