"""What happens to a mail, by its address."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from newsletter.sandbox import SandboxOptions, SandboxServer
from newsletter.sandbox.outcomes import belongs, links_of, pick_link, plan_events
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, Caller, Clock, mail

CallerOf = Callable[[SandboxServer], Caller]
LINK = '<a href="https://stories.test/one">One</a>'


def types(address: str, contents: str = LINK, suppressed: str | None = None, **options: float) -> list[str]:
    planned = plan_events(address, contents, suppressed, SandboxOptions(**options))  # type: ignore[arg-type]
    moments = [event.after for event in planned]
    assert moments == sorted(moments)
    return [event.type.removeprefix("email.") for event in planned]


@pytest.mark.parametrize("label", ["", "+ada", "+a+b"])
def test_test_addresses_have_their_outcome_with_any_label(label: str) -> None:
    assert types(f"delivered{label}@resend.dev") == ["sent", "delivered"]
    assert types(f"bounced{label}@resend.dev") == ["sent", "bounced"]
    assert types(f"complained{label}@resend.dev") == ["sent", "delivered", "complained"]
    assert types(f"suppressed{label}@resend.dev") == ["suppressed"]


def test_every_other_address_is_delivered() -> None:
    assert types(ADA) == ["sent", "delivered"]
    assert types("bounced@readers.test") == ["sent", "delivered"]
    assert types("somebody@resend.dev") == ["sent", "delivered"]


def test_a_suppressed_address_is_told_why() -> None:
    assert types(ADA, suppressed="bounce") == ["suppressed"]
    (event,) = plan_events(ADA, "", "complaint", SandboxOptions())
    assert event.detail["suppressed"]["reason"] == "previous_complaint"  # type: ignore[index]


def test_who_clicks_also_opens() -> None:
    assert types(ADA, click_share=1) == ["sent", "delivered", "opened", "clicked"]
    assert types(ADA, open_share=1) == ["sent", "delivered", "opened"]
    assert types(ADA, contents="<p>No link</p>", click_share=1) == ["sent", "delivered", "opened"]


def test_a_share_is_about_that_share_and_always_the_same_people() -> None:
    addresses = [f"reader{number}@readers.test" for number in range(2000)]
    bouncing = [address for address in addresses if belongs(address, "bounce", 0.1)]
    assert 150 < len(bouncing) < 250
    assert bouncing == [address for address in addresses if belongs(address, "bounce", 0.1)]
    complaining = {address for address in addresses if belongs(address, "complaint", 0.1)}
    assert len(complaining & set(bouncing)) < 50
    assert types(bouncing[0], bounce_share=0.1) == ["sent", "bounced"]
    assert not any(belongs(address, "bounce", 0) for address in addresses)
    assert all(belongs(address, "bounce", 1) for address in addresses)


def test_nobody_clicks_to_leave_or_on_what_is_no_page() -> None:
    contents = """
      <a href="https://letters.test/unsubscribe/1">Leave</a> <a href="https://letters.test/p/1">Your preferences</a>
      <a href="https://letters.test/u/1">Unsubscribe</a> <a href="mailto:a@b.test">Write</a> <a name="top"></a>
      <a class="x" href='https://stories.test/one?a=1&amp;b=2' style="color:red"><b>One</b></a>
      <a href="http://stories.test/two">Two</a>
    """
    assert links_of(contents) == ["https://stories.test/one?a=1&b=2", "http://stories.test/two"]
    assert pick_link(contents, ADA) == pick_link(contents, ADA) in links_of(contents)
    assert pick_link("", ADA) is None


def test_events_come_true_one_after_the_other(start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock) -> None:
    caller = caller_of(start_sandbox(moving=True, webhook_time_scale=1.0, click_share=1.0))
    uid = caller.send_one(mail()).json()["id"]
    seen = []
    for seconds in (0, 2, 20, 30):
        clock.advance(seconds)
        seen.append(caller.call("GET", f"/emails/{uid}").json()["last_event"])
    assert seen == ["sent", "delivered", "opened", "clicked"]


def test_a_late_open_does_not_undo_a_complaint(caller: Caller) -> None:
    uid = caller.send_one(mail()).json()["id"]
    for event in ("email.complained", "email.opened"):
        assert caller.call("POST", "/sandbox/events", {"email_id": uid, "type": event}).status == 201
    assert caller.call("GET", f"/emails/{uid}").json()["last_event"] == "complained"


def test_each_recipient_of_a_mail_has_events(sandbox: SandboxServer, caller: Caller) -> None:
    uid = caller.send_one(mail(["delivered@resend.dev", "bounced@resend.dev"])).json()["id"]
    found = sandbox.ledger.mail(uid, sandbox.team.clock() + 10)
    assert found is not None
    happened = [event["type"] for event in sandbox.team.events.of_mail(found.number, sandbox.team.clock() + 10)]
    assert sorted(happened) == ["email.bounced", "email.delivered", "email.sent", "email.sent"]
