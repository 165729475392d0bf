#!/bin/sh
# Prometheus, Alertmanager and node_exporter for the demo and the tests of the alert rules. As root on Debian or Ubuntu what
# is missing is installed, the programs alone: Debian's services for them are neither started now nor with the machine.
# Elsewhere nothing happens; the demo says itself what it does without.
set -eu
missing=
for pair in prometheus:prometheus prometheus-alertmanager:prometheus-alertmanager prometheus-node-exporter:prometheus-node-exporter; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || command -v "$(echo "${pair%%:*}" | sed 's/^prometheus-//; s/-/_/')" >/dev/null 2>&1 ||
        missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || exit 0

policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
    printf '#!/bin/sh\nexit 101\n' >"$policy"
    chmod 755 "$policy"
    trap 'rm -f "$policy"' EXIT
    trap 'exit 130' INT TERM
fi
echo "Installing with apt:$missing"
# shellcheck disable=SC2086 # one word per package
{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>&1 ||
    { echo "apt could not install:$missing"; exit 0; }
command -v systemctl >/dev/null || exit 0
for package in $missing; do
    systemctl disable --quiet "$package" >/dev/null 2>&1 || true
done
