"""Sign-ups that wait for the end of a complaint’s hold: a reason, and at most one per list and address.

Also requests for new links, and an index of paused subscriptions.
"""

import django.db.models.functions.text
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('subscribers', '0016_sunset'),
    ]

    operations = [
        migrations.CreateModel(
            name='LinkRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('address', models.CharField(max_length=320)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.RemoveConstraint(
            model_name='signupdecision',
            name='signup_decision_reason_known',
        ),
        migrations.AlterField(
            model_name='signup',
            name='reason',
            field=models.CharField(blank=True, choices=[('no_rule', 'No rule matches'), ('rule', 'A rule matches'), ('not_solved', 'The challenge was not solved'), ('address_limit', 'Too many sign-ups of the same address'), ('domain_limit', 'Unusually many sign-ups of the same mail domain'), ('site_limit', 'Unusually many sign-ups of the whole site'), ('repeated', 'The same sign-up is held already'), ('editor', 'An editor decided'), ('complaint', 'Waits until 30 days have passed since a spam complaint')], db_default='', default='', max_length=16, verbose_name='reason'),
        ),
        migrations.AlterField(
            model_name='signupdecision',
            name='reason',
            field=models.CharField(choices=[('no_rule', 'No rule matches'), ('rule', 'A rule matches'), ('not_solved', 'The challenge was not solved'), ('address_limit', 'Too many sign-ups of the same address'), ('domain_limit', 'Unusually many sign-ups of the same mail domain'), ('site_limit', 'Unusually many sign-ups of the whole site'), ('repeated', 'The same sign-up is held already'), ('editor', 'An editor decided'), ('complaint', 'Waits until 30 days have passed since a spam complaint')], max_length=16, verbose_name='reason'),
        ),
        migrations.AddConstraint(
            model_name='signup',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('address'), models.F('mailing_list'), condition=models.Q(('reason', 'complaint'), ('state', 'waiting')), name='signup_once_on_hold'),
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('paused_until__isnull', False)), fields=['paused_until', 'subscriber'], name='subscription_paused'),
        ),
        migrations.AddConstraint(
            model_name='signupdecision',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['no_rule', 'rule', 'not_solved', 'address_limit', 'domain_limit', 'site_limit', 'repeated', 'editor', 'complaint'])), name='signup_decision_reason_known'),
        ),
    ]
