"""The tables of imports, and an index of what deleted subscriptions leave behind."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


def make_unlogged(apps, schema_editor):
    """Staged rows are read again from the file after a crash: PostgreSQL need not write them twice."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE subscribers_stagedrow SET UNLOGGED")


class Migration(migrations.Migration):

    dependencies = [
        ('subscribers', '0009_fields_tags_segments'),
    ]

    operations = [
        migrations.CreateModel(
            name='Import',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('file_name', models.CharField(max_length=255, verbose_name='file name')),
                ('size', models.BigIntegerField(help_text='In bytes.', verbose_name='size')),
                ('sha256', models.CharField(max_length=64)),
                ('header_fingerprint', models.CharField(blank=True, help_text='SHA-256 of the columns. A plan is remembered for files with the same.', max_length=64)),
                ('plan', models.JSONField(blank=True, default=dict, help_text='The plan of each table of the file.', verbose_name='plan')),
                ('update_mode', models.CharField(choices=[('fill_empty', 'Fill in what is empty, and add tags'), ('replace', 'Replace names and fields by those of the file, and add tags')], default='fill_empty', max_length=10, verbose_name='known subscribers')),
                ('state', models.CharField(choices=[('uploaded', 'Uploaded'), ('checking', 'Checking'), ('checked', 'Checked'), ('running', 'Running'), ('paused', 'Paused'), ('finished', 'Finished'), ('undoing', 'Undoing'), ('undone', 'Undone'), ('failed', 'Failed')], default='uploaded', editable=False, max_length=10, verbose_name='state')),
                ('problem', models.CharField(blank=True, choices=[('file', 'The file cannot be read.'), ('file_deleted', 'The file was deleted.'), ('too_many_tags', 'The file has too many different tags. Check the column of the tags.'), ('secret', 'SUPPRESSION_SECRET is not the one under which suppressed addresses are stored.'), ('error', 'An unexpected error occurred. The log of the worker has the details.')], editable=False, max_length=14)),
                ('detail', models.CharField(blank=True, editable=False, max_length=500)),
                ('next_table', models.PositiveIntegerField(default=0, editable=False)),
                ('next_line', models.PositiveBigIntegerField(default=1, editable=False)),
                ('is_read', models.BooleanField(default=False, editable=False)),
                ('row_count', models.PositiveBigIntegerField(default=0, editable=False, help_text='Rows that were read so far.', verbose_name='rows')),
                ('staged_count', models.PositiveBigIntegerField(default=0, editable=False)),
                ('tag_names', models.JSONField(default=list, editable=False)),
                ('dropped_values', models.JSONField(default=dict, editable=False)),
                ('expected', models.JSONField(default=dict, editable=False, help_text='Outcomes of the check.')),
                ('preview', models.JSONField(default=list, editable=False)),
                ('last_address', models.CharField(blank=True, editable=False, max_length=320)),
                ('last_pk', models.BigIntegerField(default=0, editable=False)),
                ('done_count', models.PositiveBigIntegerField(default=0, editable=False)),
                ('outcomes', models.JSONField(default=dict, editable=False, verbose_name='outcomes')),
                ('undone', models.JSONField(default=dict, editable=False, help_text='Subscriptions that were removed, and kept.')),
                ('resumed_at', models.PositiveBigIntegerField(editable=False, help_text='Rows that were done when another worker continued.', null=True)),
                ('worker', models.CharField(blank=True, editable=False, max_length=40)),
                ('heartbeat_at', models.DateTimeField(editable=False, null=True)),
                ('by', models.CharField(blank=True, editable=False, max_length=150, verbose_name='by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('checked_at', models.DateTimeField(editable=False, null=True)),
                ('started_at', models.DateTimeField(editable=False, null=True, verbose_name='started at')),
                ('phase_started_at', models.DateTimeField(editable=False, null=True)),
                ('ended_at', models.DateTimeField(editable=False, null=True, verbose_name='ended at')),
            ],
            options={
                'verbose_name': 'import',
                'verbose_name_plural': 'imports',
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='ImportPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('data', models.BinaryField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ImportRefusal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('table', models.CharField(blank=True, max_length=255)),
                ('position', models.PositiveBigIntegerField(help_text='The number of the row over all tables of the file.')),
                ('line', models.PositiveBigIntegerField()),
                ('reason', models.CharField(max_length=40)),
                ('detail', models.CharField(blank=True, max_length=300)),
                ('cells', models.JSONField(default=list)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ImportSuppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fingerprint', models.CharField(max_length=64)),
                ('reason', models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor')], max_length=12)),
                ('created_at', models.DateTimeField()),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='StagedRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveBigIntegerField(help_text='The number of the row over all tables of the file.')),
                ('canonical', models.CharField(max_length=320)),
                ('fingerprint', models.CharField(max_length=64)),
                ('address', models.CharField(max_length=320)),
                ('rank', models.PositiveSmallIntegerField(help_text='Of two rows of a subscriber, the one with the higher wins.')),
                ('first_name', models.CharField(max_length=60)),
                ('time_zone', models.CharField(max_length=64)),
                ('language', models.CharField(max_length=10)),
                ('tags', models.TextField(help_text='Numbers into the import’s tag names, separated by commas.')),
                ('field_values', models.TextField(help_text='JSON: pairs of a field’s number in the plan and a text.')),
                ('note', models.TextField()),
                ('joined_at', models.DateTimeField(null=True)),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('source', models.CharField(max_length=300)),
                ('evidence', models.CharField(max_length=300)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddIndex(
            model_name='consent',
            index=models.Index(condition=models.Q(('kind__in', ('unsubscribed', 'declined', 'suppressed')), ('subscription__isnull', True)), fields=['canonical'], name='consent_of_deleted'),
        ),
        migrations.AddField(
            model_name='import',
            name='mailing_list',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='imports', to='subscribers.mailinglist', verbose_name='mailing list'),
        ),
        migrations.AddField(
            model_name='importpart',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='subscribers.import'),
        ),
        migrations.AddField(
            model_name='importrefusal',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='refusals', to='subscribers.import'),
        ),
        migrations.AddField(
            model_name='importsuppression',
            name='owner',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='suppressions', to='subscribers.import'),
        ),
        migrations.AddField(
            model_name='stagedrow',
            name='owner',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='staged_rows', to='subscribers.import'),
        ),
        migrations.AddIndex(
            model_name='import',
            index=models.Index(condition=models.Q(('state__in', ('checking', 'running', 'undoing'))), fields=['id'], name='import_working'),
        ),
        migrations.AddConstraint(
            model_name='import',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['uploaded', 'checking', 'checked', 'running', 'paused', 'finished', 'undoing', 'undone', 'failed'])), name='import_state_known'),
        ),
        migrations.AddConstraint(
            model_name='import',
            constraint=models.CheckConstraint(condition=models.Q(('update_mode__in', ['fill_empty', 'replace'])), name='import_update_mode_known'),
        ),
        migrations.AddConstraint(
            model_name='importpart',
            constraint=models.UniqueConstraint(fields=('owner', 'number'), name='import_part_once'),
        ),
        migrations.AddConstraint(
            model_name='importsuppression',
            constraint=models.UniqueConstraint(fields=('owner', 'fingerprint'), name='import_suppression_once'),
        ),
        migrations.AddIndex(
            model_name='stagedrow',
            index=models.Index(fields=['owner', 'canonical'], name='staged_row_address'),
        ),
        migrations.RunPython(make_unlogged, migrations.RunPython.noop),
    ]
