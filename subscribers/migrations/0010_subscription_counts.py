"""Counters of lists, kept by triggers on the subscriptions."""

import django.db.models.deletion
from django.db import migrations, models

from subscribers.migrations._subscription_counts import count_subscriptions, stop_counting


class Migration(migrations.Migration):

    dependencies = [
        ('subscribers', '0009_subscribers_and_audiences'),
    ]

    operations = [
        migrations.CreateModel(
            name='SubscriptionCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('day', models.CharField(blank=True, max_length=10)),
                ('name', models.CharField(max_length=16)),
                ('writer', models.IntegerField(default=0)),
                ('value', models.BigIntegerField(default=0)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddIndex(
            model_name='consent',
            index=models.Index(condition=models.Q(('kind', 'suppressed')), fields=['created_at'], name='consent_of_suppression'),
        ),
        migrations.AddField(
            model_name='subscriptioncount',
            name='mailing_list',
            field=models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='subscribers.mailinglist'),
        ),
        migrations.AddIndex(
            model_name='subscriptioncount',
            index=models.Index(condition=models.Q(('writer', 0), _negated=True), fields=['id'], name='subscription_count_connection'),
        ),
        migrations.AddConstraint(
            model_name='subscriptioncount',
            constraint=models.UniqueConstraint(fields=('mailing_list', 'day', 'name', 'writer'), name='subscription_count_once'),
        ),
        migrations.RunPython(count_subscriptions, stop_counting),
    ]
