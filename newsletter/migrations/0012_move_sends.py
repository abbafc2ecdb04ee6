"""Carry every run of an issue over to its send, and every stored sentence to a code.

Sentences whose code is known get it; the others keep their words as the value `text` of the code `other`.
"""

import hashlib
import json

from django.db import connections, migrations
from django.db.models import F

#: Sentences of earlier versions, by their code.
SENTENCES = {
    "The reader was erased.": "erased",
    "The address must not be mailed.": "suppressed",
    "The reader paused the newsletter.": "subscription_paused",
    "The reader left the newsletter.": "unsubscribed",
    "This installation writes only to ALLOWED_RECIPIENTS, and the address is not among them.": "not_allowed",
    "The send was cancelled.": "send_cancelled",
    "The mail that was said to have failed arrived after all.": "delivered_after_all",
    "Nobody in it may be mailed any more.": "no_recipient_left",
    "A reader left while it was not known whether this batch went out; the same bytes would still reach them.": (
        "recipient_left_unknown"
    ),
    "No answer came before the provider forgets the key; posting again could reach readers twice.": "key_expired",
    "It was being sent when the worker ended, and this provider would not notice that it is sent twice.": (
        "not_repeatable"
    ),
    "The send was cancelled while it was not known whether this batch went out.": "cancelled_while_unknown",
    "A receipt proves that it went out.": "proven_by_event",
    "The database failed before it went out.": "database_failed",
    "It was settled or posted again meanwhile.": "settled_meanwhile",
    "The provider takes mail again.": "provider_back",
    "No draft was marked ready, so nothing went out.": "no_approved_issue",
    "This kind of event says nothing about a mail.": "not_about_a_mail",
    "It belongs to another installation or to no mail of ours.": "other_installation",
    "There is no such delivery.": "no_such_delivery",
    "The recipient is not the one of this delivery.": "other_recipient",
}
AFTER_ATTEMPT = " An earlier post may have reached them."
SUPERSEDED = "Its mail failed, and another goes out in its place."
GIVEN_UP = "given up: "
BOUNCES = ("hard", "soft", "policy")

#: The names that a manifest had for its audience, and has now.
MANIFEST_NAMES = {"readers": "recipients", "readers_sha256": "recipients_sha256"}
NOT_DIGESTED = {"revision", "excluded", "estimate", "sha256"}


def code_of(sentence):
    """Code and values of a stored sentence."""
    if not sentence:
        return "", {}
    if sentence in SENTENCES:
        return SENTENCES[sentence], {}
    plain = sentence.removesuffix(AFTER_ATTEMPT)
    if plain != sentence and plain in SENTENCES:
        return f"{SENTENCES[plain]}_after", {}
    return "other", {"text": sentence}


def move_sends(apps, schema_editor):
    """One send for each issue that is scheduled or was started, with its history."""
    issues, sends = apps.get_model("newsletter", "Issue"), apps.get_model("newsletter", "Send")
    for issue in issues.objects.exclude(status="draft").order_by("pk").iterator():
        manifest, approved = new_manifest(issue.manifest, issue.manifest_sha256)
        reason, values = hold_of(issue)
        send = sends.objects.create(
            issue=issue,
            edition=issue.edition,
            state=issue.status,
            hold_reason=reason,
            hold_values=values,
            retry_start_at=issue.next_try_at,
            scheduled_at=issue.scheduled_at,
            scheduled_zone=issue.scheduled_zone,
            scheduled_wall=issue.scheduled_wall,
            is_local=issue.is_local,
            manifest=manifest,
            approved_sha256=approved,
            started_at=issue.started_at,
            undo_until=issue.posts_from,
            acknowledged=issue.tolerated,
            expanded_through=issue.expanded_through,
            expanded_at=issue.expanded_at,
            excluded=issue.excluded,
            finished_at=issue.finished_at,
            created_at=issue.started_at or issue.updated_at,
        )
        move_history(apps, issue, send)
    for issue in issues.objects.filter(status="draft").exclude(hold_reason=""):
        reason, values = code_of(issue.hold_reason)
        issues.objects.filter(pk=issue.pk).update(hold_reason=reason, hold_values=values)
    issues.objects.exclude(status="draft").update(hold_reason="")
    for issue in issues.objects.filter(status="draft", ready_revision__isnull=False):
        if issue.ready_revision == issue.revision:
            issues.objects.filter(pk=issue.pk).update(state="approved", approved_revision=issue.revision)


def hold_of(issue):
    """Why a send was paused or held, as its code and values."""
    reason, values = code_of(issue.hold_reason)
    if issue.status == "paused" and issue.is_braked:
        return "auto_paused", {"text": issue.hold_reason}
    if issue.status == "paused" and issue.waits_for_provider:
        return "provider_outage", {"text": issue.hold_reason}
    return reason, values


