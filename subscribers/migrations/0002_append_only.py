"""Makes the tables of consents append-only, by triggers of the database."""

from django.db import migrations

from subscribers.migrations import _append_only

#: Table → columns that may be emptied: those of text to an empty string, the others to NULL.
TABLES = {
    "subscribers_consent": {
        "text": ("address", "canonical", "source", "user_agent", "detail"),
        "null": ("subscription_id", "notice_id", "ip"),
        "fixed": ("id", "kind", "created_at", "list_name", "form", "text_id", "language"),
    },
    "subscribers_consenttext": {
        "text": (),
        "null": (),
        "fixed": ("id", "sha256", "form", "version", "text", "created_at"),
    },
}


def refuse_changes(apps, schema_editor):
    _append_only.refuse_changes(schema_editor, TABLES)


def allow_changes(apps, schema_editor):
    _append_only.allow_changes(schema_editor, TABLES)


class Migration(migrations.Migration):
    dependencies = [("subscribers", "0001_initial")]

    operations = [migrations.RunPython(refuse_changes, allow_changes)]
