"""The events of a mail, which depend on its address."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from newsletter.sandbox import SandboxOptions, SandboxServer
from newsletter.sandbox.outcomes import is_in_share, links_of, pick_link, plan_events
from tests.sandbox.conftest import StartSandbox
from tests.sandbox.peers import ADA, Caller, Clock, mail

CallerOf = Callable[[SandboxServer], Caller]
LINK = '<a href="https://stories.test/one">One</a>'


def types(address: str, contents: str = LINK, suppressed: str | None = None, **options: float) -> list[str]:
    planned = plan_events(address, contents, suppressed, SandboxOptions(**options))  # type: ignore[arg-type]
    times = [event.after for event in planned]
    assert times == sorted(times)
    return [event.type.removeprefix("email.") for event in planned]


@pytest.mark.parametrize("label", ["", "+ada", "+a+b"])
def test_test_addresses_have_fixed_outcomes_with_any_label(label: str) -> None:
    assert types(f"delivered{label}@resend.dev") == ["sent", "delivered"]
    assert types(f"bounced{label}@resend.dev") == ["sent", "bounced"]
    assert types(f"complained{label}@resend.dev") == ["sent", "delivered", "complained"]
    assert types(f"suppressed{label}@resend.dev") == ["suppressed"]


def test_other_addresses_are_delivered() -> None:
    assert types(ADA) == ["sent", "delivered"]
    assert types("bounced@readers.test") == ["sent", "delivered"]
    assert types("somebody@resend.dev") == ["sent", "delivered"]


def test_a_suppressed_event_has_the_reason() -> None:
    assert types(ADA, suppressed="bounce") == ["suppressed"]
    (event,) = plan_events(ADA, "", "complaint", SandboxOptions())
    assert event.detail["suppressed"]["reason"] == "previous_complaint"  # type: ignore[index]


def test_a_recipient_who_clicks_also_opens() -> None:
    assert types(ADA, click_share=1) == ["sent", "delivered", "opened", "clicked"]
    assert types(ADA, open_share=1) == ["sent", "delivered", "opened"]
    assert types(ADA, contents="<p>No link</p>", click_share=1) == ["sent", "delivered", "opened"]


def test_a_share_has_about_its_size_and_always_the_same_addresses() -> None:
    addresses = [f"reader{number}@readers.test" for number in range(2000)]
    bouncing = [address for address in addresses if is_in_share(address, "bounce", 0.1)]
    assert 150 < len(bouncing) < 250
    assert bouncing == [address for address in addresses if is_in_share(address, "bounce", 0.1)]
    complaining = {address for address in addresses if is_in_share(address, "complaint", 0.1)}
    assert len(complaining & set(bouncing)) < 50
    assert types(bouncing[0], bounce_share=0.1) == ["sent", "bounced"]
    assert not any(is_in_share(address, "bounce", 0) for address in addresses)
    assert all(is_in_share(address, "bounce", 1) for address in addresses)


def test_unsubscribe_links_and_other_schemes_are_not_clicked() -> None:
    contents = """
      <a href="https://letters.test/unsubscribe/1">Leave</a> <a href="https://letters.test/p/1">Your preferences</a>
      <a href="https://letters.test/u/1">Unsubscribe</a> <a href="mailto:a@b.test">Write</a> <a name="top"></a>
      <a class="x" href='https://stories.test/one?a=1&amp;b=2' style="color:red"><b>One</b></a>
      <a href="http://stories.test/two">Two</a>
    """
    assert links_of(contents) == ["https://stories.test/one?a=1&b=2", "http://stories.test/two"]
    assert pick_link(contents, ADA) == pick_link(contents, ADA) in links_of(contents)
    assert pick_link("", ADA) is None


def test_events_take_effect_one_after_the_other(start_sandbox: StartSandbox, caller_of: CallerOf, clock: Clock) -> None:
    caller = caller_of(start_sandbox(moving=True, webhook_time_scale=1.0, click_share=1.0))
    uid = caller.send_one(mail()).json()["id"]
    last_events = []
    for seconds in (0, 2, 20, 30):
        clock.advance(seconds)
        last_events.append(caller.call("GET", f"/emails/{uid}").json()["last_event"])
    assert last_events == ["sent", "delivered", "opened", "clicked"]


def test_a_later_open_does_not_replace_a_complaint(caller: Caller) -> None:
    uid = caller.send_one(mail()).json()["id"]
    for event in ("email.complained", "email.opened"):
        assert caller.call("POST", "/sandbox/events", {"email_id": uid, "type": event}).status == 201
    assert caller.call("GET", f"/emails/{uid}").json()["last_event"] == "complained"


def test_each_recipient_of_a_mail_has_events(sandbox: SandboxServer, caller: Caller) -> None:
    uid = caller.send_one(mail(["delivered@resend.dev", "bounced@resend.dev"])).json()["id"]
    found = sandbox.ledger.mail(uid, sandbox.team.clock() + 10)
    assert found is not None
    types_of_mail = [event["type"] for event in sandbox.team.events.of_mail(found.number, sandbox.team.clock() + 10)]
    assert sorted(types_of_mail) == ["email.bounced", "email.delivered", "email.sent", "email.sent"]
