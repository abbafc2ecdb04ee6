# Labels of what the admin shows; no column changes.

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0013_finish_sends'),
    ]

    operations = [
        migrations.AlterField(
            model_name='batch',
            name='attempts',
            field=models.PositiveIntegerField(db_default=0, default=0, verbose_name='attempts'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='claimed_by',
            field=models.CharField(blank=True, db_default='', default='', help_text='The worker that has it: host and process.', max_length=100, verbose_name='claimed by'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='epoch',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, help_text='Part of the idempotency key. Counts how often its bytes were built: again only where nothing was sent, or where an operator decided so.', verbose_name='build'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='finished_at',
            field=models.DateTimeField(null=True, verbose_name='finished at'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='first_attempt_at',
            field=models.DateTimeField(null=True, verbose_name='first attempt at'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='key',
            field=models.CharField(max_length=256, unique=True, verbose_name='idempotency key'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='lease_until',
            field=models.DateTimeField(null=True, verbose_name='claimed until'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='not_before',
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name='not before'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='payload_sha256',
            field=models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name='digest'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='provider',
            field=models.CharField(blank=True, db_default='', default='', help_text='The provider and account that have its bytes; no other gets them while the outcome is unknown.', max_length=32, verbose_name='provider'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='recipients',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, help_text='How many messages the payload holds.', verbose_name='recipients'),
        ),
        migrations.AlterField(
            model_name='batch',
            name='state',
            field=models.CharField(choices=[('ready', 'Ready'), ('claimed', 'Claimed by a worker'), ('accepted', 'Accepted'), ('refused', 'Refused'), ('split', 'Split'), ('unknown', 'Unknown'), ('held', 'Held'), ('dropped', 'Dropped')], db_default='ready', default='ready', max_length=8, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='bounced_at',
            field=models.DateTimeField(null=True, verbose_name='bounced at'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='clicked_at',
            field=models.DateTimeField(null=True, verbose_name='clicked at'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='complained_at',
            field=models.DateTimeField(null=True, verbose_name='complained at'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='delayed_at',
            field=models.DateTimeField(null=True, verbose_name='delayed at'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='delivered_at',
            field=models.DateTimeField(null=True, verbose_name='delivered at'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='failed_at',
            field=models.DateTimeField(null=True, verbose_name='failed at'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='opened_at',
            field=models.DateTimeField(null=True, verbose_name='opened at'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='provider_id',
            field=models.CharField(blank=True, db_default='', default='', max_length=64, verbose_name="provider's id"),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='sent_at',
            field=models.DateTimeField(null=True, verbose_name='sent at'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='state',
            field=models.CharField(choices=[('pending', 'Waiting'), ('batched', 'Being sent'), ('accepted', 'Accepted'), ('failed', 'Failed'), ('unknown', 'Unknown'), ('skipped', 'Skipped')], db_default='pending', default='pending', max_length=8, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='delivery',
            name='suppressed_at',
            field=models.DateTimeField(null=True, verbose_name='suppressed at'),
        ),
        migrations.AlterField(
            model_name='event',
            name='bounce',
            field=models.CharField(blank=True, default='', help_text='The kind of a bounce: hard, soft or policy.', max_length=16, verbose_name='bounce'),
        ),
        migrations.AlterField(
            model_name='event',
            name='event_id',
            field=models.CharField(max_length=128, verbose_name="provider's id"),
        ),
        migrations.AlterField(
            model_name='event',
            name='kind',
            field=models.CharField(help_text="The provider's name of the event.", max_length=64, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='event',
            name='provider',
            field=models.CharField(max_length=16, verbose_name='provider'),
        ),
        migrations.AlterField(
            model_name='event',
            name='received_at',
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name='received at'),
        ),
        migrations.AlterField(
            model_name='event',
            name='state',
            field=models.CharField(choices=[('new', 'New'), ('applied', 'Applied'), ('ignored', 'Ignored'), ('orphan', 'Unknown mail')], default='new', max_length=8, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='issue',
            name='newsletter',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='issues', to='newsletter.newsletter', verbose_name='newsletter'),
        ),
        migrations.AlterField(
            model_name='send',
            name='approved_sha256',
            field=models.CharField(blank=True, default='', help_text='Digest of the approved manifest: the send starts only if it still holds. Empty: any audience.', max_length=64, verbose_name='approved manifest'),
        ),
        migrations.AlterField(
            model_name='send',
            name='excluded',
            field=models.JSONField(default=dict, help_text='Subscriptions that were left out, counted by reason.', verbose_name='excluded'),
        ),
        migrations.AlterField(
            model_name='send',
            name='expanded_at',
            field=models.DateTimeField(help_text='When the whole audience had its deliveries.', null=True, verbose_name='expanded at'),
        ),
        migrations.AlterField(
            model_name='send',
            name='finished_at',
            field=models.DateTimeField(null=True, verbose_name='finished at'),
        ),
        migrations.AlterField(
            model_name='send',
            name='is_local',
            field=models.BooleanField(default=False, help_text='Each recipient gets it when their own clock shows that time.', verbose_name='in local time'),
        ),
        migrations.AlterField(
            model_name='send',
            name='scheduled_at',
            field=models.DateTimeField(null=True, verbose_name='scheduled for'),
        ),
        migrations.AlterField(
            model_name='send',
            name='scheduled_zone',
            field=models.CharField(blank=True, default='', max_length=64, verbose_name='time zone'),
        ),
        migrations.AlterField(
            model_name='send',
            name='started_at',
            field=models.DateTimeField(null=True, verbose_name='started at'),
        ),
        migrations.AlterField(
            model_name='send',
            name='state',
            field=models.CharField(choices=[('scheduled', 'Scheduled'), ('sending', 'Sending'), ('paused', 'Paused'), ('sent', 'Sent'), ('cancelled', 'Cancelled'), ('withdrawn', 'Withdrawn')], max_length=9, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='send',
            name='undo_until',
            field=models.DateTimeField(help_text='Nothing is posted before; until then “Send now” can be undone.', null=True, verbose_name='undo until'),
        ),
    ]