def new_manifest(manifest, approved):
    """A stored manifest with the names of now, and its digest where that was what had been approved."""
    if not isinstance(manifest, dict) or "readers" not in manifest:
        return manifest, approved
    renamed = {MANIFEST_NAMES.get(name, name): value for name, value in manifest.items()}
    renamed["version"] = 2
    if isinstance(renamed.get("estimate"), dict) and "is_held_back" in renamed["estimate"]:
        renamed["estimate"]["is_limited"] = renamed["estimate"].pop("is_held_back")
    promised = {name: value for name, value in renamed.items() if name not in NOT_DIGESTED}
    canonical = json.dumps(promised, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    renamed["sha256"] = hashlib.sha256(canonical.encode()).hexdigest()
    return renamed, renamed["sha256"] if approved and approved == manifest.get("sha256") else approved


def move_history(apps, issue, send):
    """The steps of an issue's run; notes on a draft stay with the issue."""
    steps, transitions = apps.get_model("newsletter", "IssueTransition"), apps.get_model("newsletter", "SendTransition")
    run = steps.objects.filter(issue=issue).exclude(source="draft", target="draft").order_by("pk")
    made = []
    for step in run:
        reason, values = code_of(step.reason)
        source = "" if step.source == "draft" else step.source
        target = "withdrawn" if step.target == "draft" else step.target
        made.append(
            transitions(
                send=send, source=source, target=target, by=step.by, reason=reason, values=values, at=step.at
            )
        )
    transitions.objects.bulk_create(made)
    run.delete()


def move_notes(apps, schema_editor):
    """What is left of the issues' history, and the other tables that kept sentences."""
    for model, old, code, values in (
        ("IssueTransition", "reason", "reason", "values"),
        ("ProviderSearch", "sentence", "reason", "values"),
        ("Occurrence", "outcome", "reason", "values"),
        ("Batch", "reason", "reason", "reason_values"),
    ):
        rows = apps.get_model("newsletter", model).objects
        for sentence in rows.exclude(**{old: ""}).order_by().values_list(old, flat=True).distinct():
            reason, told = code_of(sentence)
            rows.filter(**{old: sentence}).update(**{code: reason, values: told})
    apps.get_model("newsletter", "RecurringSchedule").objects.exclude(problem="").update(problem="")
    code_deliveries(apps.get_model("newsletter", "Delivery").objects)


def code_deliveries(deliveries):
    """Known sentences one by one; all others, of which each refused mail may have its own, in one statement."""
    known = dict(SENTENCES) | {f"{sentence}{AFTER_ATTEMPT}": f"{code}_after" for sentence, code in SENTENCES.items()}
    used = deliveries.filter(reason__in=known).order_by().values_list("reason", flat=True).distinct()
    others = deliveries.exclude(reason="").exclude(reason__in=known)
    others.update(detail=F("reason"), reason="other")
    for sentence in used:
        deliveries.filter(reason=sentence).update(reason=known[sentence])


def move_deliveries(apps, schema_editor):
    """Each delivery and batch belongs to the send of its edition; one statement a table."""
    of_edition = """
        UPDATE newsletter_{table} SET send_id = run.send_id{more}
        FROM (SELECT edition_id, id AS send_id, issue_id FROM newsletter_send) AS run
        WHERE newsletter_{table}.edition_id = run.edition_id
    """
    with connections[schema_editor.connection.alias].cursor() as cursor:
        cursor.execute(of_edition.format(table="delivery", more=", issue_id = run.issue_id"))
        cursor.execute(of_edition.format(table="batch", more=""))
    for model in ("Delivery", "Batch"):
        if lost := apps.get_model("newsletter", model).objects.filter(send__isnull=True).count():
            raise RuntimeError(f"{lost} rows of {model} belong to an edition that no issue sends. Nothing was changed.")


def move_events(apps, schema_editor):
    """Notes of events: the mail that was replaced, the kind of bounce, the reason, and what the provider added."""
    events = apps.get_model("newsletter", "Event").objects
    for event in events.filter(note__startswith=GIVEN_UP).only("pk", "note").iterator():
        mail, _space, rest = event.note.removeprefix(GIVEN_UP).partition(" ")
        events.filter(pk=event.pk).update(superseded_mail=mail[:64], note=rest)
    for event in events.filter(note__startswith=SUPERSEDED).only("pk", "note").iterator():
        rest = event.note.removeprefix(SUPERSEDED).strip()
        events.filter(pk=event.pk).update(reason="superseded_mail", note=rest)
    with connections[schema_editor.connection.alias].cursor() as cursor:
        for kind in BOUNCES:
            prefix = f"{kind} bounce:"
            cursor.execute(
                "UPDATE newsletter_event SET bounce = %s, note = trim(substr(note, %s)) WHERE note LIKE %s",
                [kind, len(prefix) + 1, f"{prefix}%"],
            )
    for sentence, code in SENTENCES.items():
        events.filter(note=sentence).update(reason=code, note="")
    with connections[schema_editor.connection.alias].cursor() as cursor:
        cursor.execute("UPDATE newsletter_event SET detail = note WHERE note <> ''")


class Migration(migrations.Migration):
    dependencies = [("newsletter", "0011_sends")]

    operations = [
        migrations.RunPython(move_sends, migrations.RunPython.noop),
        migrations.RunPython(move_deliveries, migrations.RunPython.noop),
        migrations.RunPython(move_notes, migrations.RunPython.noop),
        migrations.RunPython(move_events, migrations.RunPython.noop),
    ]
