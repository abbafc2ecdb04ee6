"""The inbox: entries of feeds become saved links, with how they came, sightings, tags and a time to expire."""

import datetime

import django.core.validators
import django.db.models.deletion
import django.utils.timezone
from django.conf import settings
from django.db import migrations, models

from newsletter.content.links import link_sha256, saved_link_sha256

OPEN = ["new", "kept"]
EXPIRY = datetime.timedelta(days=60)
ROWS = 500


def in_parts(rows):
    """Lists of at most ROWS rows, in the order of their keys."""
    last = 0
    while part := list(rows.filter(pk__gt=last).order_by("pk")[:ROWS]):
        yield part
        last = part[-1].pk


def find_links_of_stories(apps, schema_editor):
    """What later saves store with a story."""
    Story = apps.get_model("newsletter", "Story")
    for part in in_parts(Story.objects.exclude(url="").only("pk", "url")):
        for story in part:
            story.page_sha256 = link_sha256(story.url)
        Story.objects.bulk_update(part, ["page_sha256"])


def make_saved_links(apps, schema_editor):
    """Each entry was seen once, by its feed. Fragments count from now on."""
    SavedLink, Sighting = apps.get_model("newsletter", "SavedLink"), apps.get_model("newsletter", "Sighting")
    for part in in_parts(SavedLink.objects.all()):
        for link in part:
            link.page_sha256 = link_sha256(link.url)
            link.link_sha256 = saved_link_sha256(link.url)
            link.expires_at = link.found_at + EXPIRY
        SavedLink.objects.bulk_update(part, ["page_sha256", "link_sha256", "expires_at"])
        Sighting.objects.bulk_create(
            Sighting(link_id=link.pk, feed_id=link.feed_id, guid=link.guid, at=link.found_at) for link in part
        )
    if schema_editor.connection.vendor == "postgresql":
        # Tables with checks that wait for the end of the transaction cannot be altered.
        schema_editor.execute("SET CONSTRAINTS ALL IMMEDIATE")


def forget(apps, schema_editor):
    """The columns and tables go."""


