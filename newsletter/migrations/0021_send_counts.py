"""Counters of sends, kept by triggers on the deliveries."""

import django.db.models.deletion
from django.db import migrations, models

from newsletter.migrations._delivery_counts import count_deliveries, stop_counting


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0020_subscribers_and_audiences'),
    ]

    operations = [
        migrations.CreateModel(
            name='SendCount',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(blank=True, max_length=8)),
                ('key', models.CharField(blank=True, max_length=255)),
                ('name', models.CharField(max_length=64)),
                ('writer', models.IntegerField(default=0)),
                ('value', models.BigIntegerField(default=0)),
                ('send', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='newsletter.send')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('writer', 0), _negated=True), fields=['id'], name='send_count_of_connection')],
                'constraints': [models.UniqueConstraint(fields=('send', 'scope', 'key', 'name', 'writer'), name='send_count_once')],
            },
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('reason', ''), _negated=True), fields=['send', 'reason'], name='delivery_with_reason'),
        ),
        migrations.AddIndex(
            model_name='delivery',
            index=models.Index(condition=models.Q(('failed_at__isnull', False), ('suppressed_at__isnull', False), _connector='OR'), fields=['send'], name='delivery_failed_or_suppressed'),
        ),
        migrations.RunPython(count_deliveries, stop_counting),
    ]
