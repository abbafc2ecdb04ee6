"""By which mail a subscription was ended, and why, as codes that stay when a subscriber is erased."""

from django.db import migrations, models

from subscribers.migrations import _append_only

#: As in 0009.
OLD_COLUMNS = {
    "text": ("address", "canonical", "source", "user_agent", "by", "detail"),
    "null": ("subscription_id", "transactional_mail_id", "ip"),
    "fixed": ("id", "kind", "created_at", "list_name", "form", "text_id", "language", "reason"),
}
COLUMNS = {**OLD_COLUMNS, "fixed": (*OLD_COLUMNS["fixed"], "mail_reference", "leave_reason")}
TABLE = "subscribers_consent"


def refuse_changes(apps, schema_editor):
    _append_only.refuse_changes(schema_editor, {TABLE: COLUMNS})


def refuse_changes_of_old_columns(apps, schema_editor):
    _append_only.refuse_changes(schema_editor, {TABLE: OLD_COLUMNS})


def allow_changes(apps, schema_editor):
    _append_only.allow_changes(schema_editor, {TABLE: COLUMNS})


class Migration(migrations.Migration):

    dependencies = [
        ('subscribers', '0012_cohorts'),
    ]

    operations = [
        migrations.RunPython(allow_changes, refuse_changes_of_old_columns),
        migrations.AddField(
            model_name='consent',
            name='leave_reason',
            field=models.CharField(choices=[('too_many', 'Too many mails'), ('not_expected', 'Not what I expected'), ('never_signed_up', 'I never signed up'), ('other', 'Another reason')], help_text='Why the subscriber has unsubscribed, as a code. It stays when the detail is erased.', max_length=20, null=True, verbose_name='reason of the subscriber'),
        ),
        migrations.AddField(
            model_name='consent',
            name='mail_reference',
            field=models.BigIntegerField(help_text='The number of the mail by whose link the subscription was ended.', null=True, verbose_name='mail'),
        ),
        migrations.AddIndex(
            model_name='consent',
            index=models.Index(condition=models.Q(('mail_reference__isnull', False)), fields=['mail_reference'], name='consent_by_mail'),
        ),
        migrations.AddConstraint(
            model_name='consent',
            constraint=models.UniqueConstraint(condition=models.Q(('mail_reference__isnull', False), models.Q(('form', 'unsubscribe-reason'), _negated=True)), fields=('mail_reference', 'subscription'), name='consent_left_by_mail_once'),
        ),
        migrations.RunPython(refuse_changes, allow_changes),
    ]
