#!/bin/sh
# Makes sure that programs exist: system.sh [--try] PROGRAM:PACKAGE ... As root on Debian or Ubuntu a missing one is
# installed, elsewhere the script says what to install and ends with 2; with --try it leaves saying so to what needs them.
set -eu
try=
[ "$1" != --try ] || { try=yes; shift; }
missing=
for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null 2>&1 || missing="$missing ${pair#*:}"
done
[ -n "$missing" ] || exit 0
refuse() {
    [ -z "$try" ] || exit 0
    echo "$1" >&2
    exit 2
}
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    echo "Installing with apt:$missing"
    # shellcheck disable=SC2086 # one word per package
    if { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing; } >/dev/null 2>&1; then
        exit 0
    fi
    refuse "apt could not install:$missing. Install it by hand and try again."
fi
refuse "Not found on this machine:$missing. Install it (on Debian or Ubuntu: sudo apt-get install$missing) and try again."
