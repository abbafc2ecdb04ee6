"""API calls about the team: suppressions, domains, usage."""

from __future__ import annotations

import sqlite3
import uuid
from typing import Any

from newsletter.sandbox.acceptance import used_this_month, used_today
from newsletter.sandbox.exchange import Request, Response, json_response
from newsletter.sandbox.options import SandboxOptions
from newsletter.sandbox.paging import read_page
from newsletter.sandbox.refusals import refusal
from newsletter.sandbox.team import Team
from newsletter.sandbox.time_format import format_time, next_day, next_month

MAX_NAMES = 100
#: Monthly quota in GET /usage if none is set, because each of Resend's plans has one.
_DEFAULT_MONTHLY_QUOTA = 3_000_000
#: Contacts that the sandbox does not have; the SDKs expect a number.
_CONTACTS_LIMIT = 1_000


class Account:
    """`/suppressions`, `/domains` and `/usage`."""

    def __init__(self, team: Team) -> None:
        self._team = team

    def list_suppressions(self, request: Request) -> Response:
        """GET /suppressions; `?origin=` filters by origin."""
        team = self._team
        origin = request.query.get("origin")
        if origin not in (None, "bounce", "complaint", "manual"):
            raise refusal("validation_error", "The `origin` must be bounce, complaint or manual.")
        page = read_page(request, team.suppressions.number_of)
        rows, more = team.suppressions.page(page, team.clock(), origin)
        return json_response({"object": "list", "has_more": more, "data": [_suppression(row) for row in rows]})

    def add_suppression(self, request: Request) -> Response:
        """POST /suppressions; returns the existing entry if the address is listed."""
        return json_response(self._add(request.json_object().get("email")), 201)

    def add_suppressions(self, request: Request) -> Response:
        """POST /suppressions/batch/add."""
        return json_response({"data": [self._add(name) for name in _names(request.json_object(), "emails")]}, 201)

    def get_suppression(self, _request: Request, name: str) -> Response:
        """GET /suppressions/{id or address}."""
        row = self._team.suppressions.find(name, self._team.clock())
        if row is None:
            raise refusal("not_found", "Suppression not found")
        return json_response({"object": "suppression", **_suppression(row)})

    def remove_suppression(self, _request: Request, name: str) -> Response:
        """DELETE /suppressions/{id or address}."""
        removed = self._remove(name)
        if removed is None:
            raise refusal("not_found", "Suppression not found")
        return json_response(removed)

    def remove_suppressions(self, request: Request) -> Response:
        """POST /suppressions/batch/remove, by `ids` or `emails`; skips those that are not listed."""
        body = request.json_object()
        removed = [self._remove(name) for name in _names(body, "ids" if "ids" in body else "emails")]
        return json_response({"data": [entry for entry in removed if entry]})

    def list_domains(self, request: Request) -> Response:
        """GET /domains: the verified domains."""
        names = sorted(self._team.options.verified_domains or ())
        numbers = {domain_id(name): number for number, name in enumerate(names, start=1)}
        page = read_page(request, numbers.get)
        after, before = page.after or 0, page.before or len(names) + 1
        listed = [name for number, name in enumerate(names, start=1) if after < number < before]
        shown = listed[: page.limit] if page.before is None else listed[-page.limit :]
        data = [_domain(name, self._team.options) for name in shown]
        return json_response({"object": "list", "has_more": len(listed) > len(shown), "data": data})

    def get_domain(self, _request: Request, uid: str) -> Response:
        """GET /domains/{id}, with its DNS records: MX and TXT, as without a custom return path."""
        options = self._team.options
        name = next((name for name in options.verified_domains or () if domain_id(name) == uid), None)
        if name is None:
            raise refusal("not_found", "Domain not found")
        return json_response({"object": "domain", **_domain(name, options), "records": _records(name)})

    def usage(self, _request: Request) -> Response:
        """GET /usage."""
        team, options, now = self._team, self._team.options, self._team.clock()
        daily = _used(used_today(team, now), options.daily_quota, next_day(now))
        monthly = _used(used_this_month(team, now), options.monthly_quota or _DEFAULT_MONTHLY_QUOTA, next_month(now))
        unused = {"used": 0, "limit": None}
        return json_response(
            {
                "object": "usage",
                "generated_at": format_time(now),
                "emails": {"daily": daily, "monthly": monthly},
                "contacts": {"used": 0, "limit": _CONTACTS_LIMIT},
                "segments": unused,
                "broadcasts": unused,
                "ai_credits": {**unused, "next_increase_at": None},
                "automation_runs": {"used": 0, "limit": 0, "resets_at": next_month(now)},
                "domains": {"used": len(options.verified_domains or ()), "limit": None},
                "rate_limit": {"limit": options.rate_limit, "duration": "1000ms"},
            }
        )

    def _add(self, address: object) -> dict[str, object]:
        if not isinstance(address, str) or "@" not in address:
            raise refusal("missing_required_field", "Missing `email` field.")
        row = self._team.suppressions.add(address, "manual", self._team.clock())
        return {"object": "suppression", "id": row["id"]}

    def _remove(self, name: str) -> dict[str, object] | None:
        removed = self._team.suppressions.remove(name, self._team.clock())
        return None if removed is None else {"object": "suppression", "id": removed, "deleted": True}


def _suppression(row: sqlite3.Row) -> dict[str, Any]:
    return {
        "id": row["id"],
        "email": row["address"],
        "origin": row["origin"],
        "source_id": row["source"],
        "created_at": format_time(row["since"]),
    }


def domain_id(name: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_DNS, name))


def _domain(name: str, options: SandboxOptions) -> dict[str, Any]:
    return {
        "id": domain_id(name),
        "name": name,
        "status": "verified",
        "created_at": format_time(0),
        "region": "eu-west-1",
        "open_tracking": name in options.open_tracking_domains,
        "click_tracking": name in options.click_tracking_domains,
        "capabilities": {"sending": "enabled", "receiving": "disabled"},
    }


def _records(name: str) -> list[dict[str, Any]]:
    return [
        {
            "record": record,
            "name": f"{label}.{name}",
            "type": record_type,
            "ttl": "Auto",
            "status": "verified",
            "value": value,
            **({"priority": 10} if record_type == "MX" else {}),
        }
        for record, label, record_type, value in (
            ("SPF", "send", "MX", "feedback-smtp.sandbox.invalid"),
            ("SPF", "send", "TXT", "v=spf1 include:sandbox.invalid ~all"),
            ("DKIM", "resend._domainkey", "TXT", "p=sandbox"),
        )
    ]


def _used(used: int, limit: int | None, resets_at: str) -> dict[str, Any]:
    return {"used": used, "limit": limit, "sent": used, "received": 0, "resets_at": resets_at}


def _names(body: dict[str, object], field: str) -> list[str]:
    names = body.get(field)
    if not isinstance(names, list) or not 1 <= len(names) <= MAX_NAMES:
        raise refusal("validation_error", f"The `{field}` field must be an array of 1 to {MAX_NAMES} items.")
    return [str(name) for name in names]
