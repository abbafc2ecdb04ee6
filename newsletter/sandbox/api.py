"""Resend's API: routes, API keys, rate limit, and planned faults. `_handle` has the order of the checks."""

from __future__ import annotations

import dataclasses
import hashlib
import hmac

from newsletter.sandbox.acceptance import used_this_month, used_today
from newsletter.sandbox.account import Account
from newsletter.sandbox.exchange import (
    TEXT,
    Ending,
    Request,
    Response,
    find_handler,
    json_response,
    route,
)
from newsletter.sandbox.faults import NO_FAULT, Fault
from newsletter.sandbox.mailbox import Mailbox
from newsletter.sandbox.metrics import read_metrics
from newsletter.sandbox.receiving_api import Receiving
from newsletter.sandbox.refusals import Refusal, refusal
from newsletter.sandbox.sending import is_sending, send
from newsletter.sandbox.team import Team
from newsletter.sandbox.webhook_api import Webhooks


class Api:
    """The API of one team."""

    def __init__(self, team: Team) -> None:
        self._team = team
        mailbox, account, webhooks, receiving = Mailbox(team), Account(team), Webhooks(team), Receiving(team)
        self._routes = (
            route("POST", "/emails", send),
            route("POST", "/emails/batch", send),
            route("GET", "/emails", mailbox.list_mails),
            route("GET", "/emails/metrics", lambda request: read_metrics(team, request)),
            route("GET", "/emails/receiving", receiving.list),
            route("GET", "/emails/receiving/{}", receiving.get),
            route("GET", "/emails/receiving/{}/attachments", receiving.list_files),
            route("GET", "/emails/receiving/{}/attachments/{}", receiving.get_file),
            route("GET", "/emails/{}", mailbox.get_mail),
            route("PATCH", "/emails/{}", mailbox.reschedule),
            route("POST", "/emails/{}/cancel", mailbox.cancel),
            route("GET", "/suppressions", account.list_suppressions),
            route("POST", "/suppressions", account.add_suppression),
            route("POST", "/suppressions/batch/add", account.add_suppressions),
            route("POST", "/suppressions/batch/remove", account.remove_suppressions),
            route("GET", "/suppressions/{}", account.get_suppression),
            route("DELETE", "/suppressions/{}", account.remove_suppression),
            route("GET", "/domains", account.list_domains),
            route("GET", "/domains/{}", account.get_domain),
            route("GET", "/usage", account.usage),
            route("GET", "/webhooks", webhooks.list),
            route("GET", "/webhooks/{}", webhooks.get),
            route("PATCH", "/webhooks/{}", webhooks.update),
            route("GET", "/webhooks/{}/events", webhooks.list_events),
            route("GET", "/webhooks/{}/events/{}", webhooks.get_event),
            route("GET", "/webhooks/{}/events/{}/attempts", webhooks.list_attempts),
            route("POST", "/webhooks/{}/events/{}/replay", webhooks.replay),
        )

    def answer(self, request: Request) -> Response:
        """The answer to one call, changed by a planned fault. Calls that send are recorded."""
        fault = self._team.faults.take(request)
        sha256 = hashlib.sha256(request.body).hexdigest()
        response = fault.apply(Response(0) if fault.prevents_call else self._handle(request, sha256, fault))
        if is_sending(request):
            self._record_call(request, sha256, response, fault)
        return self._with_headers(request, response)

    def _handle(self, request: Request, sha256: str, fault: Fault) -> Response:
        try:
            if not request.headers.get("user-agent"):
                # Cloudflare, in front of Resend, rejects these before they reach the API.
                return Response(403, b"error code: 1010", TEXT)
            handler, parts = find_handler(self._routes, request.method, request.path)
            self._check_key(request)
            self._team.limiter.use(self._team.options.rate_limit)
            if handler is send:
                # Its latency is while the idempotency key is locked.
                return send(self._team, request, sha256, fault)
            self._team.pause(fault.latency)
            return handler(request, *parts)
        except Refusal as error:
            return json_response(error.body, error.status)

    def _check_key(self, request: Request) -> None:
        scheme, _space, key = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise refusal("missing_api_key")
        options, presented = self._team.options, key.strip().encode()
        if hmac.compare_digest(presented, options.api_key.encode()):
            return
        if not hmac.compare_digest(presented, options.sending_key.encode()):
            # Two independent tests of the real API got this, not the documented 403 invalid_api_key.
            raise refusal("validation_error", "API key is invalid", status=400)
        if not is_sending(request) and request.path != "/usage":
            raise refusal("restricted_api_key")

    def _record_call(self, request: Request, sha256: str, response: Response, fault: Fault) -> None:
        was_sent = response.ending in (Ending.WHOLE, Ending.CUT)
        self._team.ledger.add_call(
            request.path,
            request.headers.get("idempotency-key"),
            sha256,
            response.status if was_sent else 0,
            "" if fault == NO_FAULT else fault.kind,
            self._team.clock(),
        )

    def _with_headers(self, request: Request, response: Response) -> Response:
        team = self._team
        headers = team.limiter.state(team.options.rate_limit).headers
        if response.status == 429:
            headers["retry-after"] = "1"
        if is_sending(request):
            now = team.clock()
            headers["x-resend-monthly-quota"] = str(used_this_month(team, now))
            if team.options.daily_quota is not None:
                headers["x-resend-daily-quota"] = str(used_today(team, now))
        return dataclasses.replace(response, headers=headers)
