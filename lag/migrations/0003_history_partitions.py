"""Partitioned history: one table per level, keyed (group, topic, block start); topic 0 = the whole group."""

from django.db import migrations

# Blocks are compressed already, so PostgreSQL need not try again. A row that many polls rewrite keeps room on its page for
# the next version, and vacuum comes before the table has doubled.
TABLE = """
CREATE TABLE {name} (
    group_id bigint NOT NULL, topic_id bigint NOT NULL, at timestamptz NOT NULL, data bytea NOT NULL,
    PRIMARY KEY (group_id, topic_id, at)
) PARTITION BY RANGE (at);
ALTER TABLE {name} ALTER COLUMN data SET STORAGE EXTERNAL;
"""
CURRENT = """
ALTER TABLE {name} SET (fillfactor = {fill}, autovacuum_vacuum_scale_factor = 0.1, autovacuum_vacuum_threshold = 2000);
"""
LEVELS = ("lag_historyraw", "lag_historyminute", "lag_historyhour")


class Migration(migrations.Migration):
    dependencies = [("lag", "0002_poll_state_and_history")]

    operations = [
        *(migrations.RunSQL(TABLE.format(name=name), f"DROP TABLE {name}") for name in LEVELS),
        *(
            migrations.RunSQL(CURRENT.format(name=name, fill=fill), migrations.RunSQL.noop)
            for name, fill in (
                ("lag_consumergroup", 60),
                ("lag_grouptopic", 50),
                ("lag_storedmemory", 50),
                ("lag_storedknots", 50),
                ("lag_lagstate", 20),
                ("lag_historycycle", 100),
            )
        ),
        *(
            migrations.RunSQL(f"ALTER TABLE {name} ALTER COLUMN {column} SET STORAGE EXTERNAL", migrations.RunSQL.noop)
            for name, column in (
                ("lag_historycycle", "data"),
                ("lag_storedmemory", "data"),
                ("lag_storedknots", "data"),
            )
        ),
    ]
