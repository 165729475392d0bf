"""Settings of the test suite: the same as production's, on services that the suite starts itself (tests/conftest.py)."""

from ops_portal.settings.base import *  # noqa: F403

DEBUG = False
DEMO = False
ALLOWED_HOSTS = ["127.0.0.1", "localhost", "testserver"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}