class Migration(migrations.Migration):

    dependencies = [
        ('newsletter', '0034_archive_imports'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='newsletter',
            name='inbox_days',
            field=models.PositiveSmallIntegerField(db_default=60, default=60, help_text='Days until a new link leaves the inbox. A link that is kept stays for a year. Default: 60.', validators=[django.core.validators.MinValueValidator(1), django.core.validators.MaxValueValidator(365)], verbose_name='new links expire after'),
        ),
        migrations.AddField(
            model_name='story',
            name='page_sha256',
            field=models.CharField(blank=True, db_default='', default='', editable=False, max_length=64),
        ),
        migrations.AddField(
            model_name='feed',
            name='new_links',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False, help_text='Links that the last fetch added.'),
        ),
        migrations.AddField(
            model_name='feed',
            name='without_link',
            field=models.PositiveSmallIntegerField(db_default=0, default=0, editable=False, help_text='Entries without a web link in the last document.'),
        ),
        migrations.RemoveConstraint(model_name='feeditem', name='feed_item_once_per_link'),
        migrations.RemoveConstraint(model_name='feeditem', name='feed_item_state_known'),
        migrations.RemoveIndex(model_name='feeditem', name='feed_item_to_pick'),
        migrations.RenameModel('FeedItem', 'SavedLink'),
        migrations.AlterModelOptions(
            name='savedlink',
            options={'ordering': ['-found_at', '-pk'], 'verbose_name': 'saved link', 'verbose_name_plural': 'saved links'},
        ),
        migrations.CreateModel(
            name='LinkTag',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(max_length=40)),
                ('newsletter', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='link_tags', to='newsletter.newsletter')),
            ],
            options={
                'ordering': ['name'],
                'constraints': [models.UniqueConstraint(fields=('newsletter', 'name'), name='link_tag_once_per_newsletter')],
            },
        ),
        migrations.CreateModel(
            name='LinkToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('name', models.CharField(help_text='Where it is used, such as “Phone” or “Script”.', max_length=60, verbose_name='name')),
                ('token_sha256', models.CharField(max_length=64, unique=True)),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now)),
                ('used_at', models.DateTimeField(null=True)),
                ('revoked_at', models.DateTimeField(null=True)),
                ('minute_at', models.DateTimeField(help_text='When the minute began whose requests are counted.', null=True)),
                ('in_minute', models.PositiveSmallIntegerField(default=0)),
                ('newsletter', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='link_tokens', to='newsletter.newsletter')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'ordering': ['-pk'],
                'indexes': [models.Index(fields=['newsletter', 'user'], name='link_token_of_user')],
            },
        ),
        migrations.AlterField(
            model_name='savedlink',
            name='newsletter',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='saved_links', to='newsletter.newsletter'),
        ),
        migrations.AlterField(
            model_name='savedlink',
            name='feed',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='links', to='newsletter.feed'),
        ),
        migrations.AlterField(
            model_name='savedlink',
            name='issue',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='saved_links', to='newsletter.issue'),
        ),
        migrations.AlterField(
            model_name='savedlink',
            name='link_sha256',
            field=models.CharField(help_text='What it is one link by, see `saved_link_sha256`.', max_length=64),
        ),
        migrations.AlterField(
            model_name='savedlink',
            name='state',
            field=models.CharField(choices=[('new', 'New'), ('kept', 'Kept'), ('used', 'Used'), ('dismissed', 'Dropped'), ('expired', 'Expired')], default='new', max_length=9),
        ),
        migrations.AlterField(
            model_name='savedlink',
            name='title',
            field=models.CharField(blank=True, help_text='Empty until the page was fetched.', max_length=300),
        ),
        migrations.AddField(
            model_name='savedlink',
            name='page_sha256',
            field=models.CharField(default='', help_text='Of the page, by which stories with it are found.', max_length=64),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='savedlink',
            name='note',
            field=models.CharField(blank=True, db_default='', max_length=500),
        ),
        migrations.AddField(
            model_name='savedlink',
            name='expires_at',
            field=models.DateTimeField(default=django.utils.timezone.now, help_text='When an open link leaves the list.'),
            preserve_default=False,
        ),
        migrations.AddField(
            model_name='savedlink',
            name='way',
            field=models.CharField(choices=[('feed', 'feed'), ('form', 'inbox'), ('button', 'save button'), ('share', 'shared from a device'), ('api', 'API')], db_default='feed', default='feed', max_length=6),
        ),
        migrations.AddField(
            model_name='savedlink',
            name='saved_by',
            field=models.CharField(blank=True, db_default='', help_text='User name; empty for a feed.', max_length=150),
        ),
        migrations.AddField(
            model_name='savedlink',
            name='times',
            field=models.PositiveSmallIntegerField(db_default=1, default=1, help_text='The number of its sightings.'),
        ),
        migrations.AddField(
            model_name='savedlink',
            name='metadata',
            field=models.CharField(choices=[('none', 'Not needed'), ('pending', 'Waiting'), ('fetched', 'Fetched'), ('failed', 'Not fetched')], db_default='none', default='none', max_length=7),
        ),
        migrations.AddField(
            model_name='savedlink',
            name='metadata_problem',
            field=models.JSONField(help_text='Why the page was not fetched, as a sentence in parts.', null=True),
        ),
        migrations.AddField(
            model_name='savedlink',
            name='tries',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='savedlink',
            name='fetch_at',
            field=models.DateTimeField(help_text='When the page may be fetched; only while it waits for that.', null=True),
        ),
        migrations.CreateModel(
            name='TaggedLink',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('link', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='newsletter.savedlink')),
                ('tag', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='tagged', to='newsletter.linktag')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('link', 'tag'), name='tagged_link_once')],
            },
        ),
        migrations.AddField(
            model_name='savedlink',
            name='tags',
            field=models.ManyToManyField(related_name='links', through='newsletter.TaggedLink', to='newsletter.linktag'),
        ),
        migrations.CreateModel(
            name='Sighting',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('guid', models.CharField(blank=True, help_text='The feed\'s id of the entry.', max_length=1000)),
                ('by', models.CharField(blank=True, help_text='User name of who saved it; empty for a feed.', max_length=150)),
                ('at', models.DateTimeField(default=django.utils.timezone.now)),
                ('feed', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='sightings', to='newsletter.feed')),
                ('link', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='sightings', to='newsletter.savedlink')),
            ],
            options={
                'ordering': ['pk'],
                'indexes': [models.Index(fields=['feed', 'guid'], name='sighting_of_entry')],
                'constraints': [models.UniqueConstraint(fields=('link', 'feed'), name='sighting_once_per_feed'), models.UniqueConstraint(condition=models.Q(('by', ''), _negated=True), fields=('link', 'by'), name='sighting_once_per_user')],
            },
        ),
        migrations.RunPython(find_links_of_stories, forget),
        migrations.RunPython(make_saved_links, forget),
        migrations.RemoveField(model_name='savedlink', name='guid'),
        migrations.AddIndex(
            model_name='story',
            index=models.Index(condition=models.Q(('page_sha256', ''), _negated=True), fields=['page_sha256'], name='story_page'),
        ),
        migrations.AddConstraint(
            model_name='savedlink',
            constraint=models.UniqueConstraint(fields=('newsletter', 'link_sha256'), name='saved_link_once'),
        ),
        migrations.AddConstraint(
            model_name='savedlink',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['new', 'kept', 'used', 'dismissed', 'expired'])), name='saved_link_state_known'),
        ),
        migrations.AddConstraint(
            model_name='savedlink',
            constraint=models.CheckConstraint(condition=models.Q(('issue__isnull', True), ('state', 'used'), _connector='OR'), name='saved_link_used_has_issue'),
        ),
        migrations.AddConstraint(
            model_name='savedlink',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('fetch_at__isnull', False), ('metadata', 'pending')), models.Q(models.Q(('metadata', 'pending'), _negated=True), ('fetch_at__isnull', True)), _connector='OR'), name='saved_link_waits_for_a_time'),
        ),
        migrations.AddIndex(
            model_name='savedlink',
            index=models.Index(models.F('newsletter'), models.F('state'), models.OrderBy(models.F('times'), descending=True), models.OrderBy(models.F('id'), descending=True), name='saved_link_by_times'),
        ),
        migrations.AddIndex(
            model_name='savedlink',
            index=models.Index(models.F('newsletter'), models.F('state'), models.OrderBy(models.F('id'), descending=True), name='saved_link_by_age'),
        ),
        migrations.AddIndex(
            model_name='savedlink',
            index=models.Index(fields=['newsletter', 'state', 'expires_at', 'id'], name='saved_link_by_expiry'),
        ),
        migrations.AddIndex(
            model_name='savedlink',
            index=models.Index(fields=['newsletter', 'page_sha256'], name='saved_link_page'),
        ),
        migrations.AddIndex(
            model_name='savedlink',
            index=models.Index(condition=models.Q(('state__in', OPEN)), fields=['expires_at'], name='saved_link_to_expire'),
        ),
        migrations.AddIndex(
            model_name='savedlink',
            index=models.Index(condition=models.Q(('metadata', 'pending')), fields=['fetch_at'], name='saved_link_to_fetch'),
        ),
    ]
