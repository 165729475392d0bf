"""Settings of the test suite: the same as production's, on servers that the suite starts itself (tests/conftest.py).

Only this module may change the environment: pytest-django reads the settings before any conftest is loaded. A variable
that a developer has set must not reach a test, so all of the portal's own are dropped first.
"""

import os
import tempfile

for _name in ("DATABASE_URL", "VALKEY_URL", "SECRET_KEY", "FIELD_KEYS", "METRICS_TOKEN"):
    os.environ.pop(_name, None)
    os.environ.pop(f"{_name}_FILE", None)
for _name in ("DEMO", "HTTPS_ONLY", "TRUSTED_PROXIES", "ALLOWED_HOSTS", "CSRF_TRUSTED_ORIGINS", "HOST", "PORT"):
    os.environ.pop(_name, None)
# One directory per run: the process that starts the run makes it, xdist's workers inherit the name.
os.environ.setdefault("PORTAL_TEST_VAR", os.path.join(tempfile.gettempdir(), f"ops-portal-test-{os.getpid()}"))  # noqa: PTH118
os.environ["PORTAL_VAR"] = os.environ["PORTAL_TEST_VAR"]
os.environ["DEPLOYMENT_ID"] = f"test-{os.environ.get('PYTEST_XDIST_WORKER', 'main')}-{os.getpid()}"

from ops_portal.settings.base import *  # noqa: E402, F403

PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
STATIC_ROOT.mkdir(parents=True, exist_ok=True)  # noqa: F405 - WhiteNoise warns about a missing one
