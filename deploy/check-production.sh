#!/bin/sh
# Django's deploy check with the settings of a production host; every warning fails.
set -eu
cd "$(dirname "$0")/.."
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
key=$(.venv/bin/python -c 'import base64, os; print(base64.urlsafe_b64encode(os.urandom(32)).decode())')
DEMO=0 HTTPS_ONLY=1 TRUSTED_PROXIES=1 LOG_FORMAT=json PORTAL_VAR="$scratch" \
    SECRET_KEY="$key$key" FIELD_KEYS="2026:$key" METRICS_TOKEN="$key" \
    ALLOWED_HOSTS=portal.example.com CSRF_TRUSTED_ORIGINS=https://portal.example.com \
    DATABASE_URL=postgresql://portal@db.example.com/portal VALKEY_URL=rediss://valkey.example.com:6379/0 \
    .venv/bin/python manage.py check --deploy --fail-level WARNING
