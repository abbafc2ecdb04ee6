"""Autosave: when a revision was first autosaved, and unfinished drafts."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0030_dmarc_by_mail'),
    ]

    operations = [
        migrations.AddField(
            model_name='revision',
            name='autosaved_since',
            field=models.DateTimeField(blank=True, help_text='When the first autosave in this revision was made. Empty: it was not autosaved.', null=True, verbose_name='autosaved since'),
        ),
        migrations.CreateModel(
            name='UnfinishedDraft',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('by', models.CharField(help_text='User name.', max_length=150, verbose_name='typed by')),
                ('page', models.CharField(help_text='Key of the open page, so that two tabs do not replace each other’s text.', max_length=40, verbose_name='page')),
                ('fields', models.JSONField(help_text='The names of the form’s fields, each with its values.', verbose_name='fields')),
                ('saved_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='saved at')),
                ('issue', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='unfinished_drafts', to='newsletter.issue')),
            ],
            options={
                'verbose_name': 'unfinished draft',
                'verbose_name_plural': 'unfinished drafts',
                'ordering': ['-saved_at', '-pk'],
                'constraints': [models.UniqueConstraint(fields=('issue', 'by', 'page'), name='unfinished_draft_once_per_page')],
            },
        ),
    ]
