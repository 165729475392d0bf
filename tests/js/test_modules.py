"""The browser modules' own tests, run by node."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

DIRECTORY = Path(__file__).parent


def test_browser_modules_pass_their_own_tests() -> None:
    node = shutil.which("node")
    if node is None:
        if os.environ.get("CI") == "true":
            pytest.fail("node is missing")
        pytest.skip("node is missing")
    files = sorted(str(path) for path in DIRECTORY.glob("*.test.js"))
    done = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
