"""Sums of clicks by story and hour, and how far it is measured who still reads."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0027_report'),
    ]

    operations = [
        migrations.CreateModel(
            name='ClickHour',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('hour', models.DateTimeField()),
                ('humans', models.IntegerField(default=0)),
                ('edition', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='click_hours', to='newsletter.edition')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('edition', 'hour'), name='click_hour_once'), models.CheckConstraint(condition=models.Q(('humans__gte', 0)), name='click_hour_positive')],
            },
        ),
        migrations.CreateModel(
            name='EditionStory',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField(help_text='In reading order, from 1; 0 is the whole mail.')),
                ('kind', models.CharField(blank=True, max_length=10)),
                ('title', models.CharField(blank=True, max_length=300, verbose_name='title')),
                ('source', models.CharField(blank=True, help_text='Its source, or the host of its first link.', max_length=200, verbose_name='source')),
                ('url', models.TextField(blank=True, help_text='The address of its first link.')),
                ('first_number', models.PositiveSmallIntegerField(help_text='Its first link, as hits number them.')),
                ('last_number', models.PositiveSmallIntegerField()),
                ('humans', models.IntegerField(default=0, help_text='Humans who clicked, once for each link.')),
                ('machine_hits', models.IntegerField(default=0, help_text='Hits that were not judged to be a human’s.')),
                ('edition', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='stories', to='newsletter.edition')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('edition', 'position'), name='edition_story_once'), models.CheckConstraint(condition=models.Q(('humans__gte', 0), ('machine_hits__gte', 0)), name='edition_story_counts_positive')],
            },
        ),
        migrations.CreateModel(
            name='ReadingMeasurement',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.CharField(help_text='The month at whose end it is measured: 2026-11.', max_length=7)),
                ('last_subscription', models.BigIntegerField(default=0, help_text='The last subscription that was looked at.')),
                ('finished_at', models.DateTimeField(null=True)),
                ('newsletter', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='newsletter.newsletter')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('newsletter', 'month'), name='reading_measurement_once')],
            },
        ),
    ]
