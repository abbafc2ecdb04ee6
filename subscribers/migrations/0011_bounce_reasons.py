"""Reasons of suppressions that tell bounces apart."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('subscribers', '0010_subscription_counts'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='suppression',
            name='suppression_reason_known',
        ),
        migrations.AlterField(
            model_name='consent',
            name='reason',
            field=models.CharField(blank=True, choices=[('hard_bounce', 'The mailbox does not exist'), ('inactive', 'The mailbox is disabled or no longer used'), ('no_domain', 'The domain takes no mail'), ('soft_bounce', 'Mails bounced repeatedly'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], help_text='Why the address was suppressed.', max_length=12, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='importsuppression',
            name='reason',
            field=models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('inactive', 'The mailbox is disabled or no longer used'), ('no_domain', 'The domain takes no mail'), ('soft_bounce', 'Mails bounced repeatedly'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], max_length=12),
        ),
        migrations.AlterField(
            model_name='liftedsuppression',
            name='reason',
            field=models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('inactive', 'The mailbox is disabled or no longer used'), ('no_domain', 'The domain takes no mail'), ('soft_bounce', 'Mails bounced repeatedly'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], max_length=12, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='suppression',
            name='reason',
            field=models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('inactive', 'The mailbox is disabled or no longer used'), ('no_domain', 'The domain takes no mail'), ('soft_bounce', 'Mails bounced repeatedly'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], max_length=12, verbose_name='reason'),
        ),
        migrations.AddConstraint(
            model_name='suppression',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['hard_bounce', 'inactive', 'no_domain', 'soft_bounce', 'complaint', 'provider', 'manual', 'erased'])), name='suppression_reason_known'),
        ),
    ]
