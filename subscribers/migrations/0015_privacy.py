"""Erased addresses, records of lifted suppressions, and tables of proof that refuse TRUNCATE and REPLACE, too."""

import django.utils.timezone
from django.db import migrations, models


from subscribers.migrations import _append_only

#: As in 0005, with the columns of which no two rows share a value.
TABLES = {
    "subscribers_consent": {
        "text": ("address", "canonical", "source", "user_agent", "by", "detail"),
        "null": ("subscription_id", "transactional_mail_id", "ip"),
        "fixed": ("id", "kind", "created_at", "list_name", "form", "text_id", "language", "reason"),
    },
    "subscribers_consenttext": {
        "text": (),
        "null": (),
        "fixed": ("id", "sha256", "form", "version", "text", "created_at"),
        "unique": ("sha256",),
    },
}


def refuse_changes(apps, schema_editor):
    _append_only.refuse_changes(schema_editor, TABLES)


def allow_changes(apps, schema_editor):
    _append_only.allow_changes(schema_editor, TABLES)


class Migration(migrations.Migration):

    dependencies = [
        ('subscribers', '0014_preferences'),
    ]

    operations = [
        # Triggers of an earlier version refuse less.
        migrations.RunPython(allow_changes, refuse_changes),
        migrations.CreateModel(
            name='LiftedSuppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fingerprint', models.CharField(db_index=True, editable=False, max_length=64, verbose_name='fingerprint')),
                ('reason', models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], max_length=12, verbose_name='reason')),
                ('by', models.CharField(blank=True, help_text='The editor’s user name. Empty if the subscriber acted.', max_length=150, verbose_name='by')),
                ('explanation', models.CharField(blank=True, help_text='Why the address may be mailed again.', max_length=300, verbose_name='explanation')),
                ('lifted_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='lifted at')),
            ],
            options={
                'verbose_name': 'lifted suppression',
                'verbose_name_plural': 'lifted suppressions',
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='RetentionProgress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40, unique=True)),
                ('last_pk', models.BigIntegerField(default=0)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.RemoveConstraint(
            model_name='suppression',
            name='suppression_reason_known',
        ),
        migrations.AlterField(
            model_name='consent',
            name='reason',
            field=models.CharField(blank=True, choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], help_text='Why the address was suppressed.', max_length=12, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='suppression',
            name='reason',
            field=models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], max_length=12, verbose_name='reason'),
        ),
        migrations.AddConstraint(
            model_name='suppression',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['hard_bounce', 'complaint', 'provider', 'manual', 'erased'])), name='suppression_reason_known'),
        ),
        migrations.AddConstraint(
            model_name='liftedsuppression',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('reason', 'complaint'), _negated=True), models.Q(('explanation', ''), _negated=True), _connector='OR'), name='lifted_complaint_is_explained'),
        ),
        migrations.RunPython(refuse_changes, allow_changes),
    ]
