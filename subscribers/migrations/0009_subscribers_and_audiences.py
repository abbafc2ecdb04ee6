"""Fields, tags, topics, segments, imports, exports, sign-up rules, preferences, and the rights of subscribers."""

import django.core.validators
import django.db.models.deletion
import django.db.models.functions.text
import django.utils.timezone
import subscribers.models.validators
import uuid
from decimal import Decimal
from django.db import migrations, models
from subscribers.migrations import _append_only

#: The rules of a new installation; editors may change and delete them.
DEFAULT_RULES = (
    {"position": 10, "is_honeypot": True, "action": "refuse"},
    {"position": 20, "mail_domain": "null_mx", "action": "refuse"},
    {"position": 30, "is_role": True, "action": "hold"},
    {"position": 40, "has_url": True, "action": "hold"},
    {"position": 50, "is_disposable": True, "action": "hold", "is_active": False},
    {"position": 60, "mail_domain": "missing", "action": "hold", "is_active": False},
)


#: As in 0005, with the columns of which no two rows share a value.
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
        "unique": ("sha256",),
    },
}


def refuse_changes(apps, schema_editor):
    _append_only.refuse_changes(schema_editor, TABLES)


def allow_changes(apps, schema_editor):
    _append_only.allow_changes(schema_editor, TABLES)


