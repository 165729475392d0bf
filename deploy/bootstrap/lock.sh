#!/bin/sh
# Writes requirements/*.txt and package-lock.json from pyproject.toml and package.json, without addresses of registries.
set -eu
cd "$(dirname "$0")/../.."
.venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input 'uv>=0.9'
compile() {
    .venv/bin/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header "$@"
}
compile pyproject.toml --output-file requirements/base.txt
compile --group pyproject.toml:dev pyproject.toml --constraints requirements/base.txt --output-file requirements/dev.txt
compile --group pyproject.toml:demo --output-file requirements/demo.txt
compile --group pyproject.toml:node --output-file requirements/node.txt
npm install --package-lock-only --silent --no-progress
if grep -nE 'https?://[^ ]*\.(whl|tar\.gz|tgz)|--index-url' requirements/*.txt package-lock.json; then
    echo "A lock names a registry." >&2
    exit 1
fi
