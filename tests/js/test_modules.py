"""The browser modules' own tests, run by node."""

import subprocess
from pathlib import Path

from tests.programs import program

DIRECTORY = Path(__file__).parent


def test_browser_modules_pass_their_own_tests() -> None:
    node = program("node", "nodejs")
    files = sorted(str(path) for path in DIRECTORY.glob("*.test.js"))
    done = subprocess.run([node, "--test", *files], capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout
