"""Cohorts of lists, counted by triggers on the subscriptions."""

import django.db.models.deletion
from django.db import migrations, models

from subscribers.migrations._cohort_counts import count_cohorts, stop_counting_cohorts


class Migration(migrations.Migration):

    dependencies = [
        ('subscribers', '0011_bounce_reasons'),
    ]

    operations = [
        migrations.CreateModel(
            name='CohortCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('month', models.CharField(max_length=7)),
                ('source', models.CharField(blank=True, max_length=60)),
                ('name', models.CharField(max_length=12)),
                ('writer', models.IntegerField(default=0)),
                ('value', models.BigIntegerField(default=0)),
                ('mailing_list', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='subscribers.mailinglist')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('writer', 0), _negated=True), fields=['id'], name='cohort_count_connection')],
                'constraints': [models.UniqueConstraint(fields=('mailing_list', 'month', 'source', 'name', 'writer'), name='cohort_count_once')],
            },
        ),
        migrations.RunPython(count_cohorts, stop_counting_cohorts),
    ]
