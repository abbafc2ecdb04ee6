"""Every refusal: the calls that cause it, and planned ones that look the same."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from newsletter.sandbox import Fault, SandboxServer
from newsletter.sandbox.refusals import REFUSALS
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, BEN, Caller, Clock, mail

CallerOf = Callable[[SandboxServer], Caller]


@pytest.mark.parametrize(("status", "name", "message"), REFUSALS, ids=[f"{row[0]} {row[1]}" for row in REFUSALS])
def test_every_refusal_can_be_planned_and_sends_nothing(
    sandbox: SandboxServer, caller: Caller, status: int, name: str, message: str
) -> None:
    sandbox.plan(Fault(name, status=status))
    answer = caller.send(mail())
    assert answer.status == status
    assert answer.json() == {"statusCode": status, "name": name, "message": message}
    assert answer.headers.get("retry-after") == ("1" if status == 429 else None)
    assert "ratelimit-limit" in answer.headers
    assert sandbox.ledger.summary()["messages"] == 0
    assert caller.send(mail()).status == 200


def test_a_call_without_a_key_is_refused(caller: Caller) -> None:
    caller.key = None
    answer = caller.send(mail())
    assert (answer.status, answer.json()["name"]) == (401, "missing_api_key")


def test_an_unknown_key_is_refused_as_by_the_real_api(caller: Caller) -> None:
    caller.key = "re_unknown"
    answer = caller.send(mail())
    assert answer.status == 400
    assert answer.json() == {"statusCode": 400, "name": "validation_error", "message": "API key is invalid"}


@pytest.mark.parametrize(("method", "path"), [("GET", "/emails"), ("GET", "/domains"), ("POST", "/suppressions")])
def test_a_sending_key_may_only_send(caller: Caller, method: str, path: str) -> None:
    caller.key = "re_sandbox_sending"
    assert caller.send(mail()).status == 200
    assert caller.send_one(mail()).status == 200
    answer = caller.call(method, path, {})
    assert (answer.status, answer.json()["name"]) == (401, "restricted_api_key")


def test_a_call_without_a_user_agent_is_refused(caller: Caller) -> None:
    caller.agent = None
    answer = caller.send(mail())
    assert (answer.status, answer.data) == (403, b"error code: 1010")


def test_an_unverified_domain_is_forbidden(start_sandbox: StartSandbox, caller_of: CallerOf) -> None:
    caller = caller_of(start_sandbox(verified_domains=frozenset({"other.test"})))
    answer = caller.send(mail())
    assert (answer.status, answer.json()["name"]) == (403, "validation_error")
    assert answer.json()["message"].startswith("The `letters.test` domain is not verified.")


@pytest.mark.parametrize("path", ["/nothing", "/emails/a/b/c", "/sandbox/nothing"])
def test_an_unknown_path_is_not_found(caller: Caller, path: str) -> None:
    answer = caller.call("GET", path)
    assert (answer.status, answer.json()["name"]) == (404, "not_found")


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/emails"), ("GET", "/emails/x/cancel"), ("PUT", "/usage")])
def test_a_known_path_with_another_method_is_not_allowed(caller: Caller, method: str, path: str) -> None:
    answer = caller.call(method, path)
    assert (answer.status, answer.json()["name"]) == (405, "method_not_allowed")


def test_invalid_ids_and_unknown_ids_have_different_errors(caller: Caller) -> None:
    assert caller.call("GET", "/emails/not-an-id").json()["name"] == "invalid_parameter"
    assert caller.call("GET", "/emails/00000000-0000-4000-8000-000000000000").json()["name"] == "not_found"


def test_the_rate_is_limited_for_the_whole_team(start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock) -> None:
    caller = caller_of(start_sandbox(moving=True, rate_limit=2))
    first, second = caller.send(mail()), caller.call("GET", "/emails")
    assert [answer.headers["ratelimit-remaining"] for answer in (first, second)] == ["1", "0"]
    assert "retry-after" not in second.headers
    third = caller.send(mail())
    assert (third.status, third.json()["name"]) == (429, "rate_limit_exceeded")
    assert third.headers["retry-after"] == "1"
    assert {name: value for name, value in third.headers.items() if name.startswith("ratelimit")} == {
        "ratelimit-limit": "2",
        "ratelimit-remaining": "0",
        "ratelimit-reset": "1",
        "ratelimit-policy": "2;w=1",
    }
    clock.advance(1)
    assert caller.send(mail()).status == 200


def test_a_refused_call_has_rate_limit_headers(caller: Caller) -> None:
    caller.key = None
    assert caller.send(mail()).headers["ratelimit-limit"] == "10000"


def test_the_daily_quota_counts_recipients_until_the_end_of_the_utc_day(
    start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock
) -> None:
    caller = caller_of(start_sandbox(moving=True, daily_quota=3))
    answer = caller.send(mail([ADA, BEN]))
    assert (answer.headers["x-resend-daily-quota"], answer.headers["x-resend-monthly-quota"]) == ("2", "2")
    refused = caller.send(mail(ADA, cc=BEN))
    assert (refused.status, refused.json()["name"]) == (429, "daily_quota_exceeded")
    assert caller.send(mail()).status == 200
    clock.advance(24 * 3600)
    assert caller.send(mail()).status == 200


def test_the_monthly_quota_refuses_a_whole_batch(start_sandbox: StartSandbox, caller_of: CallerOf) -> None:
    caller = caller_of(start_sandbox(monthly_quota=2))
    refused = caller.send(mail(), mail(), mail())
    assert (refused.status, refused.json()["name"]) == (429, "monthly_quota_exceeded")
    assert refused.headers["x-resend-monthly-quota"] == "0"
    assert "x-resend-daily-quota" not in refused.headers
    assert caller.ledger()["messages"] == 0
