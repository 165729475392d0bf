"""Secrets that the embedded default makes for itself and keeps in files only the owner can read."""

import base64
import os
from pathlib import Path


def secret_from_var(var: Path, name: str) -> str:
    """The secret kept in `<var>/secrets/<name>`; made on first use.

    `field_key` is `local:` + base64url of 32 random bytes, every other name base64url of 48 random bytes.
    """
    path = var / "secrets" / name
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        pass
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    size = 32 if name == "field_key" else 48
    text = base64.urlsafe_b64encode(os.urandom(size)).decode("ascii")
    if name == "field_key":
        text = f"local:{text}"
    draft = path.with_name(f"{name}.{os.getpid()}")
    draft.touch(mode=0o600)
    draft.write_text(text, encoding="ascii")
    try:
        os.link(draft, path)  # fails when another process was first: then its secret is the one
    except FileExistsError:
        text = path.read_text(encoding="ascii").strip()
    finally:
        draft.unlink()
    return text
