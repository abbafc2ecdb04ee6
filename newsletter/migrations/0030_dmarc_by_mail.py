"""Mails with DMARC reports, counters that a recount keeps, and links that lead nowhere any more."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0029_report_shares'),
    ]

    operations = [
        migrations.CreateModel(
            name='ReportMail',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('provider', models.CharField(max_length=16, verbose_name='provider')),
                ('mail_id', models.CharField(max_length=64, verbose_name="provider's id")),
                ('sender_domain', models.CharField(blank=True, default='', max_length=253, verbose_name="sender's domain")),
                ('received_at', models.DateTimeField(verbose_name='received at')),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('imported', 'Imported'), ('refused', 'Refused')], default='waiting', max_length=8, verbose_name='state')),
                ('next_at', models.DateTimeField(default=django.utils.timezone.now, help_text='When it is fetched next; set ahead while a worker does.')),
                ('attempts', models.PositiveSmallIntegerField(default=0)),
                ('code', models.CharField(blank=True, default='', help_text='Code of the last failure.', max_length=64)),
                ('values', models.JSONField(default=dict, help_text='Values of its sentence.')),
                ('added', models.PositiveSmallIntegerField(default=0, help_text='Reports that were new.')),
                ('known', models.PositiveSmallIntegerField(default=0, help_text='Reports that were there before.')),
                ('finished_at', models.DateTimeField(null=True)),
            ],
            options={
                'verbose_name': 'mail with DMARC reports',
                'verbose_name_plural': 'mails with DMARC reports',
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('state', 'waiting')), fields=['next_at'], name='report_mail_due'), models.Index(fields=['finished_at'], name='report_mail_finished')],
                'constraints': [models.UniqueConstraint(fields=('provider', 'mail_id'), name='report_mail_once'), models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'imported', 'refused'])), name='report_mail_state_known')],
            },
        ),
        # Rows that a recount keeps are not those of connections.
        migrations.RemoveIndex(model_name='sendcount', name='send_count_of_connection'),
        migrations.AddIndex(
            model_name='sendcount',
            index=models.Index(condition=models.Q(('writer__gt', 0)), fields=['id'], name='send_count_of_connection'),
        ),
        migrations.CreateModel(
            name='DisabledLink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField(help_text='As the tokens of its mails name it.')),
                ('by', models.CharField(help_text="An editor's user name.", max_length=150)),
                ('text', models.CharField(max_length=500, verbose_name='reason')),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('ended_by', models.CharField(blank=True, default='', max_length=150)),
                ('ended_at', models.DateTimeField(help_text='When it was enabled again.', null=True)),
                ('edition', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='disabled_links', to='newsletter.edition')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(condition=models.Q(('ended_at__isnull', True)), fields=('edition', 'number'), name='disabled_link_once'), models.CheckConstraint(condition=models.Q(('text', ''), _negated=True), name='disabled_link_with_a_reason')],
            },
        ),
    ]
