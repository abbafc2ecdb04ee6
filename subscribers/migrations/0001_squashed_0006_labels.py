"""The tables of subscribers, their consents and transactional mails. Replaces the migrations up to 0006."""

import django.db.models.deletion
import django.utils.timezone
import subscribers.models.transactional_mail
import subscribers.models.validators
import uuid
from django.db import migrations, models

from subscribers.migrations import _append_only

#: Table → columns that may be emptied: those of text to an empty string, the others to NULL.
TABLES = {
    "subscribers_consent": {
        "text": ("address", "canonical", "source", "user_agent", "by", "detail"),
        "null": ("subscription_id", "transactional_mail_id", "ip"),
        "fixed": ("id", "kind", "created_at", "list_name", "form", "text_id", "language", "reason"),
    },
    "subscribers_consenttext": {
        "text": (),
        "null": (),
        "fixed": ("id", "sha256", "form", "version", "text", "created_at"),
    },
}


def refuse_changes(apps, schema_editor):
    _append_only.refuse_changes(schema_editor, TABLES)


def allow_changes(apps, schema_editor):
    _append_only.allow_changes(schema_editor, TABLES)


class Migration(migrations.Migration):

    replaces = [('subscribers', '0001_initial'), ('subscribers', '0002_append_only'), ('subscribers', '0003_first_name'), ('subscribers', '0004_time_zone'), ('subscribers', '0005_transactional_mails'), ('subscribers', '0006_labels')]

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='ConsentText',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('sha256', models.CharField(editable=False, max_length=64, unique=True)),
                ('form', models.CharField(help_text='The form or mail that showed it.', max_length=40)),
                ('version', models.CharField(max_length=20)),
                ('text', models.TextField()),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False)),
            ],
        ),
        migrations.CreateModel(
            name='MailingList',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, validators=[subscribers.models.validators.check_header_text], verbose_name='name')),
                ('slug', models.SlugField(help_text='Part of the URLs of this list’s pages.', max_length=60, unique=True, verbose_name='slug')),
                ('description', models.CharField(blank=True, help_text='What subscribers receive and how often. Shown on the sign-up page.', max_length=300, verbose_name='description')),
                ('sender_name', models.CharField(max_length=100, validators=[subscribers.models.validators.check_sender_name], verbose_name='sender name')),
                ('sender_email', models.EmailField(help_text='Its domain must be verified with your provider.', max_length=254, validators=[subscribers.models.validators.check_address], verbose_name='sender address')),
                ('reply_to', models.EmailField(blank=True, help_text='Where replies go. Default: the sender address.', max_length=254, validators=[subscribers.models.validators.check_address], verbose_name='reply-to address')),
                ('postal_address', models.TextField(blank=True, help_text='Your postal address, shown at the end of every mail. Required by law: no issue is sent without it.', verbose_name='postal address')),
                ('language', models.CharField(choices=[('en', 'English'), ('de', 'Deutsch'), ('fr', 'Français'), ('es', 'Español')], default='en', help_text='The language of this list’s issues, pages and confirmation mails.', max_length=10, verbose_name='language')),
            ],
            options={
                'verbose_name': 'mailing list',
                'verbose_name_plural': 'mailing lists',
            },
        ),
        migrations.CreateModel(
            name='Subscriber',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('address', models.CharField(help_text='As the subscriber typed it. Mail is sent to this form.', max_length=320, verbose_name='address')),
                ('canonical', models.CharField(editable=False, max_length=320, unique=True, verbose_name='canonical address')),
                ('first_name', models.CharField(blank=True, help_text='As the subscriber entered it. Issues can use it in a greeting.', max_length=60, validators=[subscribers.models.validators.check_header_text], verbose_name='first name')),
                ('time_zone', models.CharField(blank=True, help_text='Used for issues that are sent at the local time of each subscriber.', max_length=64, validators=[subscribers.models.validators.check_time_zone], verbose_name='time zone')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('signups_allowed_at', models.DateTimeField(editable=False, help_text='Unanswered confirmation mails are counted from this time on.', null=True, verbose_name='sign-ups allowed at')),
                ('declined_at', models.DateTimeField(blank=True, editable=False, help_text='When the subscriber chose “This was not me”. No confirmation mail is sent after that.', null=True, verbose_name='declined at')),
            ],
            options={
                'verbose_name': 'subscriber',
                'verbose_name_plural': 'subscribers',
            },
        ),
        migrations.CreateModel(
            name='Suppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fingerprint', models.CharField(editable=False, max_length=64, unique=True, verbose_name='fingerprint')),
                ('reason', models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor')], max_length=12, verbose_name='reason')),
                ('detail', models.CharField(blank=True, help_text='The provider’s or the editor’s own words.', max_length=300, verbose_name='detail')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
            ],
            options={
                'verbose_name': 'suppression',
                'verbose_name_plural': 'suppressions',
                'constraints': [models.CheckConstraint(condition=models.Q(('reason__in', ['hard_bounce', 'complaint', 'provider', 'manual'])), name='suppression_reason_known')],
            },
        ),
        migrations.CreateModel(
            name='Signup',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('mailing_list', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='signups', to='subscribers.mailinglist')),
                ('address', models.CharField(max_length=320)),
                ('evidence', models.JSONField(help_text='The fields of `Evidence`.')),
                ('network', models.CharField(blank=True, help_text='IPv4 address, or the /64 of an IPv6 address.', max_length=43)),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, help_text='Empty once it is processed.', null=True)),
            ],
            options={
                'indexes': [models.Index(fields=['network', 'created_at'], name='signup_network'), models.Index(condition=models.Q(('due_at__isnull', False)), fields=['due_at'], name='signup_to_answer')],
            },
        ),
        migrations.CreateModel(
            name='Subscription',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subscriber', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to='subscribers.subscriber', verbose_name='subscriber')),
                ('mailing_list', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='subscriptions', to='subscribers.mailinglist', verbose_name='mailing list')),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('active', 'Active'), ('unsubscribed', 'Unsubscribed'), ('suppressed', 'Suppressed')], default='pending', max_length=12, verbose_name='state')),
                ('key', models.UUIDField(default=uuid.uuid4, editable=False, help_text='Identifies the subscription in links of mails.', unique=True, verbose_name='key')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('confirmed_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='confirmed at')),
                ('ended_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='ended at')),
                ('paused_until', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='paused until')),
                ('requested_at', models.DateTimeField(blank=True, editable=False, null=True, verbose_name='requested at')),
                ('request_number', models.PositiveIntegerField(default=0, editable=False, help_text='Goes up when a request follows one that has ended or expired. A confirmation link is valid for one number.', verbose_name='request number')),
            ],
            options={
                'verbose_name': 'subscription',
                'verbose_name_plural': 'subscriptions',
                'indexes': [models.Index(condition=models.Q(('state', 'active')), fields=['mailing_list', 'id'], name='subscription_audience')],
                'constraints': [models.UniqueConstraint(fields=('mailing_list', 'subscriber'), name='subscription_once_per_person_and_list'), models.CheckConstraint(condition=models.Q(('state__in', ['pending', 'active', 'unsubscribed', 'suppressed'])), name='subscription_state_known'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'active'), _negated=True), ('confirmed_at__isnull', False), _connector='OR'), name='subscription_active_only_when_confirmed')],
            },
        ),
        migrations.CreateModel(
            name='TransactionalMail',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('confirmation', 'Confirmation mail'), ('already_subscribed', '“You are already subscribed”')], max_length=20, verbose_name='kind')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='transactional_mails', to='subscribers.subscription', verbose_name='subscription')),
                ('recipient', models.CharField(max_length=320, verbose_name='recipient')),
                ('sender', models.CharField(max_length=500, verbose_name='sender')),
                ('reply_to', models.CharField(blank=True, max_length=320, verbose_name='reply-to address')),
                ('subject', models.CharField(max_length=200, verbose_name='subject')),
                ('text', models.TextField(blank=True)),
                ('html', models.TextField(blank=True)),
                ('headers', models.JSONField(default=dict)),
                ('idempotency_key', models.CharField(default=subscribers.models.transactional_mail.new_idempotency_key, editable=False, max_length=64, unique=True)),
                ('state', models.CharField(choices=[('pending', 'Pending'), ('sent', 'Sent'), ('failed', 'Failed'), ('unknown', 'Unknown'), ('withdrawn', 'Withdrawn')], default='pending', max_length=10, verbose_name='state')),
                ('attempts', models.PositiveIntegerField(default=0, verbose_name='attempts')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at')),
                ('not_before', models.DateTimeField(default=django.utils.timezone.now, verbose_name='not before')),
                ('lease_until', models.DateTimeField(null=True)),
                ('first_attempt_at', models.DateTimeField(help_text='The first attempt that may have sent the mail. Empty while no attempt may have.', null=True, verbose_name='first attempt at')),
                ('sent_at', models.DateTimeField(null=True, verbose_name='sent at')),
                ('provider_id', models.CharField(blank=True, max_length=100, verbose_name='provider’s ID')),
                ('reason', models.CharField(blank=True, choices=[('suppressed', 'The address is suppressed.'), ('declined', 'The subscriber chose “This was not me”.'), ('nothing_to_confirm', 'There is nothing left to confirm.'), ('superseded', 'A newer confirmation mail replaces this one.'), ('link_expired', 'The link in the mail has expired.'), ('not_subscribed', 'The subscription has ended.'), ('refused', 'The mail was refused.'), ('unavailable', 'The provider has not accepted the mail.'), ('connection_failed', 'The connection to the mail server failed.'), ('backend_error', 'The mail backend failed with an unexpected error.'), ('not_finished', 'A worker stopped during an attempt.'), ('other', 'Another reason.')], max_length=20, verbose_name='reason')),
                ('detail', models.CharField(blank=True, help_text='The provider’s reason code and its own words.', max_length=500, verbose_name='detail')),
            ],
            options={
                'verbose_name': 'transactional mail',
                'verbose_name_plural': 'transactional mails',
                'indexes': [models.Index(condition=models.Q(('state', 'pending')), fields=['not_before'], name='transactional_mail_to_send'), models.Index(fields=['subscription', 'kind', 'created_at'], name='transactional_mail_caps')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['confirmation', 'already_subscribed'])), name='transactional_mail_kind_known'), models.CheckConstraint(condition=models.Q(('state__in', ['pending', 'sent', 'failed', 'unknown', 'withdrawn'])), name='transactional_mail_state_known'), models.CheckConstraint(condition=models.Q(('reason__in', ['', 'suppressed', 'declined', 'nothing_to_confirm', 'superseded', 'link_expired', 'not_subscribed', 'refused', 'unavailable', 'connection_failed', 'backend_error', 'not_finished', 'other'])), name='transactional_mail_reason_known')],
            },
        ),
        migrations.CreateModel(
            name='Consent',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subscription', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='consents', to='subscribers.subscription', verbose_name='subscription')),
                ('kind', models.CharField(choices=[('requested', 'Requested'), ('confirmed', 'Confirmed'), ('imported', 'Imported with proof of consent'), ('paused', 'Paused'), ('resumed', 'Resumed'), ('unsubscribed', 'Unsubscribed'), ('declined', 'Declined: “This was not me”'), ('suppressed', 'Suppressed')], max_length=12, verbose_name='kind')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at')),
                ('address', models.CharField(blank=True, help_text='As the subscriber typed it.', max_length=320, verbose_name='address')),
                ('canonical', models.CharField(blank=True, max_length=320, verbose_name='canonical address')),
                ('list_name', models.CharField(help_text='The name of the list at that time.', max_length=100, verbose_name='list name')),
                ('form', models.CharField(choices=[('signup', 'Sign-up form'), ('signup-again', '“Send the link again” after the sign-up form'), ('confirm', 'Confirmation page'), ('confirm-again', '“Send a new link” on the confirmation page'), ('decline', 'Decline page'), ('decline-undo', 'Undo on the decline page'), ('unsubscribe', 'Unsubscribe page'), ('unsubscribe-undo', 'Undo on the unsubscribe page'), ('one-click', 'One-click unsubscribe of the mail program'), ('preferences', 'Preferences page'), ('admin', 'Admin'), ('suppression', 'Suppression'), ('import', 'Import')], help_text='Where the step was taken: a form, a link in a mail, an import.', max_length=40, verbose_name='form')),
                ('text', models.ForeignKey(help_text='The text that the subscriber saw.', null=True, on_delete=django.db.models.deletion.PROTECT, to='subscribers.consenttext', verbose_name='text')),
                ('language', models.CharField(blank=True, max_length=10, verbose_name='language')),
                ('source', models.CharField(blank=True, help_text='The path of the page.', max_length=300, verbose_name='source')),
                ('ip', models.GenericIPAddressField(null=True, verbose_name='IP address')),
                ('user_agent', models.CharField(blank=True, max_length=300, verbose_name='user agent')),
                ('transactional_mail', models.ForeignKey(help_text='The mail that this step sent, or whose link it used.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='subscribers.transactionalmail', verbose_name='transactional mail')),
                ('by', models.CharField(blank=True, help_text='The editor’s user name. Empty if the subscriber acted.', max_length=150, verbose_name='by')),
                ('reason', models.CharField(blank=True, choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor')], help_text='Why the address was suppressed.', max_length=12, verbose_name='reason')),
                ('detail', models.CharField(blank=True, max_length=300, verbose_name='detail')),
            ],
            options={
                'verbose_name': 'consent',
                'verbose_name_plural': 'consents',
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['requested', 'confirmed', 'imported', 'paused', 'resumed', 'unsubscribed', 'declined', 'suppressed'])), name='consent_kind_known')],
            },
        ),
        migrations.RunPython(refuse_changes, allow_changes),
    ]
