"""Typed settings from the environment.

Every variable the portal reads is declared here by one call, so that docs/settings.md can be held against `DECLARED`.
A wrong value fails at start with `ImproperlyConfigured` and the name of the variable.
"""

import os
from dataclasses import dataclass
from pathlib import Path

from django.core.exceptions import ImproperlyConfigured

from ops_portal.lib.secrets_file import secret_from_var


@dataclass(frozen=True, slots=True)
class Declared:
    """One environment variable: its name, default as text and one sentence of purpose."""

    name: str
    default: str
    purpose: str
    secret: bool = False


DECLARED: dict[str, Declared] = {}

_TRUE = {"1", "true", "yes", "on"}
_FALSE = {"0", "false", "no", "off", ""}


def _read(name: str, default: str, purpose: str, *, secret: bool = False) -> str:
    DECLARED[name] = Declared(name, default, purpose, secret)
    return os.environ.get(name, default)


def env_str(name: str, default: str, purpose: str) -> str:
    return _read(name, default, purpose)


def env_secret(name: str, purpose: str) -> str:
    """A secret, from the variable or from the file that `<NAME>_FILE` names; empty when neither is set."""
    DECLARED[f"{name}_FILE"] = Declared(f"{name}_FILE", "", f"A file that holds {name}.")
    value = _read(name, "", purpose, secret=True)
    file_name = os.environ.get(f"{name}_FILE", "")
    if value or not file_name:
        return value
    try:
        return Path(file_name).read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ImproperlyConfigured(f"{name}_FILE={file_name} cannot be read: {error}") from error


def kept_secret(var: Path, name: str) -> str:
    """The secret `name` of the embedded default, made under `var` on first use."""
    try:
        return secret_from_var(var, name)
    except OSError as error:
        raise ImproperlyConfigured(f"PORTAL_VAR={var} cannot be used: {error.strerror}.") from error


def env_bool(name: str, default: bool, purpose: str) -> bool:
    text = _read(name, "1" if default else "0", purpose).strip().lower()
    if text in _TRUE:
        return True
    if text in _FALSE:
        return False
    raise ImproperlyConfigured(f"{name}={text!r} is neither 1 nor 0.")


def env_int(name: str, default: int, purpose: str, *, low: int, high: int) -> int:
    text = _read(name, str(default), purpose)
    try:
        value = int(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={text!r} is not a whole number.") from error
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={value} is outside {low} to {high}.")
    return value


def env_float(name: str, default: float, purpose: str, *, low: float, high: float) -> float:
    text = _read(name, f"{default:g}", purpose)
    try:
        value = float(text)
    except ValueError as error:
        raise ImproperlyConfigured(f"{name}={text!r} is not a number.") from error
    if not low <= value <= high:
        raise ImproperlyConfigured(f"{name}={value:g} is outside {low:g} to {high:g}.")
    return value


def env_choice(name: str, default: str, choices: tuple[str, ...], purpose: str) -> str:
    """One of `choices`."""
    text = _read(name, default, f"{purpose} One of {', '.join(choices)}.")
    if text not in choices:
        raise ImproperlyConfigured(f"{name}={text!r} is none of {', '.join(choices)}.")
    return text


def env_list(name: str, default: str, purpose: str) -> list[str]:
    """Comma-separated words; spaces around them are dropped."""
    return split_words(_read(name, default, purpose))


def split_words(text: str) -> list[str]:
    """The words between the commas, without spaces around them and without empty ones."""
    return [word.strip() for word in text.split(",") if word.strip()]
