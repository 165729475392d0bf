import uuid

from django.db import migrations, models

APPEND_ONLY = """
CREATE FUNCTION accounts_auditentry_refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION 'the audit trail is append-only' USING ERRCODE = 'restrict_violation';
END
$$;
CREATE TRIGGER accounts_auditentry_append_only BEFORE UPDATE OR DELETE ON accounts_auditentry
    FOR EACH ROW EXECUTE FUNCTION accounts_auditentry_refuse_change();
"""
UNDO = """
DROP TRIGGER accounts_auditentry_append_only ON accounts_auditentry;
DROP FUNCTION accounts_auditentry_refuse_change();
"""


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial")]

    operations = [
        migrations.AddField("user", "session_generation", models.PositiveIntegerField(default=1)),
        migrations.AddField("user", "demo", models.BooleanField(default=False)),
        migrations.AddField("apitoken", "family", models.UUIDField(db_index=True, default=uuid.uuid4)),
        migrations.RunSQL(APPEND_ONLY, UNDO),
    ]
