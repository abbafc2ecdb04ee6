"""Audiences of several lists and segments, the sunset policy, weekly digests, and the provider's suppression list."""

import datetime
import django.core.validators
import django.db.models.deletion
import django.utils.timezone
import newsletter.models.audience
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0019_restored_batches'),
        ('subscribers', '0009_subscribers_and_audiences'),
    ]

    operations = [
        migrations.CreateModel(
            name='AudiencePart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveSmallIntegerField()),
                ('kind', models.CharField(choices=[('list', 'Also sent to this list'), ('segment', 'Only this segment of its list'), ('excluded', 'Without this segment'), ('topic', 'Only subscribers who get this topic')], max_length=8)),
                ('name', models.CharField(max_length=200)),
                ('issue', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='audience_parts', to='newsletter.issue')),
                ('mailing_list', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='subscribers.mailinglist')),
                ('segment', models.ForeignKey(null=True, on_delete=newsletter.models.audience.keep_while_expanding, related_name='audience_parts', to='subscribers.segment')),
                ('topic', models.ForeignKey(null=True, on_delete=newsletter.models.audience.keep_while_expanding, related_name='audience_parts', to='subscribers.topic')),
            ],
            options={
                'ordering': ['position'],
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('issue', 'position'), name='audience_part_position_once'), models.UniqueConstraint(fields=('issue', 'mailing_list'), name='audience_part_list_once'), models.UniqueConstraint(fields=('issue', 'segment'), name='audience_part_segment_once'), models.UniqueConstraint(condition=models.Q(('kind', 'topic')), fields=('issue',), name='audience_part_one_topic'), models.CheckConstraint(condition=models.Q(models.Q(('kind', 'list'), ('segment__isnull', True), ('topic__isnull', True)), models.Q(('kind__in', ('segment', 'excluded')), ('mailing_list__isnull', True), ('topic__isnull', True)), models.Q(('kind', 'topic'), ('mailing_list__isnull', True), ('segment__isnull', True)), _connector='OR'), name='audience_part_is_what_its_kind_says')],
            },
        ),
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
                'indexes': [models.Index(condition=models.Q(('removal_requested_at__isnull', False)), fields=['removal_requested_at'], name='provider_suppression_to_remove')],
                'constraints': [models.UniqueConstraint(fields=('provider', 'fingerprint'), name='provider_suppression_once')],
            },
        ),
        migrations.CreateModel(
            name='SunsetRound',
            fields=[
                ('newsletter', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='newsletter.newsletter')),
                ('started_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('issues', models.JSONField(default=list, help_text='The issues that count, by primary key, the newest first.')),
                ('silent_since', models.DateTimeField(help_text='When the first of them was sent. Empty: too few count.', null=True)),
                ('through', models.BigIntegerField(default=0, help_text='The last subscription that was looked at.')),
                ('finished_at', models.DateTimeField(null=True)),
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
        migrations.CreateModel(
            name='WeeklyPlan',
            fields=[
                ('newsletter', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='+', serialize=False, to='newsletter.newsletter')),
                ('date', models.DateField(help_text="The day of the end, in the newsletter's time zone.", null=True)),
                ('ends_at', models.DateTimeField(help_text='Empty: not planned yet.', null=True)),
                ('retry_at', models.DateTimeField(help_text='Set after a failure.', null=True)),
                ('problem', models.CharField(blank=True, default='', help_text='Code of why the digest could not be composed.', max_length=64)),
                ('problem_values', models.JSONField(default=dict)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AddField(
            model_name='delivery',
            name='mailing_list',
            field=models.ForeignKey(db_constraint=False, db_index=False, help_text="The list through which the subscriber gets it. Empty: the newsletter's own.", null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='subscribers.mailinglist'),
        ),
        migrations.AddField(
            model_name='issue',
            name='digest_at',
            field=models.DateTimeField(editable=False, help_text='The end of the week of which this is the weekly digest. Empty: an ordinary issue.', null=True),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.UniqueConstraint(fields=('newsletter', 'digest_at'), name='issue_one_digest_per_week'),
        ),
        migrations.AddField(
            model_name='newsletter',
            name='sunset_after',
            field=models.PositiveSmallIntegerField(blank=True, help_text='Subscribers who opened and clicked none of so many issues are asked whether they want to stay, and unsubscribed without an answer. From 5 to 50 issues. Leave empty to turn this off.', null=True, validators=[django.core.validators.MinValueValidator(5), django.core.validators.MaxValueValidator(50)], verbose_name='ask after'),
        ),
        migrations.AddField(
            model_name='newsletter',
            name='sunset_days',
            field=models.PositiveSmallIntegerField(db_default=30, default=30, help_text='Days to answer. Default: 30.', validators=[django.core.validators.MinValueValidator(7), django.core.validators.MaxValueValidator(365)], verbose_name='answer time'),
        ),
        migrations.AddField(
            model_name='newsletter',
            name='weekly_time',
            field=models.TimeField(db_default=datetime.time(9, 0), default=datetime.time(9, 0), help_text='The time of the weekly digest in the newsletter’s time zone. Default: 09:00.', verbose_name='time'),
        ),
        migrations.AddField(
            model_name='newsletter',
            name='weekly_weekday',
            field=models.PositiveSmallIntegerField(choices=[(0, 'Monday'), (1, 'Tuesday'), (2, 'Wednesday'), (3, 'Thursday'), (4, 'Friday'), (5, 'Saturday'), (6, 'Sunday')], db_default=6, default=6, help_text='The day on which the weekly digest is sent. Default: Sunday.', verbose_name='weekday'),
        ),
        migrations.AddConstraint(
            model_name='newsletter',
            constraint=models.CheckConstraint(condition=models.Q(('sunset_after__isnull', True), ('sunset_after__gte', 5), _connector='OR'), name='newsletter_sunset_after_five'),
        ),
        migrations.AddConstraint(
            model_name='newsletter',
            constraint=models.CheckConstraint(condition=models.Q(('weekly_weekday__lte', 6)), name='newsletter_weekly_weekday_known'),
        ),
        migrations.AddField(
            model_name='send',
            name='audience',
            field=models.JSONField(default=dict, help_text='Lists, segments with their rules and topic, as they were at the start. Empty: its own list.', verbose_name='audience'),
        ),
        migrations.AddField(
            model_name='send',
            name='awaits_digest',
            field=models.BooleanField(db_default=False, default=False, help_text='Weekly subscribers were left out and get the issue with the next weekly digest.'),
        ),
        migrations.AddField(
            model_name='send',
            name='expanded_lists',
            field=models.PositiveSmallIntegerField(default=0, help_text='How many lists of the audience are expanded completely.'),
        ),
        migrations.AddField(
            model_name='send',
            name='weekly_digest',
            field=models.ForeignKey(help_text='The weekly digest that has the issue.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='digested_sends', to='newsletter.issue'),
        ),
        migrations.AddIndex(
            model_name='send',
            index=models.Index(condition=models.Q(('awaits_digest', True)), fields=['issue'], name='send_awaits_digest'),
        ),
        migrations.AddConstraint(
            model_name='send',
            constraint=models.CheckConstraint(condition=models.Q(('awaits_digest', False), ('weekly_digest__isnull', True), _connector='OR'), name='send_in_a_digest_awaits_none'),
        ),
        migrations.AddIndex(
            model_name='event',
            index=models.Index(condition=models.Q(('state', 'orphan')), fields=['received_at'], name='event_orphans'),
        ),
    ]
