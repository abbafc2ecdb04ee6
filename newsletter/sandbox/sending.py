"""The two calls that send: POST /emails and POST /emails/batch."""

from __future__ import annotations

import logging

from newsletter.sandbox.acceptance import Accepted, Posting, accept
from newsletter.sandbox.exchange import Request, Response
from newsletter.sandbox.faults import Fault
from newsletter.sandbox.idempotency import read_key
from newsletter.sandbox.refusals import refusal
from newsletter.sandbox.team import Team
from newsletter.sandbox.validation import read_batch, read_mail, read_mails

log = logging.getLogger(__name__)

#: Longest wait for a webhook that must be posted before the answer.
_WEBHOOK_FIRST_SECONDS = 5.0
_PATHS = frozenset({"/emails", "/emails/batch"})


def is_sending(request: Request) -> bool:
    """Whether a call sends mails."""
    return request.method == "POST" and request.path in _PATHS


def send(team: Team, request: Request, sha256: str, fault: Fault) -> Response:
    """Accept the mails of a call once per idempotency key. A repeated call gets the same answer."""
    posting = Posting(request.path, read_key(request), request.body, sha256)
    with team.keys.hold(posting.key):
        team.pause(fault.latency)
        earlier = team.keys.answer_to(posting.key, posting.path, posting.body, sha256, team.clock())
        if earlier is not None:
            return Response(200, earlier)
        accepted = _read_and_accept(team, request, posting)
    if fault.kind == "webhook_first" or team.options.webhook_before_response:
        _wait_for_webhooks(team, accepted)
    return Response(200, accepted.answer)


def _read_and_accept(team: Team, request: Request, posting: Posting) -> Accepted:
    now = team.clock()
    if posting.path == "/emails":
        return accept(team, posting, {0: read_mail(request.json_object(), team.options, now)}, None)
    permissive = _is_permissive(request)
    items = read_batch(request.json())
    mails, errors = read_mails(items, team.options, now, permissive=permissive)
    if any(isinstance(item, dict) and item.get("attachments") for item in items):
        log.warning("Attachments of batches are dropped without an error, as by Resend.")
    return accept(team, posting, mails, errors if permissive else None)


def _is_permissive(request: Request) -> bool:
    mode = request.headers.get("x-batch-validation", "strict")
    if mode not in ("strict", "permissive"):
        raise refusal("validation_error", "The `x-batch-validation` header must be strict or permissive.")
    return mode == "permissive"


def _wait_for_webhooks(team: Team, accepted: Accepted) -> None:
    with team.database.changed:
        team.database.changed.wait_for(
            lambda: not team.events.untried(accepted.mails, team.clock()), _WEBHOOK_FIRST_SECONDS
        )
