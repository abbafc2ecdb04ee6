# Labels and help texts, which change no column but the length of a reason, and the constraints of renamed columns.

import django.db.models.deletion
import django.utils.timezone
import subscribers.models.validators
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('subscribers', '0005_transactional_mails'),
    ]

    operations = [
        migrations.AlterModelOptions(
            name='consent',
            options={'verbose_name': 'consent', 'verbose_name_plural': 'consents'},
        ),
        migrations.AlterModelOptions(
            name='mailinglist',
            options={'verbose_name': 'mailing list', 'verbose_name_plural': 'mailing lists'},
        ),
        migrations.AlterModelOptions(
            name='subscriber',
            options={'verbose_name': 'subscriber', 'verbose_name_plural': 'subscribers'},
        ),
        migrations.AlterModelOptions(
            name='subscription',
            options={'verbose_name': 'subscription', 'verbose_name_plural': 'subscriptions'},
        ),
        migrations.AlterModelOptions(
            name='suppression',
            options={'verbose_name': 'suppression', 'verbose_name_plural': 'suppressions'},
        ),
        migrations.AlterModelOptions(
            name='transactionalmail',
            options={'verbose_name': 'transactional mail', 'verbose_name_plural': 'transactional mails'},
        ),
        migrations.AlterField(
            model_name='consent',
            name='address',
            field=models.CharField(blank=True, help_text='As the subscriber typed it.', max_length=320, verbose_name='address'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='by',
            field=models.CharField(blank=True, help_text='The editor’s user name. Empty if the subscriber acted.', max_length=150, verbose_name='by'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='canonical',
            field=models.CharField(blank=True, max_length=320, verbose_name='canonical address'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='created_at',
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='detail',
            field=models.CharField(blank=True, max_length=300, verbose_name='detail'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='form',
            field=models.CharField(choices=[('signup', 'Sign-up form'), ('signup-again', '“Send the link again” after the sign-up form'), ('confirm', 'Confirmation page'), ('confirm-again', '“Send a new link” on the confirmation page'), ('decline', 'Decline page'), ('decline-undo', 'Undo on the decline page'), ('unsubscribe', 'Unsubscribe page'), ('unsubscribe-undo', 'Undo on the unsubscribe page'), ('one-click', 'One-click unsubscribe of the mail program'), ('preferences', 'Preferences page'), ('admin', 'Admin'), ('suppression', 'Suppression'), ('import', 'Import')], help_text='Where the step was taken: a form, a link in a mail, an import.', max_length=40, verbose_name='form'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='kind',
            field=models.CharField(choices=[('requested', 'Requested'), ('confirmed', 'Confirmed'), ('imported', 'Imported with proof of consent'), ('paused', 'Paused'), ('resumed', 'Resumed'), ('unsubscribed', 'Unsubscribed'), ('declined', 'Declined: “This was not me”'), ('suppressed', 'Suppressed')], max_length=12, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='language',
            field=models.CharField(blank=True, max_length=10, verbose_name='language'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='list_name',
            field=models.CharField(help_text='The name of the list at that time.', max_length=100, verbose_name='list name'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='reason',
            field=models.CharField(blank=True, choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor')], help_text='Why the address was suppressed.', max_length=12, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='source',
            field=models.CharField(blank=True, help_text='The path of the page.', max_length=300, verbose_name='source'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='subscription',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='consents', to='subscribers.subscription', verbose_name='subscription'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='text',
            field=models.ForeignKey(help_text='The text that the subscriber saw.', null=True, on_delete=django.db.models.deletion.PROTECT, to='subscribers.consenttext', verbose_name='text'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='transactional_mail',
            field=models.ForeignKey(help_text='The confirmation mail that led to this step.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='subscribers.transactionalmail', verbose_name='transactional mail'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='user_agent',
            field=models.CharField(blank=True, max_length=300, verbose_name='user agent'),
        ),
        migrations.AlterField(
            model_name='consenttext',
            name='form',
            field=models.CharField(help_text='The form or mail that showed it.', max_length=40),
        ),
        migrations.AlterField(
            model_name='mailinglist',
            name='description',
            field=models.CharField(blank=True, help_text='What subscribers receive and how often. Shown on the sign-up page.', max_length=300, verbose_name='description'),
        ),
        migrations.AlterField(
            model_name='mailinglist',
            name='language',
            field=models.CharField(choices=[('en', 'English'), ('de', 'Deutsch'), ('fr', 'Français'), ('es', 'Español')], default='en', help_text='The language of this list’s issues, pages and confirmation mails.', max_length=10, verbose_name='language'),
        ),
        migrations.AlterField(
            model_name='mailinglist',
            name='name',
            field=models.CharField(max_length=100, validators=[subscribers.models.validators.check_header_text], verbose_name='name'),
        ),
        migrations.AlterField(
            model_name='mailinglist',
            name='postal_address',
            field=models.TextField(blank=True, help_text='Your postal address, shown at the end of every mail. Required by law: no issue is sent without.', verbose_name='postal address'),
        ),
        migrations.AlterField(
            model_name='mailinglist',
            name='reply_to',
            field=models.EmailField(blank=True, help_text='Where replies go. Default: the sender address.', max_length=254, validators=[subscribers.models.validators.check_address], verbose_name='reply-to address'),
        ),
        migrations.AlterField(
            model_name='mailinglist',
            name='sender_email',
            field=models.EmailField(help_text='Its domain must be verified with your provider.', max_length=254, validators=[subscribers.models.validators.check_address], verbose_name='sender address'),
        ),
        migrations.AlterField(
            model_name='mailinglist',
            name='sender_name',
            field=models.CharField(max_length=100, validators=[subscribers.models.validators.check_sender_name], verbose_name='sender name'),
        ),
        migrations.AlterField(
            model_name='mailinglist',
            name='slug',
            field=models.SlugField(help_text='Part of the URLs of this list’s pages.', max_length=60, unique=True, verbose_name='slug'),
        ),
        migrations.AlterField(
            model_name='signup',
            name='due_at',
            field=models.DateTimeField(default=django.utils.timezone.now, help_text='Empty once it is answered.', null=True),
        ),
        migrations.AlterField(
            model_name='signup',
            name='evidence',
            field=models.JSONField(help_text='The fields of `Evidence`.'),
        ),
        migrations.AlterField(
            model_name='signup',
            name='network',
            field=models.CharField(blank=True, help_text='IPv4 address, or the /64 of an IPv6 address.', max_length=43),
        ),
        migrations.AlterField(
            model_name='subscriber',
            name='address',
            field=models.CharField(help_text='As the subscriber typed it. Mail is sent to this form.', max_length=320, verbose_name='address'),
        ),
        migrations.AlterField(
            model_name='subscriber',
            name='canonical',
            field=models.CharField(editable=False, max_length=320, unique=True, verbose_name='canonical address'),
        ),
        migrations.AlterField(
            model_name='subscriber',
            name='created_at',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='subscriber',
            name='declined_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When the subscriber chose “This was not me”. No confirmation mail is sent after that.', null=True, verbose_name='declined at'),
        ),
        migrations.AlterField(
            model_name='subscriber',
            name='first_name',
            field=models.CharField(blank=True, help_text='As the subscriber entered it. Issues can use it in a greeting.', max_length=60, validators=[subscribers.models.validators.check_header_text], verbose_name='first name'),
        ),
        migrations.AlterField(
            model_name='subscriber',
            name='signups_allowed_at',
            field=models.DateTimeField(editable=False, help_text='Unanswered confirmation mails are counted from this time on.', null=True, verbose_name='sign-ups allowed at'),
        ),
        migrations.AlterField(
            model_name='subscriber',
            name='time_zone',
            field=models.CharField(blank=True, help_text='Used for issues that are sent at the local time of each subscriber.', max_length=64, validators=[subscribers.models.validators.check_time_zone], verbose_name='time zone'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='confirmed_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='confirmed at'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='created_at',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='ended_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='ended at'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='key',
            field=models.UUIDField(default=uuid.uuid4, editable=False, help_text='Identifies the subscription in links of mails.', unique=True, verbose_name='key'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='mailing_list',
            field=models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='subscriptions', to='subscribers.mailinglist', verbose_name='mailing list'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='paused_until',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='paused until'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='request_number',
            field=models.PositiveIntegerField(default=0, editable=False, help_text='Counts the requests. A confirmation link is valid for one of them.', verbose_name='request number'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='requested_at',
            field=models.DateTimeField(blank=True, editable=False, null=True, verbose_name='requested at'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='state',
            field=models.CharField(choices=[('pending', 'Pending'), ('active', 'Active'), ('unsubscribed', 'Unsubscribed'), ('suppressed', 'Suppressed')], default='pending', max_length=12, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='subscriber',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subscriptions', to='subscribers.subscriber', verbose_name='subscriber'),
        ),
        migrations.AlterField(
            model_name='suppression',
            name='created_at',
            field=models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='suppression',
            name='detail',
            field=models.CharField(blank=True, help_text='The provider’s or the editor’s own words.', max_length=300, verbose_name='detail'),
        ),
        migrations.AlterField(
            model_name='suppression',
            name='fingerprint',
            field=models.CharField(editable=False, max_length=64, unique=True, verbose_name='fingerprint'),
        ),
        migrations.AlterField(
            model_name='suppression',
            name='reason',
            field=models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor')], max_length=12, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='attempts',
            field=models.PositiveIntegerField(default=0, verbose_name='attempts'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='created_at',
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='detail',
            field=models.CharField(blank=True, help_text='What the provider or the mail server said.', max_length=500, verbose_name='detail'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='first_attempt_at',
            field=models.DateTimeField(null=True, verbose_name='first attempt at'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='kind',
            field=models.CharField(choices=[('confirmation', 'Confirmation mail'), ('already_subscribed', '“You are already subscribed”')], max_length=20, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='not_before',
            field=models.DateTimeField(default=django.utils.timezone.now, verbose_name='not before'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='provider_id',
            field=models.CharField(blank=True, max_length=100, verbose_name='provider’s ID'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='reason',
            field=models.CharField(blank=True, choices=[('suppressed', 'The address is suppressed.'), ('declined', 'The subscriber chose “This was not me”.'), ('nothing_to_confirm', 'There is nothing left to confirm.'), ('superseded', 'A newer confirmation mail replaces this one.'), ('link_expired', 'The link in the mail has expired.'), ('not_subscribed', 'The subscription has ended.'), ('refused', 'The mail was refused.'), ('unavailable', 'The provider did not accept the mail.'), ('connection_failed', 'The connection to the mail server failed.'), ('backend_error', 'The mail backend failed with an unexpected error.'), ('not_finished', 'No attempt finished within 23 hours.'), ('other', 'Another reason.')], max_length=20, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='recipient',
            field=models.CharField(max_length=320, verbose_name='recipient'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='reply_to',
            field=models.CharField(blank=True, max_length=320, verbose_name='reply-to address'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='sender',
            field=models.CharField(max_length=500, verbose_name='sender'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='sent_at',
            field=models.DateTimeField(null=True, verbose_name='sent at'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='state',
            field=models.CharField(choices=[('pending', 'Pending'), ('sent', 'Sent'), ('failed', 'Failed'), ('unknown', 'Unknown'), ('withdrawn', 'Withdrawn')], default='pending', max_length=10, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='subject',
            field=models.CharField(max_length=200, verbose_name='subject'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='subscription',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='transactional_mails', to='subscribers.subscription', verbose_name='subscription'),
        ),
        migrations.AddConstraint(
            model_name='transactionalmail',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['confirmation', 'already_subscribed'])), name='transactional_mail_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='transactionalmail',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['pending', 'sent', 'failed', 'unknown', 'withdrawn'])), name='transactional_mail_state_known'),
        ),
        migrations.AddConstraint(
            model_name='transactionalmail',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['', 'suppressed', 'declined', 'nothing_to_confirm', 'superseded', 'link_expired', 'not_subscribed', 'refused', 'unavailable', 'connection_failed', 'backend_error', 'not_finished', 'other'])), name='transactional_mail_reason_known'),
        ),
    ]
