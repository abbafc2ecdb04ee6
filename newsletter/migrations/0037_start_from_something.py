"""Templates, snippets, recurring drafts, issue numbers, and the bin."""

import datetime
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0036_pictures'),
    ]

    operations = [
        migrations.CreateModel(
            name='DraftMade',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('date', models.DateField(help_text='In the time zone of the newsletter.')),
                ('links', models.PositiveSmallIntegerField(default=0, help_text='Links that it took.')),
                ('made_at', models.DateTimeField()),
            ],
            options={
                'ordering': ['-date'],
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='IssueTemplate',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('title_pattern', models.CharField(blank=True, help_text='Leave empty to use the newsletter’s title pattern.', max_length=150, verbose_name='title pattern')),
                ('subject_pattern', models.CharField(blank=True, help_text='Leave empty to use the title.', max_length=150, verbose_name='subject pattern')),
                ('content', models.JSONField(help_text='The content as revisions store it; without a title.', verbose_name='content')),
                ('saved_by', models.CharField(editable=False, max_length=150, verbose_name='saved by')),
                ('saved_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='saved at')),
            ],
            options={
                'verbose_name': 'issue template',
                'verbose_name_plural': 'issue templates',
                'ordering': ['name', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='RecurringDraft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('weekday', models.PositiveSmallIntegerField(choices=[(0, 'Monday'), (1, 'Tuesday'), (2, 'Wednesday'), (3, 'Thursday'), (4, 'Friday'), (5, 'Saturday'), (6, 'Sunday')], verbose_name='weekday')),
                ('time', models.TimeField(default=datetime.time(9, 0), verbose_name='time')),
                ('is_active', models.BooleanField(default=True, help_text='Drafts are made only while it is active.', verbose_name='active')),
                ('most_links', models.PositiveSmallIntegerField(default=0, help_text='How many kept links of the inbox the draft takes as stories at most, the newest first. 0: none.', validators=[django.core.validators.MaxValueValidator(50)], verbose_name='links')),
                ('section', models.CharField(blank=True, help_text='The section for these stories. Leave empty to use the section of each feed.', max_length=200, verbose_name='section')),
                ('next_date', models.DateField(editable=False, help_text='The day of the next draft.', null=True)),
                ('next_at', models.DateTimeField(editable=False, help_text='Empty: not planned yet.', null=True)),
                ('last_at', models.DateTimeField(editable=False, help_text='When the last draft was made.', null=True)),
                ('retry_at', models.DateTimeField(editable=False, help_text='Set after a failure.', null=True)),
                ('problem', models.CharField(blank=True, default='', editable=False, help_text='Code of why the draft could not be made.', max_length=64)),
                ('problem_values', models.JSONField(default=dict, editable=False)),
            ],
            options={
                'verbose_name': 'recurring draft',
                'verbose_name_plural': 'recurring drafts',
                'ordering': ['weekday', 'time', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='Snippet',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60, verbose_name='name')),
            ],
            options={
                'verbose_name': 'snippet',
                'verbose_name_plural': 'snippets',
                'ordering': ['name', 'pk'],
            },
        ),
        migrations.CreateModel(
            name='SnippetVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='Counted from 1.', verbose_name='number')),
                ('text', models.TextField(help_text='Markdown, as in an issue file.', verbose_name='text')),
                ('saved_by', models.CharField(max_length=150, verbose_name='saved by')),
                ('saved_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='saved at')),
            ],
            options={
                'ordering': ['-number'],
                'default_permissions': (),
            },
        ),
        migrations.RemoveConstraint(
            model_name='issue',
            name='issue_slug_once_per_newsletter',
        ),
        migrations.AddField(
            model_name='issue',
            name='deleted_at',
            field=models.DateTimeField(editable=False, help_text='When it was moved to the bin. Empty: it was not.', null=True, verbose_name='deleted at'),
        ),
        migrations.AddField(
            model_name='issue',
            name='deleted_by',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=150, verbose_name='deleted by'),
        ),
        migrations.AddField(
            model_name='issue',
            name='number',
            field=models.PositiveIntegerField(blank=True, help_text='Of this issue in its newsletter. Leave empty for none.', null=True, verbose_name='number'),
        ),
        migrations.AddField(
            model_name='newsletter',
            name='title_pattern',
            field=models.CharField(blank=True, db_default='', default='', help_text='The title of new drafts, for example {newsletter} #{number}. Other fields: {date}, {week}, {month}, {year}. Leave empty for none.', max_length=150, verbose_name='title pattern'),
        ),
        migrations.AddIndex(
            model_name='issue',
            index=models.Index(condition=models.Q(('deleted_at__isnull', False)), fields=['deleted_at'], name='issue_in_bin'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.UniqueConstraint(condition=models.Q(('deleted_at__isnull', True)), fields=('newsletter', 'slug'), name='issue_slug_once'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.UniqueConstraint(condition=models.Q(('deleted_at__isnull', True)), fields=('newsletter', 'number'), name='issue_number_once'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.CheckConstraint(condition=models.Q(('deleted_at__isnull', True), models.Q(('hold_reason', ''), ('state', 'draft')), _connector='OR'), name='issue_in_bin_waits_for_nothing'),
        ),
        migrations.AddField(
            model_name='draftmade',
            name='issue',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='newsletter.issue'),
        ),
        migrations.AddField(
            model_name='issuetemplate',
            name='newsletter',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='issue_templates', to='newsletter.newsletter', verbose_name='newsletter'),
        ),
        migrations.AddField(
            model_name='recurringdraft',
            name='newsletter',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='recurring_drafts', to='newsletter.newsletter', verbose_name='newsletter'),
        ),
        migrations.AddField(
            model_name='recurringdraft',
            name='template',
            field=models.ForeignKey(blank=True, help_text='Leave empty to make the draft like the last issue.', null=True, on_delete=django.db.models.deletion.SET_NULL, to='newsletter.issuetemplate', verbose_name='template'),
        ),
        migrations.AddField(
            model_name='draftmade',
            name='recurring_draft',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='made', to='newsletter.recurringdraft'),
        ),
        migrations.AddField(
            model_name='snippet',
            name='newsletter',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='snippets', to='newsletter.newsletter', verbose_name='newsletter'),
        ),
        migrations.AddField(
            model_name='snippetversion',
            name='snippet',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='newsletter.snippet'),
        ),
        migrations.AddConstraint(
            model_name='issuetemplate',
            constraint=models.UniqueConstraint(fields=('newsletter', 'name'), name='issue_template_name_once'),
        ),
        migrations.AddIndex(
            model_name='recurringdraft',
            index=models.Index(condition=models.Q(('is_active', True)), fields=['next_at'], name='recurring_draft_due'),
        ),
        migrations.AddConstraint(
            model_name='recurringdraft',
            constraint=models.CheckConstraint(condition=models.Q(('weekday__lte', 6)), name='recurring_draft_weekday_known'),
        ),
        migrations.AddConstraint(
            model_name='recurringdraft',
            constraint=models.CheckConstraint(condition=models.Q(('most_links__lte', 50)), name='recurring_draft_links_bounded'),
        ),
        migrations.AddConstraint(
            model_name='draftmade',
            constraint=models.UniqueConstraint(fields=('recurring_draft', 'date'), name='draft_made_once_per_day'),
        ),
        migrations.AddConstraint(
            model_name='snippet',
            constraint=models.UniqueConstraint(fields=('newsletter', 'name'), name='snippet_name_once'),
        ),
        migrations.AddConstraint(
            model_name='snippetversion',
            constraint=models.UniqueConstraint(fields=('snippet', 'number'), name='snippet_version_once'),
        ),
    ]
