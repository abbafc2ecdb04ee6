"""Web pages that differ from their mails: versions, visibility, redirects; issues that are published without a send."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

from subscribers.migrations import _append_only

# `values` is a word of SQL, so it is quoted.
TABLES = {
    'newsletter_webversion': {
        'text': (),
        'null': (),
        'fixed': (
            'id', 'issue_id', 'number', 'content', 'sha256', 'source', 'note', 'is_minor', 'shows_changes', 'by', 'at'
        ),
    },
    'newsletter_webpagetransition': {
        'text': (),
        'null': (),
        'fixed': ('id', 'page_id', 'source', 'target', 'by', 'reason', '"values"', 'at'),
    },
}

VISIBILITY = [('listed', 'Listed'), ('not_indexed', 'Hidden from search engines'), ('unlisted', 'Unlisted'), ('taken_down', 'Taken down')]
STATES = [('draft', 'Draft'), ('approved', 'Approved'), ('published', 'On the web, never mailed')]


def refuse_changes(apps, schema_editor):
    _append_only.refuse_changes(schema_editor, TABLES)


def allow_changes(apps, schema_editor):
    _append_only.allow_changes(schema_editor, TABLES)


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0032_text_blocks'),
    ]

    operations = [
        migrations.RemoveConstraint(model_name='issue', name='issue_state_known'),
        migrations.AlterField(
            model_name='issue',
            name='state',
            field=models.CharField(choices=STATES, default='draft', editable=False, max_length=10),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['draft', 'approved', 'published'])), name='issue_state_known'),
        ),
        migrations.AlterField(
            model_name='issuetransition',
            name='source',
            field=models.CharField(choices=STATES, max_length=10),
        ),
        migrations.AlterField(
            model_name='issuetransition',
            name='target',
            field=models.CharField(choices=STATES, max_length=10),
        ),
        migrations.CreateModel(
            name='WebVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('issue', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='web_versions', to='newsletter.issue')),
                ('number', models.PositiveIntegerField(verbose_name='number')),
                ('content', models.JSONField(help_text='As in an edition.', verbose_name='content')),
                ('sha256', models.CharField(help_text='Of the content.', max_length=64, verbose_name='SHA-256')),
                ('source', models.CharField(choices=[('edition', 'As it was mailed'), ('import', 'As it was imported'), ('correction', 'Correction')], max_length=10, verbose_name='source')),
                ('note', models.CharField(blank=True, default='', help_text='What was corrected, for visitors. Empty for the first version and minor corrections.', max_length=500, verbose_name='note to visitors')),
                ('is_minor', models.BooleanField(default=False, help_text='The page has no note about it.', verbose_name='minor')),
                ('shows_changes', models.BooleanField(default=True, help_text='Off: visitors see neither its changes nor those of earlier corrections.', verbose_name='changes are public')),
                ('by', models.CharField(help_text='User name, or the step that made it.', max_length=150, verbose_name='made by')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='made at')),
            ],
            options={
                'verbose_name': 'web version',
                'verbose_name_plural': 'web versions',
                'ordering': ['-number'],
                'default_permissions': (),
                'constraints': [
                    models.UniqueConstraint(fields=('issue', 'number'), name='web_version_once_per_number'),
                    models.CheckConstraint(condition=models.Q(('source__in', ['edition', 'import', 'correction'])), name='web_version_source_known'),
                    models.CheckConstraint(condition=models.Q(models.Q(('source', 'correction'), _negated=True), ('is_minor', True), models.Q(('note', ''), _negated=True), _connector='OR'), name='web_version_correction_has_a_note'),
                ],
            },
        ),
        migrations.CreateModel(
            name='WebPage',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('issue', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='web_page', to='newsletter.issue')),
                ('published_at', models.DateTimeField(help_text='When an issue that was never mailed was published. Empty: as it was sent.', null=True)),
                ('visibility', models.CharField(choices=VISIBILITY, default='listed', max_length=12, verbose_name='visibility')),
                ('version', models.ForeignKey(help_text='The version that is shown. Empty: the content that was mailed.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='newsletter.webversion')),
                ('changed_at', models.DateTimeField(default=django.utils.timezone.now, help_text='When its content or visibility changed last.')),
            ],
            options={
                'verbose_name': 'web page',
                'verbose_name_plural': 'web pages',
                'default_permissions': (),
                'constraints': [
                    models.CheckConstraint(condition=models.Q(('visibility__in', ['listed', 'not_indexed', 'unlisted', 'taken_down'])), name='web_page_visibility_known'),
                    models.CheckConstraint(condition=models.Q(('published_at__isnull', True), ('version__isnull', False), _connector='OR'), name='web_page_unsent_has_a_version'),
                ],
            },
        ),
        migrations.CreateModel(
            name='WebPageTransition',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('page', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='transitions', to='newsletter.webpage')),
                ('source', models.CharField(blank=True, choices=VISIBILITY, max_length=12)),
                ('target', models.CharField(choices=VISIBILITY, max_length=12)),
                ('by', models.CharField(help_text="An editor's user name, or the step that did it.", max_length=150)),
                ('reason', models.CharField(blank=True, default='', max_length=64)),
                ('values', models.JSONField(default=dict)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'ordering': ['pk'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='WebRedirect',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('path', models.CharField(help_text='Decoded, without final slash or .html.', max_length=500, unique=True, verbose_name='path')),
                ('issue', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='web_redirects', to='newsletter.issue')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'verbose_name': 'redirect',
                'verbose_name_plural': 'redirects',
                'default_permissions': (),
            },
        ),
        migrations.RunPython(refuse_changes, allow_changes),
    ]
