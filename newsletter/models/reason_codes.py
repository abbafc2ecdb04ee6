"""The codes of reasons, each with its sentence."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class Reason(models.TextChoices):
    """Every reason of the system's own, with its sentence.

    `%(name)s` in a sentence is filled from the values that are stored beside the code. What a provider or an operator
    wrote is the value `text`; it follows the sentence.
    """

    # --- A recipient who is left out
    UNSUBSCRIBED = "unsubscribed", _("The subscriber unsubscribed.")
    SUPPRESSED = "suppressed", _("The address is on the suppression list.")
    SUBSCRIPTION_PAUSED = "subscription_paused", _("The subscriber paused the newsletter.")
    TOPIC_LEFT = "topic_left", _("The subscriber opted out of the topic.")
    ERASED = "erased", _("The subscriber was erased.")
    NOT_ALLOWED = "not_allowed", _("The address is not in ALLOWED_RECIPIENTS.")
    UNSUBSCRIBED_AFTER_ATTEMPT = (
        "unsubscribed_after",
        _("The subscriber unsubscribed. An earlier attempt may have reached them."),
    )
    SUPPRESSED_AFTER_ATTEMPT = (
        "suppressed_after",
        _("The address is on the suppression list. An earlier attempt may have reached it."),
    )
    SUBSCRIPTION_PAUSED_AFTER_ATTEMPT = (
        "subscription_paused_after",
        _("The subscriber paused the newsletter. An earlier attempt may have reached them."),
    )
    TOPIC_LEFT_AFTER_ATTEMPT = (
        "topic_left_after",
        _("The subscriber opted out of the topic. An earlier attempt may have reached them."),
    )
    ERASED_AFTER_ATTEMPT = "erased_after", _("The subscriber was erased. An earlier attempt may have reached them.")
    NOT_ALLOWED_AFTER_ATTEMPT = (
        "not_allowed_after",
        _("The address is not in ALLOWED_RECIPIENTS. An earlier attempt may have reached it."),
    )
    SEND_CANCELLED = "send_cancelled", _("The send was cancelled before the mail went out.")
    OTHER_ADDRESS = (
        "other_address",
        _("The subscriber has another delivery of this issue, at an address that was merged with this one."),
    )
    DELIVERED_AFTER_ALL = "delivered_after_all", _("The first mail was reported as failed and arrived after all.")

    # --- A batch
    NO_RECIPIENT_LEFT = "no_recipient_left", _("None of its recipients may be mailed any more.")
    CUT_FOR_PROVIDER = "cut_for_provider", _("Cut into smaller batches: the provider takes fewer mails per call.")
    CUT_FOR_LIMIT = (
        "cut_for_limit",
        _("Cut into two batches: the newsletter's sending limit allows only the first now."),
    )
    CANNOT_BE_BUILT = (
        "cannot_be_built",
        _("The batch cannot be built (%(error)s). The worker's log has the details. It is retried every five minutes."),
    )
    DATABASE_FAILED = "database_failed", _("The database failed before the batch was posted.")
    NO_PERMIT = "no_permit", _("The provider's rate limit left no permit. The batch is posted later.")
    LEASE_LOST = "lease_lost", _("The worker was held up for so long that another worker may have the batch.")
    SENDING_STOPPED = "sending_stopped", _("All sending is stopped. The batch is posted when sending resumes.")
    WORKER_ENDED = "worker_ended", _("The worker ended before it posted these mails.")
    SEND_STOPPED = "send_stopped", _("The send was stopped before the batch was posted.")
    RECIPIENT_LEFT = (
        "recipient_left",
        _(
            "A recipient may not be mailed any more (unsubscribed, paused, suppressed or erased), so the batch was not "
            "posted."
        ),
    )
    RECIPIENT_LEFT_UNKNOWN = (
        "recipient_left_unknown",
        _(
            "A recipient may not be mailed any more (unsubscribed, paused, suppressed or erased). Posting the same "
            "bytes again would reach them."
        ),
    )
    KEY_EXPIRED = (
        "key_expired",
        _("No answer came before the provider forgets the idempotency key. Posting again could send duplicates."),
    )
    NOT_REPEATABLE = (
        "not_repeatable",
        _("The worker ended during the post, and this provider does not detect duplicates."),
    )
    CANCELLED_WHILE_UNKNOWN = (
        "cancelled_while_unknown",
        _("The send was cancelled while the outcome of this batch was unknown."),
    )
    OTHER_ACCOUNT = (
        "other_account",
        _("%(provider)s may have it under another key or login. The current one cannot tell."),
    )
    PROVIDER_NOT_IN_ROUTE = (
        "provider_not_in_route",
        _("%(provider)s may have it, and is no longer in PROVIDER. No other provider can tell."),
    )
    ID_COUNT_DIFFERS = (
        "id_count_differs",
        _(
            "The number of ids in the provider's answer (%(ids)s) differs from the number of deliveries "
            "(%(deliveries)s)."
        ),
    )
    RESULT_COUNT_DIFFERS = (
        "result_count_differs",
        _(
            "The number of results in the provider's answer (%(results)s) differs from the number of deliveries "
            "(%(deliveries)s)."
        ),
    )
    REFUSED_AFTER_UNKNOWN = (
        "refused_after_unknown",
        _("The provider refused a repeat; the outcome of an earlier attempt is unknown."),
    )
    TOO_MANY_ATTEMPTS = "too_many_attempts", _("The provider refused it temporarily up to the last attempt.")
    PROVEN_BY_EVENT = "proven_by_event", _("An event proves that it was sent.")
    MARKED_AS_SENT = "marked_as_sent", _("Marked as sent by %(by)s.")
    SENT_AGAIN = "sent_again", _("Sent again by %(by)s, who accepted that recipients may get it twice.")
    FOUND_BY_SEARCH = (
        "found_by_search",
        _("Its mails in the provider's list: %(found)s of %(size)s. Mails searched: %(read)s. It was sent."),
    )
    FOUND_AT_THE_END = (
        "found_at_the_end",
        _(
            "Its mails in the provider's list: %(found)s of %(size)s. Mails searched: %(read)s. The list does not "
            "reach back further. It was sent."
        ),
    )
    ABSENT_BY_SEARCH = (
        "absent_by_search",
        _(
            "The provider's list, searched back to before its first post, has none of its mails. Mails "
            "searched: %(read)s."
        ),
    )
    PARTLY_FOUND = (
        "partly_found",
        _(
            "Only part of its mails are in the provider's list: %(found)s of %(size)s. But a batch is sent completely "
            "or not at all. An operator must decide."
        ),
    )
    PARTS_FOUND = (
        "parts_found",
        _(
            "Mails in the provider's list: %(found)s of %(size)s. They are recorded as sent. Whether the others were "
            "sent is not known: the batch may have been sent in parts before the restore. An operator must decide."
        ),
    )
    SEARCH_WITHOUT_TAGS = (
        "search_without_tags",
        _(
            "The provider's list has similar mails to these recipients, without tags or with the numbers of other "
            "deliveries. An operator must decide."
        ),
    )
    SEARCH_OTHER_PROVIDER = (
        "search_other_provider",
        _(
            "The provider's list has none of its mails, but another provider in PROVIDER may have sent it before the "
            "restore. An operator must decide."
        ),
    )
    SEARCH_TOO_SHORT = (
        "search_too_short",
        _("The provider's list does not reach back to before its first post, so it proves nothing."),
    )
    SEARCH_WITNESS_MISSING = (
        "search_witness_missing",
        _(
            "The provider's list has none of its mails, and not those of an accepted batch either: it may be the list "
            "of another account."
        ),
    )
    SEARCH_CLOCKS_DIFFER = (
        "search_clocks_differ",
        _("The provider's list has none of its mails, but the clocks differed when it was posted."),
    )
    SEARCH_NO_WITNESS = (
        "search_no_witness",
        _(
            "The provider's list has none of its mails, but no batch was accepted at that time to prove that the list "
            "is that of this account."
        ),
    )
    SEARCH_FAILED = "search_failed", _("The provider's list cannot be searched.")
    SETTLED_MEANWHILE = "settled_meanwhile", _("The batch was settled or posted again meanwhile.")

    # --- A send that is held, paused or moved
    OPERATOR = "operator", _("Decided by an operator.")
    AUTO_PAUSED = "auto_paused", _("Paused automatically.")
    BOUNCE_RATE = (
        "bounce_rate",
        _(
            "%(count)s of %(sample)s mails bounced permanently: %(percent)s %%, and the limit is %(limit)s %%. Find "
            "out where these addresses came from before more are mailed."
        ),
    )
    COMPLAINT_RATE = (
        "complaint_rate",
        _(
            "%(count)s of %(sample)s mails were reported as spam: %(percent)s %%, and the limit is %(limit)s %%. "
            "Mailbox providers block senders for that. Check who did not ask for this issue."
        ),
    )
    UNKNOWN_RATE = (
        "unknown_rate",
        _(
            "The outcome of %(count)s of %(sample)s mails is unknown: %(percent)s %%, and the limit is %(limit)s %%. "
            "Look at the provider's log, and decide about the held batches."
        ),
    )
    # The value “sentences” has the rate.
    SPAM_RATE = "spam_rate", _("Gmail’s users report too many mails of the sender as spam.")
    POLICY_BOUNCES = (
        "policy_bounces",
        _(
            "%(count)s mails of the last %(minutes)s minutes were refused because of the sender. Check SPF, DKIM and "
            "DMARC of the sender's domain, and what the bounces say, before more are sent."
        ),
    )
    PROVIDER_REFUSES = (
        "provider_refuses",
        _("%(provider)s refused %(count)s of its last mails because of the sender: “%(reply)s”."),
    )
    CONTENT_REFUSED = (
        "content_refused",
        _(
            "%(count)s mails were refused because of what is in them, with the same words (mailbox providers: "
            "%(providers)s): “%(reply)s”."
        ),
    )
    PROVIDER_TRACKS = (
        "provider_tracks",
        _(
            "The provider %(provider)s tracks opens or clicks of all mails from %(domain)s, and the newsletter has no "
            "consent to it. Turn off tracking of this domain at the provider, or change the newsletter's consent to "
            "tracking if all subscribers agreed. Then resume the send."
        ),
    )
    NOTHING_ACCEPTED = "nothing_accepted", _("No mail was accepted, and more than one was refused.")
    ISSUE_REFUSED = "issue_refused", _("The provider refuses this issue.")
    PROVIDER_OUTAGE = "provider_outage", _("No provider accepts mail.")
    PROVIDER_BACK = "provider_back", _("A provider accepts mail again.")
    DOWNTIME = (
        "downtime",
        _(
            "No worker ran between %(from_at)s and %(until_at)s, or the database was restored from a backup of that "
            "time. After a restore, recipients may have this issue already: compare with the provider's log. Resume "
            "the send if they do not have it, cancel it if they have."
        ),
    )
    START_FAILED = (
        "start_failed",
        _(
            "The start failed (%(error)s); the worker's log has the details. It is retried every minute. Nothing was "
            "sent."
        ),
    )
    OVERDUE = (
        "overdue",
        _(
            "The send was due on %(due_at)s and was found on %(found_at)s. Nothing was sent. Send the issue now, or "
            "unschedule it and choose another time. If the database was restored from a backup, check first whether "
            "the issue was sent already."
        ),
    )
    NOT_STARTED = "not_started", _("The issue was due and did not start.")
    RESCHEDULED = (
        "rescheduled",
        _("Starts on %(now_at)s instead of %(before_at)s: time-zone rules or recipients changed."),
    )
    UNSCHEDULED = "unscheduled", _("The schedule was removed.")
    UNDONE = "undone", _("The start was undone before anything was sent.")
    RETRIED = "retried", _("Failed deliveries are retried: %(count)s.")
    OCCURRENCE_MISSED = (
        "occurrence_missed",
        _(
            "The occurrence of the recurring schedule on %(occurrence_at)s came, and this issue was not approved. Send "
            "or schedule it manually."
        ),
    )
    OCCURRENCE_LATE = (
        "occurrence_late",
        _(
            "The occurrence on %(occurrence_at)s was found %(minutes)s minutes late, so nothing was sent. Send the "
            "issue now, or approve it for the next occurrence."
        ),
    )
    OCCURRENCE_REFUSED = "occurrence_refused", _("The issue could not start at its occurrence on %(occurrence_at)s.")
    OCCURRENCE_FAILED = (
        "occurrence_failed",
        _("The start failed (%(error)s); the worker's log has the details. It is retried every minute."),
    )
    NO_APPROVED_ISSUE = "no_approved_issue", _("No issue was approved, so nothing was sent.")
    OCCURRENCE_SENT = "occurrence_sent", _("“%(title)s” was sent.")
    DIGEST_REFUSED = (
        "digest_refused",
        _("The weekly digest could not start. Correct it, then send it: its recipients miss the issues until then."),
    )
    DIGEST_RESTORED = (
        "digest_restored",
        _(
            "The database was restored from a backup after the week was over, on %(due_at)s. This weekly digest may "
            "have been sent before: compare with the provider's log, and send it only if it was not."
        ),
    )
    DIGEST_FAILED = (
        "digest_failed",
        _("The weekly digest could not be composed (%(error)s); the worker's log has the details. It is retried."),
    )
    DRAFT_NOT_MADE = (
        "draft_not_made",
        _("No draft could be made. Correct the title or the sections of the recurring schedule."),
    )
    ZONE_UNKNOWN = (
        "zone_unknown",
        _("The next occurrence cannot be planned: this machine does not know the time zone “%(zone)s”."),
    )
    NOT_PLANNED = (
        "not_planned",
        _("The next occurrence cannot be planned (%(error)s). The worker's log has the details."),
    )

    # --- All sending is stopped
    STOPPED_BY_SETTING = "stopped_by_setting", _("SENDING=off is set in the settings.")
    SUPPRESSION_SECRET_DIFFERS = (
        "suppression_secret_differs",
        _(
            "SUPPRESSION_SECRET is not the one under which suppressed addresses are stored: none of them would be "
            "recognised, and they would get mail again."
        ),
    )
    RESTORED = (
        "restored",
        _(
            "This database was restored from a backup. Check that no other copy of this installation sends, and what "
            "was sent since the backup. Then resume sending."
        ),
    )

    RESTORED_SEND = (
        "restored_send",
        _(
            "The database was restored at %(until_at)s from a backup of %(from_at)s. It does not know what was sent "
            "between these times: compare with the provider's log."
        ),
    )
    RESTORED_BATCH = (
        "restored_batch",
        _("It may have been sent between the backup (%(from_at)s) and its restore (%(until_at)s)."),
    )
    RESTORED_UNBUILT = (
        "restored_unbuilt",
        _(
            "It may have been sent between the backup (%(from_at)s) and its restore (%(until_at)s). It cannot be built "
            "(%(error)s), so the provider's list cannot be searched for it. The log has the details."
        ),
    )

    AUDIENCE_GONE = (
        "audience_gone",
        _("The rest of the audience cannot be computed. Cancel the send, or resume it once the following is solved."),
    )

    # --- An issue
    APPROVED = "approved", _("Approved for the next occurrence of the recurring schedule.")
    APPROVAL_WITHDRAWN = "approval_withdrawn", _("The approval was withdrawn.")
    EDITED = "edited", _("The issue was edited.")
    BINNED = "binned", _("The issue was moved to the bin.")

    # --- A recurring draft
    NO_DRAFT_MADE = (
        "no_draft_made",
        _("The draft could not be made (%(error)s). The worker's log has the details. It is tried again."),
    )
    DRAFT_REFUSED = "draft_refused", _("The draft could not be made. Correct the template; it is tried again.")

    # --- A provider event
    NOT_ABOUT_A_MAIL = "not_about_a_mail", _("This kind of event is not used.")
    OTHER_INSTALLATION = "other_installation", _("It belongs to another installation, or to no mail of this one.")
    NO_SUCH_DELIVERY = "no_such_delivery", _("There is no such delivery.")
    OTHER_RECIPIENT = "other_recipient", _("The recipient is not the one of this delivery.")
    OTHER_EDITION = "other_edition", _("It is about a mail of another issue than this delivery's.")
    SUPERSEDED_MAIL = "superseded_mail", _("It is about a mail that failed and was replaced by another one.")

    # --- From before reasons were codes
    OTHER = "other", ""
