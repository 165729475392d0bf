"""Programs that some tests need: where one cannot be had the test is skipped, with CI=true it fails."""

import os
import shutil
from typing import NoReturn

import pytest


def program(name: str, package: str) -> str:
    """Path of a program; without it the calling test is skipped, or fails with CI=true."""
    found = shutil.which(name)
    return found if found is not None else lacking(f"{name}: install the package {package}")


def lacking(what: str) -> NoReturn:
    """Skip, or fail where a skipped test would hide a broken build. `what` names what is missing and what brings it."""
    if os.environ.get("CI") == "true":
        pytest.fail(f"needed with CI=true: {what}")
    pytest.skip(f"not on this machine: {what}")
