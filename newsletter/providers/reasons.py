"""Codes of what providers answer, and the sentence that shows each of them.

Outcomes, results and checks carry a `code`, a stable slug, and a `detail`, the provider's own words. Codes are stored
and compared; sentences are made when they are shown, in the language of the viewer. Resend's error names are used as
codes unchanged.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from newsletter.config.translatable import translatable

#: Codes are stored in columns of this length.
MAX_CODE_LENGTH = 64

CODE = re.compile(r"[a-z0-9_]{1,64}\Z")

REASONS: Mapping[str, str] = {
    # No connection: nothing was sent.
    "connection_refused": translatable("The provider refused the connection."),
    "connection_failed": translatable("No connection to the provider could be opened."),
    "connection_timeout": translatable("The connection to the provider timed out."),
    "dns_error": translatable("The provider's host name could not be resolved."),
    "certificate_invalid": translatable("The provider's TLS certificate is not valid for its host name."),
    "connection_rejected": translatable("The mail server rejected the connection."),
    "smtp_feature_unsupported": translatable(
        "The mail server does not support a feature that the settings require. Check SMTP_TLS and SMTP_USER."
    ),
    "smtp_settings_invalid": translatable(
        "SMTP_HOST, SMTP_USER or SMTP_PASSWORD contains characters that cannot be sent to a mail server."
    ),
    "redirected": translatable(
        "The API address redirects to another address, which is not followed. Check the provider's URL."
    ),
    "tracking_not_agreed": translatable(
        "Opens and clicks are stored only of subscribers who agreed, of newsletters whose source is the provider."
    ),
    # The request was sent, and its result is unknown.
    "no_answer": translatable("The connection broke before the provider answered. The mail may have been sent."),
    "timeout": translatable("The provider did not answer in time. The mail may have been sent."),
    "unreadable_answer": translatable("The provider's answer could not be read. The mail may have been sent."),
    "wrong_answer": translatable("The answer belongs to another request. The mail may have been sent."),
    "unexpected_reply": translatable("The mail server sent an unexpected reply."),
    # Names of Resend's errors.
    "missing_api_key": translatable("The request had no API key."),
    "invalid_api_key": translatable("The provider does not accept the API key."),
    "restricted_api_key": translatable("The API key is not allowed to make this request."),
    "inactive_api_key": translatable("The API key is not active. Activate it at the provider, or set another key."),
    "suspended_api_key": translatable("The provider has suspended the API key."),
    "invalid_permission": translatable("The API key does not have the permission for this request."),
    "invalid_access": translatable("The API key does not have access to this resource."),
    "email_above_quota": translatable("The account is over its quota."),
    "daily_quota_exceeded": translatable("The daily quota of the account is used up. Sending resumes at midnight UTC."),
    "monthly_quota_exceeded": translatable("The monthly quota of the account is used up."),
    "rate_limit_exceeded": translatable("The provider received too many requests. Sending is slowed down."),
    "invalid_from_address": translatable("The provider does not accept the sender's address."),
    "invalid_idempotency_key": translatable("The provider does not accept the idempotency key."),
    "invalid_idempotent_request": translatable(
        "The provider knows the idempotency key with another content. The mail may have been sent."
    ),
    "concurrent_idempotent_requests": translatable("The provider is still working on the same request."),
    "security_error": translatable("The provider blocked the message for security reasons."),
    "validation_error": translatable("The provider rejected the request as invalid."),
    "missing_required_field": translatable("The provider found that a required field is missing."),
    "invalid_parameter": translatable("The provider rejected a field of the request."),
    "invalid_attachment": translatable("The provider does not accept an attachment."),
    "not_found": translatable("The provider does not know the address of the request."),
    "method_not_allowed": translatable("The provider does not allow this request."),
    "service_unavailable": translatable("The provider is temporarily unavailable."),
    "application_error": translatable("The provider had an internal error."),
    "internal_server_error": translatable("The provider had an internal error."),
    # Replies of mail servers.
    "authentication_failed": translatable("The mail server did not accept the login (SMTP_USER, SMTP_PASSWORD)."),
    "sender_refused": translatable("The mail server refused the sender's address."),
    "message_too_large": translatable("The mail is larger than the mail server accepts."),
    "sender_deferred": translatable("The mail server does not accept mail from the sender at the moment."),
    "mailbox_unavailable": translatable("The mail server refused the recipient's address."),
    "mailbox_deferred": translatable("The mail server does not accept mail for the recipient at the moment."),
    "message_refused": translatable("The mail server refused the message."),
    "message_deferred": translatable("The mail server does not accept the message at the moment."),
    "connection_lost": translatable("The connection broke before the mail was complete. The mail was not sent."),
    "no_reply_to_message": translatable(
        "The connection broke before the mail server confirmed the mail. Its log shows whether the mail was accepted."
    ),
    "sender_not_ascii": translatable(
        "The sender's address contains characters other than ASCII, which mail servers cannot deliver to yet."
    ),
    "recipient_not_ascii": translatable(
        "The recipient's address contains characters other than ASCII, which mail servers cannot deliver to yet."
    ),
    "previous_messages_refused": translatable(
        "The message was not attempted, because the mail server refused every message before it."
    ),
    "server_slow": translatable("The mail server is slow. The rest of the batch is posted in a later attempt."),
    # Before a provider is asked.
    "recipient_not_allowed": translatable("The address is not in ALLOWED_RECIPIENTS, so it gets no mail."),
    "all_sending_stopped": translatable("All sending is stopped. The mail is sent when sending resumes."),
    "provider_unavailable": translatable("The provider is not available at the moment. The mail is sent later."),
    # Reading the provider's list of mails.
    "read_key_missing": translatable("RESEND_READ_KEY is not set, so the provider's list of mails cannot be read."),
    "read_key_refused": translatable("The provider does not let RESEND_READ_KEY read its mails. It needs full access."),
    "cursor_lost": translatable("The provider no longer knows the mail at which reading stopped."),
    "list_unreadable": translatable("The provider's list of mails could not be read."),
    "list_unavailable": translatable("The provider's list of mails did not answer."),
    "not_posted_by_provider": translatable("The batch was not posted through this provider."),
    # Reading the provider's sending domains.
    "suppressions_unreadable": translatable("The provider's suppression list could not be read or changed."),
    "suppressions_refused": translatable(
        "The key may not read and change the provider's suppression list. RESEND_READ_KEY needs full access."
    ),
    "domains_refused": translatable("The key may not read the provider's domains. Set RESEND_READ_KEY."),
    "domains_unreadable": translatable("The provider's domains could not be read."),
    # Reading the provider's webhook endpoints, their log of events, and its counts.
    "event_log_key_missing": translatable(
        "RESEND_READ_KEY is not set, so the provider's log of events cannot be read."
    ),
    "event_log_refused": translatable(
        "The provider does not let RESEND_READ_KEY read its webhooks. The key needs full access."
    ),
    "event_log_unavailable": translatable("The provider's log of events did not answer."),
    "event_log_unreadable": translatable("The provider's log of events could not be read."),
    "endpoint_missing": translatable("None of the provider's webhook endpoints leads to this site."),
    "counts_key_missing": translatable("RESEND_READ_KEY is not set, so the provider's counts cannot be read."),
    "counts_refused": translatable("The provider does not let RESEND_READ_KEY read its counts. It needs full access."),
    "counts_unreadable": translatable("The provider's counts could not be read."),
    # Reading received mails.
    "inbound_key_missing": translatable("RESEND_READ_KEY is not set, so received mails cannot be read."),
    "inbound_refused": translatable(
        "The provider does not let RESEND_READ_KEY read received mails. The key needs full access."
    ),
    "inbound_gone": translatable("The provider no longer has the mail."),
    "inbound_above_quota": translatable(
        "The provider does not hand out the mail, because it was received above the quota of the account."
    ),
    "inbound_unavailable": translatable("The provider did not hand out the mail."),
    "inbound_unreadable": translatable("The provider's answer about the mail could not be read."),
    "inbound_download_failed": translatable("An attachment could not be downloaded from the provider."),
    # Webhooks.
    "events_unsupported": translatable("This provider sends no webhooks."),
    "event_headers_invalid": translatable("The webhook's id or timestamp is missing or malformed."),
    "event_timestamp_out_of_range": translatable("The webhook's timestamp is too old or in the future."),
    "event_signature_mismatch": translatable("The webhook's signature does not match."),
    "event_not_utf8": translatable("The webhook's body is not UTF-8."),
    "event_unreadable": translatable("The event could not be read."),
    "event_refused": translatable("Applying the event failed, while other events were applied. It was set aside."),
    "applied_again": translatable("The event waits to be applied again."),
    # Connection checks.
    "connection_ok": translatable("The provider answers and accepts the login."),
    "connection_ok_sending_key": translatable("The provider answers. The key may send, and may not read domains."),
    "connection_ok_rate_limited": translatable("The provider answers, but it received too many requests just now."),
}


def provider_reason_sentence(code: str, detail: str = "") -> str:
    """The sentence for a code, with the provider's own words behind it; empty without a code and a detail."""
    sentence = REASONS.get(code) or (_unknown(code) if code else "")
    if sentence and detail:
        return translatable("{sentence} Details: {detail}", sentence=sentence, detail=detail)
    return sentence or detail


def _unknown(code: str) -> str:
    if code.startswith("http_"):
        return translatable("The provider answered with HTTP status {status}.", status=code.removeprefix("http_"))
    return translatable("The provider answered with the error “{code}”.", code=code)


class ReasonError(Exception):
    """An error that carries a reason: `code` and `detail`. `str()` gives the sentence in the active language."""

    def __init__(self, code: str, detail: str = "") -> None:
        super().__init__(provider_reason_sentence(code, detail))
        self.code, self.detail = code, detail
