from django.db import migrations

NO_TRUNCATE = """
CREATE TRIGGER accounts_auditentry_no_truncate BEFORE TRUNCATE ON accounts_auditentry
    FOR EACH STATEMENT EXECUTE FUNCTION accounts_auditentry_refuse_change();
"""
UNDO = "DROP TRIGGER accounts_auditentry_no_truncate ON accounts_auditentry;"


class Migration(migrations.Migration):
    dependencies = [("accounts", "0002_session_and_token_generations")]

    operations = [migrations.RunSQL(NO_TRUNCATE, UNDO)]
