"""Renames notices to transactional mails, and turns stored sentences into reason codes.

The triggers of 0002 name columns that change here, and SQLite drops triggers when a table is rebuilt: they are removed
first and created again last, with the new columns.
"""

import importlib
import re

from django.db import migrations, models

from subscribers.migrations import _append_only

before = importlib.import_module("subscribers.migrations.0002_append_only")

TABLES = {
    **before.TABLES,
    "subscribers_consent": {
        "text": ("address", "canonical", "source", "user_agent", "by", "detail"),
        "null": ("subscription_id", "transactional_mail_id", "ip"),
        "fixed": ("id", "kind", "created_at", "list_name", "form", "text_id", "language", "reason"),
    },
}

#: What the columns of reasons held before.
WITHDRAWN = {
    "The address must not be mailed.": "suppressed",
    "The person said that it was not them.": "declined",
    "There is nothing left to confirm.": "nothing_to_confirm",
    "A newer mail asks the same.": "superseded",
    "Its link would have expired.": "link_expired",
    "The person has left since.": "not_subscribed",
    "No attempt was finished within 23 hours; it may have arrived or not.": "not_finished",
}
GAVE_UP = " Tried for 23 hours; it may have arrived or not."
FAILURES = {
    "connection_failed": re.compile(r"The connection to the mail server failed \((\w+)\)\."),
    "backend_error": re.compile(r"The mail backend failed in an unexpected way \((\w+)\)\."),
}
BY_STATE = {"failed": "refused", "pending": "unavailable", "unknown": "unavailable"}
SUPPRESSIONS = {
    "The mailbox does not exist": "hard_bounce",
    "Reported a mail as spam": "complaint",
    "On the provider's own list": "provider",
    "Entered by an editor": "manual",
}
LANGUAGES = ("en", "de", "fr", "es")


def reason_of(sentence, state):
    """The code for a stored sentence, and what of it stays as detail."""
    sentence = sentence.removesuffix(GAVE_UP)
    if sentence in WITHDRAWN:
        return WITHDRAWN[sentence], ""
    for code, pattern in FAILURES.items():
        if found := pattern.fullmatch(sentence):
            return code, found[1]
    return BY_STATE.get(state, "other"), sentence


def code_mails(apps, schema_editor):
    mails = apps.get_model("subscribers", "TransactionalMail").objects.exclude(reason="")
    for sentence, state in list(mails.order_by().values_list("reason", "state").distinct()):
        code, detail = reason_of(sentence, state)
        mails.filter(reason=sentence, state=state).update(reason=code, detail=detail)


def code_consents(apps, schema_editor):
    consents = apps.get_model("subscribers", "Consent").objects
    for label, reason in SUPPRESSIONS.items():
        consents.filter(form="suppression", detail=label).update(reason=reason, detail="")
    by_editors = consents.filter(form="admin", detail__startswith="By ", detail__endswith=", in the admin.")
    for detail in list(by_editors.order_by().values_list("detail", flat=True).distinct()):
        name = detail.removeprefix("By ").removesuffix(", in the admin.")
        by_editors.filter(detail=detail).update(by=name, detail="")


def shorten_languages(apps, schema_editor):
    """de-AT becomes de: pages and mails exist in four languages. Others stay, and their pages are in English."""
    lists = apps.get_model("subscribers", "MailingList").objects.exclude(language__in=LANGUAGES)
    for language in list(lists.order_by().values_list("language", flat=True).distinct()):
        base = re.split("[-_]", language.lower())[0]
        if base in LANGUAGES:
            lists.filter(language=language).update(language=base)


def rename_permissions(apps, schema_editor):
    permissions = apps.get_model("auth", "Permission").objects.using(schema_editor.connection.alias)
    for action in ("add", "change", "delete", "view"):
        permissions.filter(content_type__app_label="subscribers", codename=f"{action}_notice").update(
            codename=f"{action}_transactionalmail", name=f"Can {action} transactional mail"
        )


def refuse_changes(apps, schema_editor):
    _append_only.refuse_changes(schema_editor, TABLES)


def allow_changes(apps, schema_editor):
    _append_only.allow_changes(schema_editor, TABLES)


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("subscribers", "0004_time_zone"),
    ]

    operations = [
        migrations.RunPython(before.allow_changes, before.refuse_changes),
        migrations.RemoveConstraint("notice", "notice_kind_known"),
        migrations.RemoveConstraint("notice", "notice_state_known"),
        migrations.RenameModel("Notice", "TransactionalMail"),
        migrations.RenameIndex("transactionalmail", old_name="notice_to_send", new_name="transactional_mail_to_send"),
        migrations.RenameIndex("transactionalmail", old_name="notice_caps", new_name="transactional_mail_caps"),
        migrations.RenameField("consent", "notice", "transactional_mail"),
        migrations.AddField(
            "transactionalmail", "detail", models.CharField(blank=True, default="", max_length=500), preserve_default=False
        ),
        migrations.AddField(
            "consent", "by", models.CharField(blank=True, default="", max_length=150), preserve_default=False
        ),
        migrations.AddField(
            "consent", "reason", models.CharField(blank=True, default="", max_length=12), preserve_default=False
        ),
        migrations.RunPython(code_mails, migrations.RunPython.noop),
        migrations.RunPython(code_consents, migrations.RunPython.noop),
        migrations.RunPython(shorten_languages, migrations.RunPython.noop),
        migrations.RunPython(rename_permissions, migrations.RunPython.noop),
        migrations.RunPython(refuse_changes, allow_changes),
    ]
