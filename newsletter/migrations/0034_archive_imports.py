"""Imports of archives: runs, their uploads and entries, and what each past issue became."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0033_web_versions'),
    ]

    operations = [
        migrations.CreateModel(
            name='ArchiveImport',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('source_name', models.CharField(help_text='Name of the uploaded file, or path that a command has read.', max_length=500, verbose_name='archive')),
                ('is_local', models.BooleanField(default=False, editable=False, help_text='A command reads it from its disk; workers leave it alone.')),
                ('size', models.BigIntegerField(default=0, help_text='In bytes.', verbose_name='size')),
                ('sha256', models.CharField(blank=True, help_text='Of the upload. Empty: it is still arriving.', max_length=64)),
                ('archive', models.CharField(blank=True, help_text='Its code, such as ghost.', max_length=30, verbose_name='kind of archive')),
                ('site_url', models.CharField(blank=True, help_text='Address of the old site, against which relative links are resolved.', max_length=300, verbose_name='old site')),
                ('as_drafts', models.BooleanField(default=False, verbose_name='all as drafts')),
                ('keeps_tracking', models.BooleanField(default=False, help_text='Whether utm_ parameters of links are kept.', verbose_name='keep utm parameters')),
                ('state', models.CharField(choices=[('checking', 'Checking'), ('checked', 'Checked'), ('running', 'Running'), ('paused', 'Paused'), ('finished', 'Finished'), ('undoing', 'Undoing'), ('undone', 'Undone'), ('failed', 'Failed')], default='checking', editable=False, max_length=10, verbose_name='state')),
                ('problem', models.CharField(blank=True, choices=[('archive', 'The archive cannot be read.'), ('file_deleted', 'The uploaded file was deleted. Upload it again.'), ('interrupted', 'The command that ran it was interrupted. Run it again: it goes on.'), ('error', 'An unexpected error occurred. The log of the worker has the details.')], editable=False, max_length=14)),
                ('detail', models.JSONField(editable=False, help_text='The sentence of the problem.', null=True)),
                ('entry_count', models.PositiveIntegerField(default=0, editable=False, help_text='Entries that were read so far.', verbose_name='entries')),
                ('done_count', models.PositiveIntegerField(default=0, editable=False)),
                ('expected', models.JSONField(default=dict, editable=False, help_text='Counts of the check.')),
                ('counts', models.JSONField(default=dict, editable=False, help_text='Counts of what was imported.')),
                ('undone', models.JSONField(default=dict, editable=False, help_text='Issues that were removed, and kept.')),
                ('last_pk', models.BigIntegerField(default=0, editable=False)),
                ('resumed_at', models.PositiveIntegerField(editable=False, help_text='Entries that were done when another worker continued.', null=True)),
                ('worker', models.CharField(blank=True, editable=False, max_length=40)),
                ('heartbeat_at', models.DateTimeField(editable=False, null=True)),
                ('by', models.CharField(blank=True, editable=False, max_length=150, verbose_name='by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('checked_at', models.DateTimeField(editable=False, null=True)),
                ('started_at', models.DateTimeField(editable=False, null=True, verbose_name='started at')),
                ('ended_at', models.DateTimeField(editable=False, null=True, verbose_name='ended at')),
                ('newsletter', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='archive_imports', to='newsletter.newsletter', verbose_name='newsletter')),
            ],
            options={
                'verbose_name': 'import of an archive',
                'verbose_name_plural': 'imports of archives',
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='ArchiveEntry',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveIntegerField()),
                ('place', models.CharField(help_text='Path of the file, with the row if it holds several.', max_length=500)),
                ('key', models.CharField(blank=True, max_length=500)),
                ('title', models.CharField(blank=True, max_length=200)),
                ('published_at', models.DateTimeField(null=True)),
                ('date_source', models.CharField(blank=True, max_length=10)),
                ('visibility', models.CharField(blank=True, max_length=10)),
                ('data', models.JSONField(help_text='The issue as it was read. Emptied when the import ends.', null=True)),
                ('source_sha256', models.CharField(blank=True, max_length=64)),
                ('expected', models.CharField(choices=[('created', 'New issue'), ('updated', 'Updated, because the archive changed'), ('unchanged', 'No change'), ('edited', 'Left alone: changed here since its import'), ('removed', 'Left alone: deleted here since its import'), ('failed', 'Failed'), ('no_issue', 'Not an issue')], max_length=10)),
                ('outcome', models.CharField(blank=True, choices=[('created', 'New issue'), ('updated', 'Updated, because the archive changed'), ('unchanged', 'No change'), ('edited', 'Left alone: changed here since its import'), ('removed', 'Left alone: deleted here since its import'), ('failed', 'Failed'), ('no_issue', 'Not an issue')], max_length=10)),
                ('is_on_web', models.BooleanField(default=False)),
                ('notes', models.JSONField(default=list, help_text='Sentences with their lines in the file.')),
                ('link_count', models.PositiveIntegerField(default=0)),
                ('lost_link_count', models.PositiveIntegerField(default=0)),
                ('issue', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='newsletter.issue')),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='entries', to='newsletter.archiveimport')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ArchiveImportPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('data', models.BinaryField()),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='newsletter.archiveimport')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ImportedIssue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('archive', models.CharField(help_text='Code of the kind of archive.', max_length=30)),
                ('key', models.CharField(help_text='Stable within its archive.', max_length=500)),
                ('place', models.CharField(max_length=500)),
                ('source_sha256', models.CharField(max_length=64)),
                ('keeps_tracking', models.BooleanField(default=False, help_text='Whether utm_ parameters of links were kept.')),
                ('revision', models.PositiveIntegerField(help_text='Of the issue, as the last import left it.')),
                ('web_version', models.PositiveIntegerField(default=0, help_text='Of its page, as the last import left it; 0: it was not on the web.')),
                ('is_undone', models.BooleanField(default=False, help_text='Its import was undone: its page was taken down.')),
                ('published_at', models.DateTimeField(null=True)),
                ('date_source', models.CharField(max_length=10)),
                ('visibility', models.CharField(max_length=10)),
                ('language', models.CharField(blank=True, max_length=35)),
                ('unknown', models.JSONField(default=dict, help_text='Keys of the source that have no meaning here.')),
                ('notes', models.JSONField(default=list)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('updated_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('issue', models.OneToOneField(help_text='Empty: it was deleted.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='imported_as', to='newsletter.issue')),
                ('newsletter', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='imported_issues', to='newsletter.newsletter')),
                ('owner', models.ForeignKey(help_text='Which made it.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='made', to='newsletter.archiveimport')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddIndex(
            model_name='archiveimport',
            index=models.Index(condition=models.Q(('state__in', ('checking', 'running', 'undoing'))), fields=['id'], name='archive_import_working'),
        ),
        migrations.AddConstraint(
            model_name='archiveimport',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['checking', 'checked', 'running', 'paused', 'finished', 'undoing', 'undone', 'failed'])), name='archive_import_state_known'),
        ),
        migrations.AddConstraint(
            model_name='archiveentry',
            constraint=models.UniqueConstraint(fields=('owner', 'position'), name='archive_entry_once'),
        ),
        migrations.AddConstraint(
            model_name='archiveentry',
            constraint=models.CheckConstraint(condition=models.Q(('expected__in', ['created', 'updated', 'unchanged', 'edited', 'removed', 'failed', 'no_issue']), ('outcome__in', ['', 'created', 'updated', 'unchanged', 'edited', 'removed', 'failed', 'no_issue'])), name='archive_entry_outcome_known'),
        ),
        migrations.AddConstraint(
            model_name='archiveimportpart',
            constraint=models.UniqueConstraint(fields=('owner', 'number'), name='archive_import_part_once'),
        ),
        migrations.AddConstraint(
            model_name='importedissue',
            constraint=models.UniqueConstraint(fields=('newsletter', 'archive', 'key'), name='imported_issue_once'),
        ),
    ]
