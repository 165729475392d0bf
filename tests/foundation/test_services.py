"""The services that every other test stands on."""

import pytest
import redis
from django.conf import settings
from django.db import connection


@pytest.mark.django_db
def test_database_is_postgresql_18_with_the_portal_s_own_text_order() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_setting('server_version_num')::int, 'Z' < 'a', lower('Ä')")
        assert cursor.fetchone() == (pytest.approx(180_000, abs=9_999), True, "ä")


def test_valkey_answers_and_never_evicts(valkey: redis.Redis) -> None:
    key = f"{settings.DEPLOYMENT_ID}:probe"
    assert valkey.set(key, "1")
    assert valkey.config_get("maxmemory-policy") == {"maxmemory-policy": "noeviction"}
