#!/bin/sh
# Makes .venv and installs the locked packages: python.sh base|dev|demo. Needs Python 3.11 or newer and, the first time, a package index.
set -eu
cd "$(dirname "$0")/../.."
python=${PYTHON:-python3}

command -v "$python" >/dev/null || { echo "Python 3.11 or newer is needed; install it or name it with PYTHON=." >&2; exit 2; }
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed, $python is $("$python" -V 2>&1); name another with PYTHON=." >&2
    exit 2
}
if ! [ -x .venv/bin/python ] || ! .venv/bin/python -c 'import pip' 2>/dev/null; then
    if ! "$python" -c 'import ensurepip' 2>/dev/null; then
        sh deploy/bootstrap/system.sh "$("$python" -c 'import sys; print("venv:python3.%d-venv" % sys.version_info[1])')"
    fi
    "$python" -m venv --clear .venv
fi
echo "Installing the Python packages ($1)."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r "requirements/$1.txt" || {
    echo "The Python packages could not be installed; the first run needs a package index (pip's settings apply)." >&2
    exit 2
}
