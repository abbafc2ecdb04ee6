"""Sends become rows: the tables and columns that the next migration fills."""

import django.db.models.deletion
import django.utils.timezone
from django.db import migrations, models

SEND_STATES = [
    ("scheduled", "Scheduled"),
    ("sending", "Sending"),
    ("paused", "Paused"),
    ("sent", "Sent"),
    ("cancelled", "Cancelled"),
    ("withdrawn", "Withdrawn"),
]


class Migration(migrations.Migration):
    dependencies = [("newsletter", "0010_names")]

    operations = [
        migrations.CreateModel(
            name="Send",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("state", models.CharField(choices=SEND_STATES, max_length=9)),
                ("hold_reason", models.CharField(blank=True, default="", max_length=64)),
                ("hold_values", models.JSONField(default=dict)),
                ("retry_start_at", models.DateTimeField(null=True)),
                ("scheduled_at", models.DateTimeField(null=True)),
                ("scheduled_zone", models.CharField(blank=True, default="", max_length=64)),
                ("scheduled_wall", models.CharField(blank=True, default="", max_length=16)),
                ("is_local", models.BooleanField(default=False)),
                ("manifest", models.JSONField(null=True)),
                ("approved_sha256", models.CharField(blank=True, default="", max_length=64)),
                ("started_at", models.DateTimeField(null=True)),
                ("undo_until", models.DateTimeField(null=True)),
                ("acknowledged", models.JSONField(default=dict)),
                ("expanded_through", models.BigIntegerField(default=0)),
                ("expanded_at", models.DateTimeField(null=True)),
                ("excluded", models.JSONField(default=dict)),
                ("finished_at", models.DateTimeField(null=True)),
                ("created_at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "edition",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="sends", to="newsletter.edition"
                    ),
                ),
                (
                    "issue",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="sends", to="newsletter.issue"
                    ),
                ),
            ],
            options={"verbose_name": "send", "verbose_name_plural": "sends", "ordering": ["-pk"]},
        ),
        migrations.CreateModel(
            name="SendTransition",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("source", models.CharField(blank=True, choices=SEND_STATES, max_length=9)),
                ("target", models.CharField(choices=SEND_STATES, max_length=9)),
                ("by", models.CharField(max_length=150)),
                ("reason", models.CharField(blank=True, default="", max_length=64)),
                ("values", models.JSONField(default=dict)),
                ("at", models.DateTimeField(default=django.utils.timezone.now)),
                (
                    "send",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="transitions",
                        to="newsletter.send",
                    ),
                ),
            ],
            options={"ordering": ["pk"]},
        ),
        # Issue
        migrations.AddField("issue", "state", models.CharField(default="draft", editable=False, max_length=10)),
        migrations.AddField("issue", "approved_revision", models.PositiveIntegerField(editable=False, null=True)),
        migrations.AddField("issue", "hold_values", models.JSONField(default=dict, editable=False)),
        migrations.AddField("issuetransition", "values", models.JSONField(default=dict)),
        # Delivery: what is compared with a renamed or removed column comes off first.
        migrations.RemoveConstraint("delivery", "delivery_status_known"),
        migrations.RemoveIndex("delivery", "delivery_gone_wrong"),
        migrations.RenameField("delivery", "status", "state"),
        migrations.AddField(
            "delivery",
            "issue",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="deliveries",
                to="newsletter.issue",
            ),
        ),
        migrations.AddField(
            "delivery",
            "send",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="deliveries",
                to="newsletter.send",
            ),
        ),
        migrations.AddField(
            "delivery", "detail", models.CharField(blank=True, db_default="", default="", max_length=200)
        ),
        # Batch
        migrations.RemoveConstraint("batch", "batch_under_way_has_its_bytes"),
        migrations.RemoveIndex("batch", "batch_tried"),
        migrations.RenameField("batch", "may_be_out", "may_be_duplicate"),
        migrations.AddField("batch", "reason_values", models.JSONField(null=True)),
        migrations.AddField(
            "batch",
            "send",
            models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="batches",
                to="newsletter.send",
            ),
        ),
        # Event
        migrations.AddField("event", "reason", models.CharField(blank=True, default="", max_length=64)),
        migrations.AddField("event", "bounce", models.CharField(blank=True, default="", max_length=16)),
        migrations.AddField("event", "detail", models.CharField(blank=True, default="", max_length=300)),
        migrations.AddField("event", "superseded_mail", models.CharField(blank=True, default="", max_length=64)),
        # Provider search, recurring schedule and its occurrences
        migrations.AddField("providersearch", "reason", models.CharField(blank=True, default="", max_length=64)),
        migrations.AddField("providersearch", "values", models.JSONField(default=dict)),
        migrations.AddField("recurringschedule", "problem_values", models.JSONField(default=dict, editable=False)),
        migrations.RenameField("occurrence", "next_try_at", "retry_start_at"),
        migrations.AddField("occurrence", "reason", models.CharField(blank=True, default="", max_length=64)),
        migrations.AddField("occurrence", "values", models.JSONField(default=dict)),
        # Feeds, link checks and throttles
        migrations.AddField("feed", "problem_detail", models.JSONField(default=dict, editable=False)),
        migrations.AddField("linkcheck", "reason_detail", models.JSONField(default=dict)),
        migrations.AddField("providerthrottle", "code", models.CharField(blank=True, default="", max_length=64)),
    ]