def make_unlogged(apps, schema_editor):
    """Staged rows are read again from the file after a crash: PostgreSQL need not write them twice."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("ALTER TABLE subscribers_stagedrow SET UNLOGGED")


def keep_full_addresses(apps, schema_editor):
    """Whoever could look at one of these saw addresses: an update must not take that away."""
    Permission = apps.get_model("auth", "Permission")
    ContentType = apps.get_model("contenttypes", "ContentType")
    subscriber = ContentType.objects.filter(app_label="subscribers", model="subscriber").first()
    if subscriber is None:
        return
    permission, _made = Permission.objects.get_or_create(
        content_type=subscriber,
        codename="view_personal_data",
        defaults={"name": "Can view full addresses, IP addresses and clicks"},
    )
    names = ("subscriber", "subscription", "consent", "transactionalmail", "delivery", "event")
    for seen in Permission.objects.filter(codename__in=[f"view_{name}" for name in names]):
        permission.group_set.add(*seen.group_set.all())
        permission.user_set.add(*seen.user_set.all())


def mark_processed(apps, schema_editor):
    apps.get_model("subscribers", "Signup").objects.filter(due_at__isnull=True).update(state="processed")


def add_default_rules(apps, schema_editor):
    rules = apps.get_model("subscribers", "SignupRule").objects
    if not rules.exists():
        rules.bulk_create(rules.model(**fields) for fields in DEFAULT_RULES)


def forget(apps, schema_editor):
    """The columns and tables go."""


class Migration(migrations.Migration):

    dependencies = [
        ('auth', '0012_alter_user_first_name_max_length'),
        ('contenttypes', '0002_remove_content_type_name'),
        ('subscribers', '0008_provider_and_secret'),
    ]

    operations = [
        # Triggers of an earlier version refuse less, and SQLite drops them with the table that it makes anew.
        migrations.RunPython(allow_changes, refuse_changes),
        migrations.CreateModel(
            name='AddressChange',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('address', models.CharField(help_text='The new address, as it was typed.', max_length=320)),
                ('canonical', models.CharField(max_length=320)),
                ('state', models.CharField(choices=[('open', 'Waiting for both addresses'), ('done', 'Done'), ('declined', 'Declined: “This was not me”'), ('replaced', 'Replaced by a newer request'), ('refused', 'Not possible: the new address is taken or suppressed')], default='open', max_length=8)),
                ('requested_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('new_confirmed_at', models.DateTimeField(help_text='By the link in the mail to the new address.', null=True)),
                ('old_approved_at', models.DateTimeField(help_text='By the link in the mail to the old address.', null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('subscriber', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='address_changes', to='subscribers.subscriber')),
                ('subscription', models.ForeignKey(help_text='On whose page it was asked for.', on_delete=django.db.models.deletion.CASCADE, related_name='+', to='subscribers.subscription')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['canonical', 'requested_at'], name='address_change_caps')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['open', 'done', 'declined', 'replaced', 'refused'])), name='address_change_state_known'), models.UniqueConstraint(condition=models.Q(('state', 'open')), fields=('subscriber',), name='address_change_one_open'), models.CheckConstraint(condition=models.Q(models.Q(('state', 'done'), _negated=True), models.Q(('new_confirmed_at__isnull', False), ('old_approved_at__isnull', False)), _connector='OR'), name='address_change_done_by_both')],
            },
        ),
        migrations.CreateModel(
            name='BulkAction',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('add_tag', 'Add tag'), ('remove_tag', 'Remove tag'), ('add_to_segment', 'Add to segment'), ('unsubscribe', 'Unsubscribe'), ('suppress', 'Suppress')], max_length=14, verbose_name='action')),
                ('state', models.CharField(choices=[('waiting', 'Waiting'), ('running', 'Running'), ('finished', 'Finished'), ('failed', 'Failed'), ('cancelled', 'Cancelled')], default='waiting', max_length=9, verbose_name='state')),
                ('reason', models.CharField(blank=True, choices=[('tag_gone', 'The tag was deleted.'), ('segment_gone', 'The segment was deleted.'), ('selection_gone', 'The tag or segment of the filter was deleted.'), ('secret_differs', 'SUPPRESSION_SECRET is not the one under which addresses are suppressed.')], max_length=14, verbose_name='reason')),
                ('selection', models.JSONField(help_text='A filter or keys of subscribers, see subscribers/directory/selection.py.', verbose_name='selection')),
                ('values', models.JSONField(default=dict, help_text='“tag” or “segment”: a key; “words”: the editor’s reason.', verbose_name='values')),
                ('by', models.CharField(max_length=150, verbose_name='by')),
                ('total', models.PositiveIntegerField(default=0, help_text='Subscribers in the selection.', verbose_name='total')),
                ('is_estimate', models.BooleanField(default=False, verbose_name='total is an estimate')),
                ('done', models.PositiveIntegerField(default=0, help_text='Subscribers that it has come to.', verbose_name='done')),
                ('changed', models.PositiveIntegerField(default=0, help_text='Subscriptions, or addresses, that it has changed.', verbose_name='changed')),
                ('last_key', models.BigIntegerField(default=0, help_text='The key of the last subscriber that it has come to.')),
                ('up_to', models.BigIntegerField(help_text='The highest key at the start: later subscribers are left alone.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('started_at', models.DateTimeField(null=True, verbose_name='started at')),
                ('finished_at', models.DateTimeField(null=True, verbose_name='finished at')),
            ],
            options={
                'verbose_name': 'bulk action',
                'verbose_name_plural': 'bulk actions',
                'default_permissions': ('view',),
                'indexes': [models.Index(condition=models.Q(('state__in', ('waiting', 'running'))), fields=['id'], name='bulk_action_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['add_tag', 'remove_tag', 'add_to_segment', 'unsubscribe', 'suppress'])), name='bulk_action_kind_known'), models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'running', 'finished', 'failed', 'cancelled'])), name='bulk_action_state_known'), models.CheckConstraint(condition=models.Q(('reason__in', ['', 'tag_gone', 'segment_gone', 'selection_gone', 'secret_differs'])), name='bulk_action_reason_known')],
            },
        ),
        migrations.CreateModel(
            name='Change',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('address', 'Address changed'), ('name', 'Name changed'), ('time_zone', 'Time zone changed'), ('language', 'Language changed'), ('field', 'Field changed'), ('tag_added', 'Tag added'), ('tag_removed', 'Tag removed'), ('topics', 'Topics changed'), ('frequency', 'Frequency changed'), ('merged', 'Merged with another address'), ('tracking', 'Consent to tracking changed'), ('lifted', 'Suppression lifted')], max_length=12, verbose_name='kind')),
                ('values', models.JSONField(default=dict, help_text='The values before and after: “from” and “to”.', verbose_name='values')),
                ('by', models.CharField(blank=True, help_text='The editor’s user name. Empty if the subscriber acted.', max_length=150, verbose_name='by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('subscriber', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='changes', to='subscribers.subscriber', verbose_name='subscriber')),
                ('subscription', models.ForeignKey(null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='subscribers.subscription', verbose_name='subscription')),
            ],
            options={
                'verbose_name': 'change',
                'verbose_name_plural': 'changes',
                'ordering': ['-pk'],
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['address', 'name', 'time_zone', 'language', 'field', 'tag_added', 'tag_removed', 'topics', 'frequency', 'merged', 'tracking', 'lifted'])), name='change_kind_known')],
            },
        ),
        migrations.CreateModel(
            name='CustomField',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('key', models.CharField(help_text='The name in merge fields and files, such as “city” for {city|your town}. It cannot be changed.', max_length=40, validators=[django.core.validators.RegexValidator('^[a-z][a-z0-9_]*\\Z', 'Use small letters, digits and _, beginning with a letter.')], verbose_name='key')),
                ('label', models.CharField(help_text='Shown to subscribers and editors.', max_length=100, verbose_name='label')),
                ('help_text', models.CharField(blank=True, help_text='Shown below the field.', max_length=200, verbose_name='help text')),
                ('kind', models.CharField(choices=[('text', 'Text'), ('number', 'Number'), ('date', 'Date'), ('yes_no', 'Yes or no'), ('choice', 'One of several options'), ('choices', 'Several options')], default='text', max_length=8, verbose_name='type')),
                ('options', models.JSONField(blank=True, default=list, help_text='The options of a choice, in their order.', verbose_name='options')),
                ('is_editable', models.BooleanField(default=True, help_text='Subscribers can change the value on their preferences page.', verbose_name='editable by subscribers')),
                ('asked', models.CharField(choices=[('never', 'Never'), ('signup', 'On the sign-up form'), ('confirmed', 'After confirming')], default='never', max_length=9, verbose_name='asked')),
                ('is_required', models.BooleanField(default=False, help_text='Where it is asked, the form is not accepted without it.', verbose_name='required')),
                ('position', models.PositiveSmallIntegerField(default=0, verbose_name='position')),
                ('mailing_list', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='custom_fields', to='subscribers.mailinglist', verbose_name='mailing list')),
            ],
            options={
                'verbose_name': 'custom field',
                'verbose_name_plural': 'custom fields',
                'ordering': ['position', 'pk'],
                'constraints': [models.UniqueConstraint(fields=('mailing_list', 'key'), name='custom_field_key_once_per_list'), models.CheckConstraint(condition=models.Q(('kind__in', ['text', 'number', 'date', 'yes_no', 'choice', 'choices'])), name='custom_field_kind_known'), models.CheckConstraint(condition=models.Q(('asked__in', ['never', 'signup', 'confirmed'])), name='custom_field_asked_known'), models.CheckConstraint(condition=models.Q(('key__in', ('first_name', 'email')), _negated=True), name='custom_field_key_free')],
            },
        ),
        migrations.CreateModel(
            name='DataRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('access', 'Access'), ('erase', 'Erase')], max_length=6)),
                ('key', models.UUIDField(default=uuid.uuid4, editable=False, unique=True)),
                ('requested_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now)),
                ('used_at', models.DateTimeField(help_text='Also set when the address changes: the link went to the old.', null=True)),
                ('subscriber', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='data_requests', to='subscribers.subscriber')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['access', 'erase'])), name='data_request_kind_known')],
            },
        ),
        migrations.CreateModel(
            name='Export',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('list_name', models.CharField(max_length=100, verbose_name='mailing list')),
                ('selection', models.JSONField(help_text='A filter or keys of subscribers, see subscribers/directory/selection.py.', verbose_name='selection')),
                ('format', models.CharField(choices=[('csv', 'CSV, for spreadsheets and other tools'), ('jsonl', 'JSON Lines, with all consents')], max_length=5, verbose_name='format')),
                ('by', models.CharField(help_text='A user name, or “export_subscribers”: the command.', max_length=150, verbose_name='by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('finished_at', models.DateTimeField(help_text='Empty: it was broken off, or is still running.', null=True, verbose_name='finished at')),
                ('rows', models.PositiveIntegerField(default=0, verbose_name='rows')),
            ],
            options={
                'verbose_name': 'export',
                'verbose_name_plural': 'exports',
                'default_permissions': ('view',),
                'constraints': [models.CheckConstraint(condition=models.Q(('format__in', ['csv', 'jsonl'])), name='export_format_known')],
            },
        ),
        migrations.CreateModel(
            name='FieldValue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('is_multiple', models.BooleanField(db_default=False, default=False)),
                ('text', models.CharField(blank=True, db_default='', default='', max_length=500)),
                ('number', models.DecimalField(decimal_places=6, max_digits=24, null=True)),
                ('date', models.DateField(null=True)),
                ('field', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='values', to='subscribers.customfield')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='field_values', to='subscribers.subscription')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(condition=models.Q(('number__isnull', False)), fields=['field', 'number', 'subscription'], name='field_value_number'), models.Index(condition=models.Q(('date__isnull', False)), fields=['field', 'date', 'subscription'], name='field_value_date'), models.Index(models.F('field'), django.db.models.functions.text.Upper('text'), models.F('subscription'), condition=models.Q(('text', ''), _negated=True), name='field_value_upper')],
                'constraints': [models.UniqueConstraint(condition=models.Q(('is_multiple', False)), fields=('field', 'subscription'), name='field_value_once'), models.UniqueConstraint(fields=('field', 'text', 'subscription'), name='field_value_option_once')],
            },
        ),
        migrations.CreateModel(
            name='Import',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('file_name', models.CharField(max_length=255, verbose_name='file name')),
                ('size', models.BigIntegerField(help_text='In bytes.', verbose_name='size')),
                ('sha256', models.CharField(max_length=64)),
                ('header_fingerprint', models.CharField(blank=True, help_text='SHA-256 of the columns. A plan is remembered for files with the same.', max_length=64)),
                ('plan', models.JSONField(blank=True, default=dict, help_text='The plan of each table of the file.', verbose_name='plan')),
                ('update_mode', models.CharField(choices=[('fill_empty', 'Fill in what is empty, and add tags'), ('replace', 'Replace names and fields by those of the file, and add tags')], default='fill_empty', max_length=10, verbose_name='known subscribers')),
                ('state', models.CharField(choices=[('uploaded', 'Uploaded'), ('checking', 'Checking'), ('checked', 'Checked'), ('running', 'Running'), ('paused', 'Paused'), ('finished', 'Finished'), ('undoing', 'Undoing'), ('undone', 'Undone'), ('failed', 'Failed')], default='uploaded', editable=False, max_length=10, verbose_name='state')),
                ('problem', models.CharField(blank=True, choices=[('file', 'The file cannot be read.'), ('file_deleted', 'The file was deleted.'), ('too_many_tags', 'The file has too many different tags. Check the column of the tags.'), ('secret', 'SUPPRESSION_SECRET is not the one under which suppressed addresses are stored.'), ('error', 'An unexpected error occurred. The log of the worker has the details.')], editable=False, max_length=14)),
                ('detail', models.CharField(blank=True, editable=False, max_length=500)),
                ('next_table', models.PositiveIntegerField(default=0, editable=False)),
                ('next_line', models.PositiveBigIntegerField(default=1, editable=False)),
                ('is_read', models.BooleanField(default=False, editable=False)),
                ('row_count', models.PositiveBigIntegerField(default=0, editable=False, help_text='Rows that were read so far.', verbose_name='rows')),
                ('staged_count', models.PositiveBigIntegerField(default=0, editable=False)),
                ('tag_names', models.JSONField(default=list, editable=False)),
                ('dropped_values', models.JSONField(default=dict, editable=False)),
                ('expected', models.JSONField(default=dict, editable=False, help_text='Outcomes of the check.')),
                ('preview', models.JSONField(default=list, editable=False)),
                ('last_address', models.CharField(blank=True, editable=False, max_length=320)),
                ('last_pk', models.BigIntegerField(default=0, editable=False)),
                ('done_count', models.PositiveBigIntegerField(default=0, editable=False)),
                ('outcomes', models.JSONField(default=dict, editable=False, verbose_name='outcomes')),
                ('undone', models.JSONField(default=dict, editable=False, help_text='Subscriptions that were removed, and kept.')),
                ('resumed_at', models.PositiveBigIntegerField(editable=False, help_text='Rows that were done when another worker continued.', null=True)),
                ('worker', models.CharField(blank=True, editable=False, max_length=40)),
                ('heartbeat_at', models.DateTimeField(editable=False, null=True)),
                ('by', models.CharField(blank=True, editable=False, max_length=150, verbose_name='by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('checked_at', models.DateTimeField(editable=False, null=True)),
                ('started_at', models.DateTimeField(editable=False, null=True, verbose_name='started at')),
                ('phase_started_at', models.DateTimeField(editable=False, null=True)),
                ('ended_at', models.DateTimeField(editable=False, null=True, verbose_name='ended at')),
                ('mailing_list', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='imports', to='subscribers.mailinglist', verbose_name='mailing list')),
            ],
            options={
                'verbose_name': 'import',
                'verbose_name_plural': 'imports',
                'ordering': ['-pk'],
                'indexes': [models.Index(condition=models.Q(('state__in', ('checking', 'running', 'undoing'))), fields=['id'], name='import_working')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['uploaded', 'checking', 'checked', 'running', 'paused', 'finished', 'undoing', 'undone', 'failed'])), name='import_state_known'), models.CheckConstraint(condition=models.Q(('update_mode__in', ['fill_empty', 'replace'])), name='import_update_mode_known')],
            },
        ),
        migrations.CreateModel(
            name='ImportPart',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('number', models.PositiveIntegerField()),
                ('data', models.BinaryField()),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='parts', to='subscribers.import')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('owner', 'number'), name='import_part_once')],
            },
        ),
        migrations.CreateModel(
            name='ImportRefusal',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('table', models.CharField(blank=True, max_length=255)),
                ('position', models.PositiveBigIntegerField(help_text='The number of the row over all tables of the file.')),
                ('line', models.PositiveBigIntegerField()),
                ('reason', models.CharField(max_length=40)),
                ('detail', models.CharField(blank=True, max_length=300)),
                ('cells', models.JSONField(default=list)),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='refusals', to='subscribers.import')),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='ImportSuppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fingerprint', models.CharField(max_length=64)),
                ('reason', models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], max_length=12)),
                ('created_at', models.DateTimeField()),
                ('owner', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='suppressions', to='subscribers.import')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('owner', 'fingerprint'), name='import_suppression_once')],
            },
        ),
        migrations.CreateModel(
            name='LiftedSuppression',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('fingerprint', models.CharField(db_index=True, editable=False, max_length=64, verbose_name='fingerprint')),
                ('reason', models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], max_length=12, verbose_name='reason')),
                ('by', models.CharField(blank=True, help_text='The editor’s user name. Empty if the subscriber acted.', max_length=150, verbose_name='by')),
                ('explanation', models.CharField(blank=True, help_text='Why the address may be mailed again.', max_length=300, verbose_name='explanation')),
                ('lifted_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='lifted at')),
            ],
            options={
                'verbose_name': 'lifted suppression',
                'verbose_name_plural': 'lifted suppressions',
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(models.Q(('reason', 'complaint'), _negated=True), models.Q(('explanation', ''), _negated=True), _connector='OR'), name='lifted_complaint_is_explained')],
            },
        ),
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
        migrations.CreateModel(
            name='MailDomain',
            fields=[
                ('domain', models.CharField(max_length=253, primary_key=True, serialize=False)),
                ('status', models.CharField(choices=[('accepts', 'It has a mail server'), ('null_mx', 'It accepts no mail (null MX)'), ('missing', 'It has no mail server'), ('unknown', 'The DNS did not answer')], max_length=8)),
                ('checked_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['accepts', 'null_mx', 'missing', 'unknown'])), name='mail_domain_status_known')],
            },
        ),
        migrations.CreateModel(
            name='Note',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('text', models.TextField(max_length=5000, verbose_name='text')),
                ('by', models.CharField(max_length=150, verbose_name='by')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('subscriber', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='notes', to='subscribers.subscriber', verbose_name='subscriber')),
            ],
            options={
                'verbose_name': 'note',
                'verbose_name_plural': 'notes',
                'ordering': ['-pk'],
            },
        ),
        migrations.CreateModel(
            name='RetentionProgress',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40, unique=True)),
                ('last_pk', models.BigIntegerField(default=0)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='Segment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, verbose_name='name')),
                ('is_picked', models.BooleanField(default=False, editable=False, help_text='Its subscriptions are picked one by one; rules do not apply.', verbose_name='picked by hand')),
                ('rules', models.JSONField(blank=True, default=dict, help_text='A tree of groups and rules, see subscribers/segments.', verbose_name='rules')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('updated_at', models.DateTimeField(auto_now=True, verbose_name='updated at')),
                ('by', models.CharField(blank=True, editable=False, max_length=150, verbose_name='by')),
                ('mailing_list', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='segments', to='subscribers.mailinglist', verbose_name='mailing list')),
            ],
            options={
                'verbose_name': 'segment',
                'verbose_name_plural': 'segments',
                'constraints': [models.UniqueConstraint(fields=('mailing_list', 'name'), name='segment_name_once_per_list')],
            },
        ),
        migrations.CreateModel(
            name='SegmentPick',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('segment', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='picks', to='subscribers.segment')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='segment_picks', to='subscribers.subscription')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('segment', 'subscription'), name='segment_pick_once')],
            },
        ),
        migrations.CreateModel(
            name='SignupAnswers',
            fields=[
                ('subscription', models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, primary_key=True, related_name='signup_answers', serialize=False, to='subscribers.subscription')),
                ('values', models.JSONField(default=dict, help_text='Text or chosen options, by the key of the custom field.')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.CreateModel(
            name='SignupCounter',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('scope', models.CharField(max_length=16)),
                ('key', models.CharField(help_text='A keyed hash of the network, address or domain.', max_length=32)),
                ('hours', models.PositiveSmallIntegerField(help_text='The length of the window.')),
                ('starts_at', models.BigIntegerField(help_text='In seconds since 1970.')),
                ('count', models.PositiveIntegerField(default=0)),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['hours', 'starts_at'], name='signup_counter_old')],
                'constraints': [models.UniqueConstraint(fields=('scope', 'key', 'hours', 'starts_at'), name='signup_counter_once')],
            },
        ),
        migrations.CreateModel(
            name='SignupRule',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(blank=True, help_text='Empty: its conditions are its name.', max_length=100, verbose_name='name')),
                ('position', models.PositiveSmallIntegerField(default=100, help_text='Rules are compared in this order. The first that matches decides.', verbose_name='position')),
                ('is_active', models.BooleanField(default=True, verbose_name='active')),
                ('action', models.CharField(choices=[('allow', 'Allow'), ('hold', 'Hold for review'), ('challenge', 'Challenge'), ('refuse', 'Refuse')], default='hold', help_text='Challenge asks the browser for a proof of work. It needs the package altcha and JavaScript; without them the sign-up is held.', max_length=9, verbose_name='action')),
                ('domains', models.TextField(blank=True, help_text='Separated by spaces or line breaks. A dot before a name adds its subdomains: .example.net', max_length=5000, validators=[subscribers.models.validators.check_domains], verbose_name='mail domains')),
                ('is_disposable', models.BooleanField(default=False, verbose_name='disposable mail domain')),
                ('is_role', models.BooleanField(default=False, help_text='Such as abuse@, postmaster@ or noreply@ (RFC 2142).', verbose_name='role address')),
                ('mail_domain', models.CharField(blank=True, choices=[('null_mx', 'It accepts no mail (null MX)'), ('missing', 'It has no mail server')], help_text='What the DNS says about the mail domain. A rule does not match while the DNS does not answer.', max_length=8, verbose_name='mail server')),
                ('networks', models.TextField(blank=True, help_text='IP addresses and networks such as 203.0.113.0/24, separated by spaces or line breaks.', max_length=5000, validators=[subscribers.models.validators.check_networks], verbose_name='networks')),
                ('sources', models.CharField(blank=True, help_text='Of the form’s address (?source=), separated by commas.', max_length=300, verbose_name='sources')),
                ('languages', models.CharField(blank=True, help_text='First language that the browser asks for, as codes separated by commas, such as fr, pt.', max_length=100, verbose_name='languages')),
                ('has_url', models.BooleanField(default=False, verbose_name='an answer contains a web address')),
                ('field_key', models.CharField(blank=True, help_text='The key of a custom field.', max_length=40, verbose_name='field')),
                ('field_value', models.CharField(blank=True, help_text='The answer to this field. Empty: any answer.', max_length=200, verbose_name='answer')),
                ('is_honeypot', models.BooleanField(default=False, help_text='Browsers do not show it, so only programs fill it in.', verbose_name='hidden field filled in')),
                ('max_seconds', models.DecimalField(blank=True, decimal_places=1, help_text='In seconds after the form was shown.', max_digits=5, null=True, validators=[django.core.validators.MinValueValidator(Decimal('0.5'))], verbose_name='submitted within')),
                ('rate_scope', models.CharField(blank=True, choices=[('network', 'Same network'), ('address', 'Same address'), ('domain', 'Same mail domain'), ('site', 'Whole site')], max_length=7, verbose_name='sign-ups counted by')),
                ('rate_hours', models.PositiveSmallIntegerField(choices=[(1, 'In an hour'), (24, 'In a day')], default=1, verbose_name='window')),
                ('rate_above', models.PositiveIntegerField(blank=True, help_text='Matches each further sign-up of the window.', null=True, verbose_name='more than')),
                ('mailing_list', models.ForeignKey(blank=True, help_text='Empty: all lists.', null=True, on_delete=django.db.models.deletion.CASCADE, related_name='signup_rules', to='subscribers.mailinglist', verbose_name='mailing list')),
            ],
            options={
                'verbose_name': 'sign-up rule',
                'verbose_name_plural': 'sign-up rules',
                'constraints': [models.CheckConstraint(condition=models.Q(('action__in', ['allow', 'hold', 'challenge', 'refuse'])), name='signup_rule_action_known'), models.CheckConstraint(condition=models.Q(models.Q(('rate_above__isnull', True), ('rate_scope', '')), models.Q(('rate_scope__in', ['network', 'address', 'domain', 'site']), ('rate_above__isnull', False)), _connector='OR'), name='signup_rule_rate_complete'), models.CheckConstraint(condition=models.Q(models.Q(('action', 'challenge'), _negated=True), ('mail_domain', ''), _connector='OR'), name='signup_rule_challenge_at_once')],
            },
        ),
        migrations.CreateModel(
            name='SignupDecision',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name='created at')),
                ('action', models.CharField(choices=[('allow', 'Allow'), ('hold', 'Hold for review'), ('challenge', 'Challenge'), ('refuse', 'Refuse')], max_length=9, verbose_name='action')),
                ('reason', models.CharField(choices=[('no_rule', 'No rule matches'), ('rule', 'A rule matches'), ('not_solved', 'The challenge was not solved'), ('address_limit', 'Too many sign-ups of the same address'), ('domain_limit', 'Unusually many sign-ups of the same mail domain'), ('site_limit', 'Unusually many sign-ups of the whole site'), ('repeated', 'The same sign-up is held already'), ('editor', 'An editor decided'), ('complaint', 'Waits until 30 days have passed since a spam complaint')], max_length=16, verbose_name='reason')),
                ('by', models.CharField(blank=True, help_text='The editor’s user name.', max_length=150, verbose_name='by')),
                ('facts', models.JSONField(default=dict, help_text='For a dry run: without answers, the network cut to a /24 or /48.', verbose_name='facts')),
                ('mailing_list', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='subscribers.mailinglist', verbose_name='mailing list')),
                ('rule', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='decisions', to='subscribers.signuprule', verbose_name='rule')),
            ],
            options={
                'verbose_name': 'sign-up decision',
                'verbose_name_plural': 'sign-up decisions',
                'default_permissions': ('view',),
                'constraints': [models.CheckConstraint(condition=models.Q(('action__in', ['allow', 'hold', 'challenge', 'refuse'])), name='signup_decision_action_known'), models.CheckConstraint(condition=models.Q(('reason__in', ['no_rule', 'rule', 'not_solved', 'address_limit', 'domain_limit', 'site_limit', 'repeated', 'editor', 'complaint'])), name='signup_decision_reason_known')],
            },
        ),
        migrations.CreateModel(
            name='StagedRow',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('position', models.PositiveBigIntegerField(help_text='The number of the row over all tables of the file.')),
                ('canonical', models.CharField(max_length=320)),
                ('fingerprint', models.CharField(max_length=64)),
                ('address', models.CharField(max_length=320)),
                ('rank', models.PositiveSmallIntegerField(help_text='Of two rows of a subscriber, the one with the higher wins.')),
                ('first_name', models.CharField(max_length=60)),
                ('time_zone', models.CharField(max_length=64)),
                ('language', models.CharField(max_length=10)),
                ('tags', models.TextField(help_text='Numbers into the import’s tag names, separated by commas.')),
                ('field_values', models.TextField(help_text='JSON: pairs of a field’s number in the plan and a text.')),
                ('note', models.TextField()),
                ('joined_at', models.DateTimeField(null=True)),
                ('confirmed_at', models.DateTimeField(null=True)),
                ('ended_at', models.DateTimeField(null=True)),
                ('source', models.CharField(max_length=300)),
                ('evidence', models.CharField(max_length=300)),
                ('owner', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='staged_rows', to='subscribers.import')),
            ],
            options={
                'default_permissions': (),
                'indexes': [models.Index(fields=['owner', 'canonical'], name='staged_row_address')],
            },
        ),
        migrations.CreateModel(
            name='Tag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=60, validators=[subscribers.models.validators.check_header_text], verbose_name='name')),
                ('key', models.CharField(editable=False, help_text='The name without capital letters.', max_length=180)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, editable=False, verbose_name='created at')),
                ('mailing_list', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tags', to='subscribers.mailinglist', verbose_name='mailing list')),
            ],
            options={
                'verbose_name': 'tag',
                'verbose_name_plural': 'tags',
                'constraints': [models.UniqueConstraint(fields=('mailing_list', 'key'), name='tag_once_per_list')],
            },
        ),
        migrations.CreateModel(
            name='SubscriptionTag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='subscription_tags', to='subscribers.subscription')),
                ('tag', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='subscription_tags', to='subscribers.tag')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('tag', 'subscription'), name='subscription_tag_once')],
            },
        ),
        migrations.CreateModel(
            name='SunsetQuestion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('state', models.CharField(choices=[('asked', 'Asked'), ('stayed', 'Wants to stay'), ('ended', 'Unsubscribed without an answer'), ('withdrawn', 'Withdrawn')], default='asked', max_length=9, verbose_name='state')),
                ('silent_since', models.DateTimeField(help_text='The start of the first of the issues that were neither opened nor clicked.', verbose_name='silent since')),
                ('asked_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='asked at')),
                ('answer_by', models.DateTimeField(verbose_name='answer by')),
                ('answered_at', models.DateTimeField(null=True, verbose_name='answered at')),
                ('mail', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='subscribers.transactionalmail', verbose_name='mail')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sunset_questions', to='subscribers.subscription', verbose_name='subscription')),
            ],
            options={
                'verbose_name': 'sunset question',
                'verbose_name_plural': 'sunset questions',
                'ordering': ['-pk'],
                'default_permissions': ('view',),
                'indexes': [models.Index(condition=models.Q(('state', 'asked')), fields=['answer_by'], name='sunset_question_due')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['asked', 'stayed', 'ended', 'withdrawn'])), name='sunset_question_state_known'), models.UniqueConstraint(fields=('subscription', 'silent_since'), name='sunset_question_once_per_silence'), models.UniqueConstraint(condition=models.Q(('state', 'asked')), fields=('subscription',), name='sunset_question_one_open')],
            },
        ),
        migrations.CreateModel(
            name='Topic',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=100, validators=[subscribers.models.validators.check_header_text], verbose_name='name')),
                ('slug', models.SlugField(max_length=60, verbose_name='slug')),
                ('description', models.CharField(blank=True, help_text='Shown on the preferences page.', max_length=200, verbose_name='description')),
                ('position', models.PositiveSmallIntegerField(default=0, verbose_name='position')),
                ('mailing_list', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='topics', to='subscribers.mailinglist', verbose_name='mailing list')),
            ],
            options={
                'verbose_name': 'topic',
                'verbose_name_plural': 'topics',
                'ordering': ['position', 'pk'],
                'constraints': [models.UniqueConstraint(fields=('mailing_list', 'slug'), name='topic_once_per_list')],
            },
        ),
        migrations.CreateModel(
            name='TopicOptOut',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('subscription', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='topic_opt_outs', to='subscribers.subscription')),
                ('topic', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='opt_outs', to='subscribers.topic')),
            ],
            options={
                'default_permissions': (),
                'constraints': [models.UniqueConstraint(fields=('topic', 'subscription'), name='topic_opt_out_once')],
            },
        ),
        migrations.CreateModel(
            name='UsedStamp',
            fields=[
                ('key', models.CharField(max_length=64, primary_key=True, serialize=False)),
                ('signup_key', models.UUIDField(help_text='The sign-up that used it.')),
                ('expires_at', models.DateTimeField(db_index=True)),
            ],
            options={
                'default_permissions': (),
            },
        ),
        migrations.AlterModelOptions(
            name='signup',
            options={'verbose_name': 'sign-up', 'verbose_name_plural': 'sign-ups'},
        ),
        migrations.RemoveIndex(
            model_name='signup',
            name='signup_network',
        ),
        migrations.AddField(
            model_name='signup',
            name='answers',
            field=models.JSONField(db_default=models.Value({}, output_field=models.JSONField()), default=dict, help_text='Text or chosen options, by the key of the custom field.'),
        ),
        migrations.AddField(
            model_name='signup',
            name='facts',
            field=models.JSONField(db_default=models.Value({}, output_field=models.JSONField()), default=dict, help_text='The fields of `Facts`, which rules are compared with.'),
        ),
        migrations.AddField(
            model_name='signup',
            name='reason',
            field=models.CharField(blank=True, choices=[('no_rule', 'No rule matches'), ('rule', 'A rule matches'), ('not_solved', 'The challenge was not solved'), ('address_limit', 'Too many sign-ups of the same address'), ('domain_limit', 'Unusually many sign-ups of the same mail domain'), ('site_limit', 'Unusually many sign-ups of the whole site'), ('repeated', 'The same sign-up is held already'), ('editor', 'An editor decided'), ('complaint', 'Waits until 30 days have passed since a spam complaint')], db_default='', default='', max_length=16, verbose_name='reason'),
        ),
        migrations.AddField(
            model_name='signup',
            name='released_by',
            field=models.CharField(blank=True, db_default='', default='', help_text='The editor who released it. No rule and no limit holds it again.', max_length=150, verbose_name='released by'),
        ),
        migrations.AddField(
            model_name='signup',
            name='source',
            field=models.CharField(blank=True, db_default='', default='', max_length=60, verbose_name='source'),
        ),
        migrations.AddField(
            model_name='signup',
            name='state',
            field=models.CharField(choices=[('waiting', 'Waiting'), ('processed', 'Processed'), ('held', 'Held'), ('refused', 'Refused')], db_default='waiting', default='waiting', max_length=9, verbose_name='state'),
        ),
        migrations.AlterField(
            model_name='signup',
            name='address',
            field=models.CharField(max_length=320, verbose_name='address'),
        ),
        migrations.AlterField(
            model_name='signup',
            name='created_at',
            field=models.DateTimeField(db_index=True, default=django.utils.timezone.now, verbose_name='created at'),
        ),
        migrations.AlterField(
            model_name='signup',
            name='due_at',
            field=models.DateTimeField(default=django.utils.timezone.now, help_text='Empty unless it is waiting.', null=True),
        ),
        migrations.AlterField(
            model_name='signup',
            name='mailing_list',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='signups', to='subscribers.mailinglist', verbose_name='mailing list'),
        ),
        migrations.AlterField(
            model_name='signup',
            name='network',
            field=models.CharField(blank=True, help_text='IPv4 address, or the /64 of an IPv6 address.', max_length=43, verbose_name='network'),
        ),
        migrations.AddField(
            model_name='signup',
            name='rule',
            field=models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='subscribers.signuprule', verbose_name='rule'),
        ),
        migrations.AddIndex(
            model_name='signup',
            index=models.Index(condition=models.Q(('state', 'held')), fields=['created_at'], name='signup_held'),
        ),
        migrations.AddConstraint(
            model_name='signup',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['waiting', 'processed', 'held', 'refused'])), name='signup_state_known'),
        ),
        migrations.AddConstraint(
            model_name='signup',
            constraint=models.CheckConstraint(condition=models.Q(('due_at__isnull', True), ('state', 'waiting'), _connector='OR'), name='signup_due_while_waiting'),
        ),
        migrations.AddConstraint(
            model_name='signup',
            constraint=models.UniqueConstraint(django.db.models.functions.text.Lower('address'), models.F('mailing_list'), condition=models.Q(('reason', 'complaint'), ('state', 'waiting')), name='signup_once_on_hold'),
        ),
        migrations.AlterModelOptions(
            name='subscriber',
            options={'permissions': [('view_personal_data', 'Can view full addresses, IP addresses and clicks'), ('export_subscriber', 'Can export subscribers')], 'verbose_name': 'subscriber', 'verbose_name_plural': 'subscribers'},
        ),
        migrations.AddField(
            model_name='subscriber',
            name='language',
            field=models.CharField(blank=True, choices=[('en', 'English'), ('de', 'Deutsch'), ('fr', 'Français'), ('es', 'Español')], db_default='', default='', help_text='The subscriber’s choice for pages and confirmation mails. Empty: the language of the list.', max_length=10, verbose_name='language'),
        ),
        migrations.RemoveConstraint(
            model_name='suppression',
            name='suppression_reason_known',
        ),
        migrations.AlterField(
            model_name='suppression',
            name='reason',
            field=models.CharField(choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], max_length=12, verbose_name='reason'),
        ),
        migrations.AddConstraint(
            model_name='suppression',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['hard_bounce', 'complaint', 'provider', 'manual', 'erased'])), name='suppression_reason_known'),
        ),
        migrations.RemoveConstraint(
            model_name='transactionalmail',
            name='transactional_mail_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='transactionalmail',
            name='transactional_mail_reason_known',
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='kind',
            field=models.CharField(choices=[('confirmation', 'Confirmation mail'), ('stay', '“Do you still want this newsletter?”'), ('already_subscribed', '“You are already subscribed”'), ('address_confirm', 'Change of address: to the new address'), ('address_taken', 'Change of address: the new address is in use'), ('address_approve', 'Change of address: to the old address'), ('access', 'Link to the subscriber’s data'), ('erase', 'Link to delete the subscriber’s data'), ('preferences_link', 'Link to the preferences page')], max_length=20, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='transactionalmail',
            name='reason',
            field=models.CharField(blank=True, choices=[('suppressed', 'The address is suppressed.'), ('declined', 'The subscriber chose “This was not me”.'), ('address_changed', 'The subscriber’s address has changed.'), ('nothing_to_confirm', 'There is nothing left to confirm.'), ('superseded', 'A newer confirmation mail replaces this one.'), ('link_expired', 'The link in the mail has expired.'), ('not_subscribed', 'The subscription has ended.'), ('refused', 'The mail was refused.'), ('unavailable', 'The provider has not accepted the mail.'), ('connection_failed', 'The connection to the mail server failed.'), ('backend_error', 'The mail backend failed with an unexpected error.'), ('not_finished', 'A worker stopped during an attempt.'), ('other', 'Another reason.')], max_length=20, verbose_name='reason'),
        ),
        migrations.AddConstraint(
            model_name='transactionalmail',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['confirmation', 'stay', 'already_subscribed', 'address_confirm', 'address_taken', 'address_approve', 'access', 'erase', 'preferences_link'])), name='transactional_mail_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='transactionalmail',
            constraint=models.CheckConstraint(condition=models.Q(('reason__in', ['', 'suppressed', 'declined', 'address_changed', 'nothing_to_confirm', 'superseded', 'link_expired', 'not_subscribed', 'refused', 'unavailable', 'connection_failed', 'backend_error', 'not_finished', 'other'])), name='transactional_mail_reason_known'),
        ),
        migrations.AddField(
            model_name='mailinglist',
            name='complaint_contact',
            field=models.CharField(blank=True, db_default='', default='', help_text='Email address or https:// URL for complaints about the use of personal data. Shown on the sign-up page and in its mail.', max_length=254, validators=[subscribers.models.validators.check_contact], verbose_name='complaint contact'),
        ),
        migrations.AddField(
            model_name='mailinglist',
            name='frame_origins',
            field=models.TextField(blank=True, db_default='', default='', help_text='Origins that may show the sign-up form in a frame, one per line, such as https://www.example.org. * allows every site. Empty: none.', max_length=2000, validators=[subscribers.models.validators.check_origins], verbose_name='sites that may frame the form'),
        ),
        migrations.AddField(
            model_name='mailinglist',
            name='is_embeddable',
            field=models.BooleanField(db_default=False, default=False, help_text='Accept the sign-up form from pages of other sites, and offer it as a frame.', verbose_name='sign-up from other sites'),
        ),
        migrations.AddField(
            model_name='mailinglist',
            name='is_listed',
            field=models.BooleanField(db_default=False, default=False, help_text='Subscribers of the other lists of this site see it on their preferences page and can join it.', verbose_name='listed'),
        ),
        migrations.AddField(
            model_name='mailinglist',
            name='offers_weekly',
            field=models.BooleanField(db_default=False, default=False, help_text='Subscribers can choose to get all issues of a week in one mail.', verbose_name='offers a weekly mail'),
        ),
        migrations.AddField(
            model_name='mailinglist',
            name='privacy_url',
            field=models.CharField(blank=True, db_default='', default='', help_text='https:// URL of your privacy policy (GDPR Art. 13). Linked on the sign-up page and in its mail.', max_length=500, validators=[subscribers.models.validators.check_web_address], verbose_name='privacy policy'),
        ),
        migrations.AddField(
            model_name='subscription',
            name='frequency',
            field=models.CharField(choices=[('each', 'Each issue'), ('weekly', 'Once a week, all issues in one mail')], db_default='each', default='each', max_length=6, verbose_name='frequency'),
        ),
        migrations.AddField(
            model_name='subscription',
            name='frequency_since',
            field=models.DateTimeField(blank=True, editable=False, help_text='The end of the week after which the frequency was changed. Empty: never changed that way.', null=True, verbose_name='frequency since'),
        ),
        migrations.AddField(
            model_name='subscription',
            name='import_pk',
            field=models.BigIntegerField(editable=False, help_text='The import that made the subscription, if it was imported.', null=True),
        ),
        migrations.AddField(
            model_name='subscription',
            name='next_frequency',
            field=models.CharField(blank=True, choices=[('each', 'Each issue'), ('weekly', 'Once a week, all issues in one mail')], db_default='', default='', editable=False, help_text='What the subscriber chose; it replaces the frequency when the week of the list is over.', max_length=6, verbose_name='next frequency'),
        ),
        migrations.AddField(
            model_name='subscription',
            name='source',
            field=models.CharField(blank=True, db_default='', default='', editable=False, help_text='Where the subscriber came from: the “source” of the sign-up form’s address, or an import.', max_length=60, verbose_name='source'),
        ),
        migrations.AddField(
            model_name='subscription',
            name='tracking_agreed_at',
            field=models.DateTimeField(blank=True, editable=False, help_text='When the subscriber agreed that opens and clicks are stored. Empty: not agreed, or withdrawn.', null=True, verbose_name='agreed to tracking at'),
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(fields=['mailing_list', 'state', 'subscriber'], name='subscription_by_state'),
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('source__in', ['', 'import']), _negated=True), fields=['source', 'subscriber'], name='subscription_by_source'),
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('next_frequency', ''), _negated=True), fields=['mailing_list', 'id'], name='subscription_next_frequency'),
        ),
        migrations.AddIndex(
            model_name='subscription',
            index=models.Index(condition=models.Q(('paused_until__isnull', False)), fields=['paused_until', 'subscriber'], name='subscription_paused'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.CheckConstraint(condition=models.Q(('frequency__in', ['each', 'weekly'])), name='subscription_frequency_known'),
        ),
        migrations.AddConstraint(
            model_name='subscription',
            constraint=models.CheckConstraint(condition=models.Q(('next_frequency', ''), models.Q(('next_frequency__in', ['each', 'weekly']), models.Q(('next_frequency', models.F('frequency')), _negated=True)), _connector='OR'), name='subscription_next_frequency_differs'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='form',
            field=models.CharField(choices=[('signup', 'Sign-up form'), ('signup-again', '“Send the link again” after the sign-up form'), ('confirm', 'Confirmation page'), ('confirm-again', '“Send a new link” on the confirmation page'), ('decline', 'Decline page'), ('decline-undo', 'Undo on the decline page'), ('unsubscribe', 'Unsubscribe page'), ('unsubscribe-undo', 'Undo on the unsubscribe page'), ('one-click', 'One-click unsubscribe of the mail program'), ('unsubscribe-reason', 'Question for the reason, after unsubscribing'), ('preferences', 'Preferences page'), ('admin', 'Admin'), ('suppression', 'Suppression'), ('stay', '“Keep my subscription” after “Do you still want this newsletter?”'), ('sunset', 'No answer to “Do you still want this newsletter?”'), ('import', 'Import')], help_text='Where the step was taken: a form, a link in a mail, an import.', max_length=40, verbose_name='form'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='reason',
            field=models.CharField(blank=True, choices=[('hard_bounce', 'The mailbox does not exist'), ('complaint', 'Reported a mail as spam'), ('provider', 'On the provider’s suppression list'), ('manual', 'Added by an editor'), ('erased', 'Erased: no import adds the address again')], help_text='Why the address was suppressed.', max_length=12, verbose_name='reason'),
        ),
        migrations.AddIndex(
            model_name='consent',
            index=models.Index(condition=models.Q(('kind__in', ('unsubscribed', 'declined', 'suppressed')), ('subscription__isnull', True)), fields=['canonical'], name='consent_of_deleted'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='text',
            field=models.ForeignKey(db_index=False, help_text='The text that the subscriber saw.', null=True, on_delete=django.db.models.deletion.PROTECT, to='subscribers.consenttext', verbose_name='text'),
        ),
        migrations.AlterField(
            model_name='consent',
            name='transactional_mail',
            field=models.ForeignKey(db_index=False, help_text='The mail that this step sent, or whose link it used.', null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to='subscribers.transactionalmail', verbose_name='transactional mail'),
        ),
        migrations.AlterField(
            model_name='subscription',
            name='mailing_list',
            field=models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='subscriptions', to='subscribers.mailinglist', verbose_name='mailing list'),
        ),
        migrations.AddIndex(
            model_name='consent',
            index=models.Index(condition=models.Q(('transactional_mail__isnull', False)), fields=['transactional_mail'], name='consent_with_mail'),
        ),
        migrations.RunPython(make_unlogged, migrations.RunPython.noop),
        migrations.RunPython(keep_full_addresses, migrations.RunPython.noop, elidable=False),
        migrations.RunPython(mark_processed, forget),
        migrations.RunPython(add_default_rules, forget),
        migrations.RunPython(refuse_changes, allow_changes),
    ]
