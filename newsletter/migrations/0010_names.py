"""The tables get the field's own names: provider events, provider searches, throttles, recurring schedules.

Constraints that name a renamed column are taken off first: SQLite writes the whole table anew with each of them.
"""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("newsletter", "0009_room_for_outcomes")]

    operations = [
        migrations.RemoveConstraint(
            model_name="receipt",
            name="receipt_once_per_event",
        ),
        migrations.RemoveConstraint(
            model_name="receipt",
            name="receipt_state_known",
        ),
        migrations.RemoveConstraint(
            model_name="issue",
            name="issue_sent_is_finished",
        ),
        migrations.RemoveConstraint(
            model_name="slotrun",
            name="slot_run_once_per_day",
        ),
        migrations.RemoveConstraint(
            model_name="slotrun",
            name="slot_run_one_ahead",
        ),
        migrations.RemoveConstraint(
            model_name="lookup",
            name="look_up_one_at_a_time_per_batch",
        ),
        migrations.RemoveConstraint(
            model_name="lookup",
            name="look_up_verdict_known",
        ),
        migrations.RemoveConstraint(
            model_name="lookup",
            name="look_up_verdict_has_its_time",
        ),
        migrations.RemoveConstraint(
            model_name="providerflow",
            name="flow_once_per_team",
        ),
        migrations.RemoveConstraint(
            model_name="slot",
            name="slot_once_per_newsletter",
        ),
        migrations.RemoveConstraint(
            model_name="slot",
            name="slot_weekday_known",
        ),
        migrations.RenameModel("Receipt", "Event"),
        migrations.RenameModel("LookUp", "ProviderSearch"),
        migrations.RenameModel("ProviderFlow", "ProviderThrottle"),
        migrations.RenameModel("Slot", "RecurringSchedule"),
        migrations.RenameModel("SlotRun", "Occurrence"),
        migrations.RenameField("occurrence", "slot", "schedule"),
        migrations.RenameField("providersearch", "verdict", "result"),
        migrations.RenameField("providerthrottle", "broken_at", "circuit_opened_at"),
        migrations.RenameField("providerthrottle", "halted_at", "suspended_at"),
        *(
            migrations.RenameField("providerthrottle", old, new)
            for old, new in {
                "last_at": "last_permit_at",
                "rests_until": "backoff_until",
                "probing_until": "half_open_until",
                "minute_from": "window_started_at",
                "minute_posts": "window_posts",
                "minute_failures": "window_failures",
                "reason": "detail",
            }.items()
        ),
        migrations.RenameField("preflightrun", "must_fix", "errors"),
        migrations.RenameField("preflightrun", "look_at", "warnings"),
        migrations.RenameField("issue", "addressed_through", "expanded_through"),
        migrations.RenameField("issue", "addressed_at", "expanded_at"),
        migrations.AlterModelOptions(
            name="providerthrottle",
            options={"verbose_name": "throttle"},
        ),
        migrations.RenameIndex(
            model_name="event",
            new_name="event_to_apply",
            old_name="receipt_to_apply",
        ),
        migrations.RenameIndex(
            model_name="occurrence",
            new_name="occurrence_due",
            old_name="slot_run_due",
        ),
        migrations.AlterField(
            model_name="occurrence",
            name="issue",
            field=models.ForeignKey(
                help_text="Made for it, or sent in it.",
                null=True,
                on_delete=django.db.models.deletion.SET_NULL,
                related_name="occurrences",
                to="newsletter.issue",
            ),
        ),
        migrations.AlterField(
            model_name="occurrence",
            name="schedule",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE,
                related_name="occurrences",
                to="newsletter.recurringschedule",
            ),
        ),
        migrations.AlterField(
            model_name="providersearch",
            name="batch",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="provider_searches", to="newsletter.batch"
            ),
        ),
        migrations.AlterField(
            model_name="recurringschedule",
            name="newsletter",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="recurring_schedules", to="newsletter.newsletter"
            ),
        ),
        migrations.AddConstraint(
            model_name="event",
            constraint=models.UniqueConstraint(fields=("provider", "event_id"), name="event_once"),
        ),
        migrations.AddConstraint(
            model_name="event",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["new", "applied", "ignored", "orphan"])), name="event_state_known"
            ),
        ),
        migrations.AddConstraint(
            model_name="issue",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("status", "sent"), _negated=True),
                    models.Q(("expanded_at__isnull", False), ("finished_at__isnull", False)),
                    _connector="OR",
                ),
                name="issue_sent_is_finished",
            ),
        ),
        migrations.AddConstraint(
            model_name="occurrence",
            constraint=models.UniqueConstraint(fields=("schedule", "date"), name="occurrence_once_per_day"),
        ),
        migrations.AddConstraint(
            model_name="occurrence",
            constraint=models.UniqueConstraint(
                condition=models.Q(("finished_at__isnull", True)), fields=("schedule",), name="occurrence_one_ahead"
            ),
        ),
        migrations.AddConstraint(
            model_name="providersearch",
            constraint=models.UniqueConstraint(
                condition=models.Q(("result", "open")), fields=("batch",), name="provider_search_one_per_batch"
            ),
        ),
        migrations.AddConstraint(
            model_name="providersearch",
            constraint=models.CheckConstraint(
                condition=models.Q(("result__in", ["open", "found", "absent", "partly", "unproven", "moot"])),
                name="provider_search_result_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="providersearch",
            constraint=models.CheckConstraint(
                condition=models.Q(("result", "open"), ("finished_at__isnull", False), _connector="OR"),
                name="provider_search_result_has_its_time",
            ),
        ),
        migrations.AddConstraint(
            model_name="providerthrottle",
            constraint=models.UniqueConstraint(fields=("provider", "account"), name="throttle_once_per_account"),
        ),
        migrations.AddConstraint(
            model_name="recurringschedule",
            constraint=models.UniqueConstraint(
                fields=("newsletter", "weekday", "time"), name="recurring_schedule_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="recurringschedule",
            constraint=models.CheckConstraint(
                condition=models.Q(("weekday__lte", 6)), name="recurring_schedule_weekday_known"
            ),
        ),
    ]
