"""The list of provider events: filters, pages by keys, no counting of rows, and applying events again."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from django.contrib.auth.models import Permission, User
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from newsletter.models import Event, EventReplay, EventState, EventTally, Reason
from tests.newsletter.admin.pages import words_on

EVENTS = reverse("admin:newsletter_event_changelist")

pytestmark = pytest.mark.django_db


def make_events(
    count: int, reason: str = "", state: EventState = EventState.APPLIED, kind: str = "email.sent"
) -> list[int]:
    first = Event.objects.count()
    Event.objects.bulk_create(
        Event(provider="resend", event_id=f"msg_{first + n}", kind=kind, body="{}", state=state, reason=reason)
        for n in range(count)
    )
    if reason:
        EventTally.objects.add({(state, reason): count})
    return list(Event.objects.order_by("-pk").values_list("pk", flat=True)[:count])


def keys_on(page: str) -> list[int]:
    return [int(key) for key in re.findall(r'name="_selected_action" value="(\d+)"', page)]


def get(client: Client, **query: str) -> str:
    response = client.get(EVENTS, query)
    assert response.status_code == 200
    return response.content.decode()


def test_events_are_filtered_and_searched_without_reading_the_whole_table(edda: Client) -> None:
    make_events(1)
    make_events(1, kind="email.bounced")
    with CaptureQueriesContext(connection) as captured:
        found = words_on(edda.get(EVENTS, {"q": " msg_1 "}))
    assert "1 provider event" in found
    statements = [query["sql"] for query in captured]
    assert not [sql for sql in statements if "DISTINCT" in sql or "LIKE" in sql]
    assert not [sql for sql in statements if "COUNT(" in sql and "newsletter_event" in sql]
    assert "1 provider event" in words_on(edda.get(EVENTS, {"kind": "email.sent"}))
    assert "0 provider events" in words_on(edda.get(EVENTS, {"bounce": "no_mailbox"}))


def test_pages_go_from_the_newest_event_to_the_oldest_and_miss_none(edda: Client) -> None:
    keys = make_events(120)
    page, seen = get(edda), list[int]()
    for _ in range(10):
        seen += keys_on(page)
        older = re.search(r'href="\?(before=[^"]*)"', page)
        if older is None:
            break
        make_events(1)
        page = edda.get(f"{EVENTS}?{older[1].replace('&amp;', '&')}").content.decode()
        assert "First page" in page
    assert seen == keys


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ({"state": "orphan"}, 3),
        ({"state": "ignored"}, 2),
        ({"state": "applied"}, 4),
        ({"reason": "event_unreadable"}, 2),
        ({"reason": "no_such_delivery"}, 3),
        ({"kind": "email.complained"}, 3),
        ({"state": "orphan", "kind": "email.sent"}, 0),
    ],
)
def test_each_filter_shows_its_events(edda: Client, query: dict[str, str], expected: int) -> None:
    make_events(4)
    make_events(3, Reason.NO_SUCH_DELIVERY, EventState.ORPHAN, "email.complained")
    make_events(2, "event_unreadable", EventState.IGNORED)
    page = get(edda, **query)
    assert len(keys_on(page)) == expected


def test_reasons_are_offered_with_their_numbers_and_another_filter_begins_at_the_newest(edda: Client) -> None:
    keys = make_events(60, Reason.NO_SUCH_DELIVERY, EventState.ORPHAN)
    page = get(edda, before=str(keys[10]))
    assert "There is no such delivery. (60)" in page
    assert not re.search(r'href="\?[^"]*before=[^"]*reason=', page)
    assert not re.search(r'href="\?[^"]*reason=[^"]*before=', page)


@pytest.mark.parametrize("query", [{"before": "x"}, {"before": "-1"}, {"before": "9" * 30}, {"reason": "none_such"}])
def test_a_page_or_a_reason_that_does_not_exist_is_refused(edda: Client, query: dict[str, str]) -> None:
    make_events(1, Reason.NO_SUCH_DELIVERY, EventState.ORPHAN)
    assert edda.get(EVENTS, query).status_code == 400


def test_no_column_sorts_the_whole_table(edda: Client) -> None:
    make_events(3)
    with CaptureQueriesContext(connection) as captured:
        assert edda.get(EVENTS, {"o": "3.-1"}).status_code == 200
    ordered = [query["sql"] for query in captured if "ORDER BY" in query["sql"] and "newsletter_event" in query["sql"]]
    assert all(
        'ORDER BY "newsletter_event"."id" DESC' in sql for sql in ordered if '"body"' not in sql and "tally" not in sql
    )


def act(client: Client, action: str, *keys: int, **more: str) -> str:
    data = {"action": action, "_selected_action": [str(key) for key in keys], **more}
    return words_on(client.post(EVENTS, data, follow=True))


def test_selected_events_are_applied_again_and_the_decision_is_recorded(edda: Client) -> None:
    keys = make_events(3, Reason.NO_SUCH_DELIVERY, EventState.ORPHAN)
    assert "2 events are applied again" in act(edda, "apply_again", *keys[:2])
    assert Event.objects.filter(state=EventState.NEW).count() == 2
    replay = EventReplay.objects.get()
    assert (replay.by, replay.events) == ("edda", 2)
    assert EventTally.objects.unused() == {Reason.NO_SUCH_DELIVERY: 1}


def test_applied_events_cannot_be_applied_again(edda: Client) -> None:
    assert "None of these events can be applied again" in act(edda, "apply_again", *make_events(2))
    assert "nothing to apply again" in act(edda, "apply_reason_again", *make_events(1))
    assert Event.objects.filter(state=EventState.NEW).count() == 0


def test_all_events_of_the_reasons_of_the_selected_ones_are_handed_to_a_worker(edda: Client) -> None:
    orphans = make_events(2, Reason.NO_SUCH_DELIVERY, EventState.ORPHAN)
    make_events(2, "event_unreadable", EventState.IGNORED)
    assert "There is no such delivery." in act(edda, "apply_reason_again", orphans[0])
    assert list(EventReplay.objects.values_list("by", "about_reason", "finished_at")) == [
        ("edda", Reason.NO_SUCH_DELIVERY, None)
    ]


def test_a_forged_selection_across_all_pages_moves_one_page_only(edda: Client) -> None:
    keys = make_events(60, Reason.NO_SUCH_DELIVERY, EventState.ORPHAN)
    act(edda, "apply_again", keys[0], select_across="1")
    assert Event.objects.filter(state=EventState.NEW).count() == 50


def test_who_may_only_look_cannot_apply_events_again(signed_in: Callable[[str], Client]) -> None:
    keys = make_events(1, Reason.NO_SUCH_DELIVERY, EventState.ORPHAN)
    viewer = User.objects.create_user("vera", is_staff=True)
    names = ["view_event", "view_personal_data"]
    viewer.user_permissions.set(Permission.objects.filter(codename__in=names))
    client = Client()
    client.force_login(viewer)
    page = get(client)
    assert "Apply again" not in page
    act(client, "apply_again", *keys)
    assert Event.objects.get().state == EventState.ORPHAN
