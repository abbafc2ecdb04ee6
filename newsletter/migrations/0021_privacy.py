"""The provider's suppression list as it was last read, and an index of events that fit no delivery."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0020_audience'),
    ]

    operations = [
        migrations.CreateModel(
            name='ProviderSuppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=16, verbose_name='provider')),
                ('fingerprint', models.CharField(max_length=64)),
                ('suppression_id', models.CharField(blank=True, default='', help_text="The provider's id of the entry; empty if not known yet.", max_length=64)),
                ('origin', models.CharField(blank=True, default='', help_text="The provider's word for why.", max_length=16)),
                ('listed_at', models.DateTimeField(null=True)),
                ('seen_at', models.DateTimeField(help_text='The beginning of the last reading that found it.', null=True)),
                ('removal_requested_at', models.DateTimeField(help_text='When the suppression was lifted here.', null=True)),
                ('removal_failed_at', models.DateTimeField(null=True)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='SuppressionSync',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=16, unique=True)),
                ('started_at', models.DateTimeField(help_text='The present reading; empty if none is under way.', null=True)),
                ('cursor', models.CharField(blank=True, default='', max_length=64)),
                ('claimed_until', models.DateTimeField(null=True)),
                ('finished_at', models.DateTimeField(help_text='The last complete reading.', null=True)),
                ('listed', models.PositiveIntegerField(default=0, help_text='Entries that the present or last reading found.')),
                ('failed_at', models.DateTimeField(help_text='The last failure since a complete reading.', null=True)),
                ('code', models.CharField(blank=True, default='', max_length=64)),
                ('detail', models.CharField(blank=True, default='', max_length=300)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('state', 'orphan')), fields=['received_at'], name='event_orphans'),
        ),
        migrations.AddIndex(
            model_name='providersuppression',
            index=models.Index(condition=models.Q(('removal_requested_at__isnull', False)), fields=['removal_requested_at'], name='provider_suppression_to_remove'),
        ),
        migrations.AddConstraint(
            model_name='providersuppression',
            constraint=models.UniqueConstraint(fields=('provider', 'fingerprint'), name='provider_suppression_once'),
        ),
    ]
