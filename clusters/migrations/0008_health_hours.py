from django.db import migrations

# One row an hour, rolled up from the minutes; partitioned by month. The roll-up asks for the newest hour.
HOURS = """
CREATE TABLE clusters_healthhour (
    cluster_id bigint NOT NULL, signal text NOT NULL, at timestamptz NOT NULL,
    low double precision, high double precision, state smallint NOT NULL,
    PRIMARY KEY (cluster_id, signal, at)
) PARTITION BY RANGE (at);
CREATE INDEX clusters_healthhour_newest ON clusters_healthhour (at);
"""


class Migration(migrations.Migration):
    dependencies = [
        ("clusters", "0007_load_tests"),
    ]

    operations = [
        migrations.RunSQL(HOURS, "DROP TABLE clusters_healthhour"),
    ]
