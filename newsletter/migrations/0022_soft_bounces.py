"""Soft bounces, of which repeated ones suppress an address."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0021_send_counts'),
        ('subscribers', '0011_bounce_reasons'),
    ]

    operations = [
        migrations.AlterField(
            model_name='event',
            name='bounce',
            field=models.CharField(blank=True, default='', help_text='The class of a bounce.', max_length=16, verbose_name='bounce'),
        ),
        migrations.CreateModel(
            name='SoftBounce',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fingerprint', models.CharField(help_text='The keyed hash of the address that the mail went to, which may have changed since.', max_length=64)),
                ('bounce', models.CharField(help_text='The class of the bounce.', max_length=16)),
                ('at', models.DateTimeField(help_text='When it bounced.')),
                ('recorded_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('is_settled', models.BooleanField(default=False, help_text='Whether it was decided if the address is to be suppressed.')),
                ('send', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='newsletter.send')),
                ('subscriber', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='subscribers.subscriber')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('is_settled', False)), fields=['recorded_at'], name='soft_bounce_to_settle'), models.Index(fields=['at'], name='soft_bounce_at')],
                'constraints': [models.UniqueConstraint(fields=('subscriber', 'send'), name='soft_bounce_once_per_send')],
            },
        ),
    ]
