"""Links to the numbers of one story, who unsubscribed by the mails of a send, and the order of its mail domains."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from newsletter.migrations._unsubscribe_counts import count_unsubscribes, stop_counting


def count_scheduled_sends(apps, schema_editor):
    """Of sends that have not begun, every mail will name its send."""
    apps.get_model("newsletter", "Send").objects.filter(state="scheduled").update(counts_unsubscribes=True)


RANKED = "CASE WHEN scope = 'domain' AND name = 'delivered' AND writer = 0 THEN value END"


def add_ranked(apps, schema_editor):
    """On SQLite it is computed when it is read: a stored one would make the table anew, and drop triggers that write it."""
    kind = "STORED" if schema_editor.connection.vendor == "postgresql" else "VIRTUAL"
    column = f"ranked bigint GENERATED ALWAYS AS ({RANKED}) {kind}"
    schema_editor.execute(f"ALTER TABLE newsletter_sendcount ADD COLUMN {column}", params=None)


def remove_ranked(apps, schema_editor):
    schema_editor.execute("ALTER TABLE newsletter_sendcount DROP COLUMN ranked", params=None)


def forget(apps, schema_editor):
    """The column goes."""


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0028_across_issues'),
        ('subscribers', '0013_where_left'),
    ]

    operations = [
        migrations.AddField(
            model_name='send',
            name='counts_unsubscribes',
            field=models.BooleanField(db_default=False, default=True, help_text='Whether the links of its mails tell that they are of this send. Those of earlier versions do not.'),
        ),
        migrations.CreateModel(
            name='ReportShare',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveSmallIntegerField(help_text='Which link of the edition it is about.')),
                ('token_sha256', models.CharField(editable=False, max_length=64, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at')),
                ('created_by', models.CharField(max_length=150, verbose_name='created by')),
                ('expires_at', models.DateTimeField(help_text='Empty: it works until it is revoked.', null=True, verbose_name='expires at')),
                ('revoked_at', models.DateTimeField(null=True, verbose_name='revoked at')),
                ('revoked_by', models.CharField(blank=True, default='', max_length=150, verbose_name='revoked by')),
                ('send', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='shares', to='newsletter.send', verbose_name='send')),
            ],
            options={
                'verbose_name': 'shared report',
                'verbose_name_plural': 'shared reports',
                'ordering': ['-pk'],
                'permissions': [('share_report', 'Can share the numbers of a story by a link, and revoke such links')],
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('revoked_at__isnull', True), ('revoked_by', '')), models.Q(('revoked_at__isnull', False), models.Q(('revoked_by', ''), _negated=True)), _connector='OR'), name='report_share_revoked_by_someone')],
            },
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AddField(
                    model_name='sendcount',
                    name='ranked',
                    field=models.GeneratedField(db_persist=True, expression=models.Case(models.When(models.Q(('name', 'delivered'), ('scope', 'domain'), ('writer', 0)), then=models.F('value'))), output_field=models.BigIntegerField(null=True)),
                ),
            ],
            database_operations=[migrations.RunPython(add_ranked, remove_ranked)],
        ),
        migrations.AddIndex(
            model_name='sendcount',
            index=models.Index(condition=models.Q(('ranked__isnull', False)), fields=['send', '-ranked', 'key'], name='send_count_ranked'),
        ),
        migrations.RunPython(count_scheduled_sends, forget),
        migrations.RunPython(count_unsubscribes, stop_counting),
    ]
