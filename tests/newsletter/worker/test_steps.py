"""The steps: one list, in the order of an issue's way, that the loop and Celery read."""

from __future__ import annotations

from newsletter.models import WorkerHeartbeat
from newsletter.monitoring.heartbeat import Queue
from newsletter.worker import STEPS


def test_each_step_has_a_name_of_its_own_that_fits_into_a_heartbeat() -> None:
    names = [step.name for step in STEPS]
    assert len(set(names)) == len(names)
    longest = WorkerHeartbeat._meta.get_field("doing").max_length or 0
    assert max(len(f"{','.join(Queue)}: {name}") for name in names) <= longest


def test_every_queue_has_steps() -> None:
    assert {step.queue for step in STEPS} == set(Queue)


def test_the_steps_stand_in_the_order_of_an_issues_way() -> None:
    way = [
        "answer_signups",
        "start_sends",
        "compose_digests",
        "expand_audience",
        "post_batch",
        "apply_events",
        "finish_sends",
    ]
    names = [step.name for step in STEPS]
    assert sorted(way, key=names.index) == way


def test_time_zones_of_new_subscribers_are_read_once_a_minute_and_outages_once_a_second() -> None:
    every = {step.name: step.every for step in STEPS}
    assert (every["update_start_times"], every["follow_outages"], every["post_batch"]) == (60, 1, 0)


def test_a_database_that_went_back_is_noticed_before_anything_else_and_what_sends_or_starts_waits_for_it() -> None:
    assert STEPS[0].name == "mark_database"
    waiting = {step.name for step in STEPS if step.needs_check}
    mails = {"send_transactional", "post_batch", "follow_sunset", "deliver_webhooks", "mail_operators"}
    assert waiting == mails | {"start_occurrences", "start_sends", "compose_digests"}


def test_the_dns_and_postmaster_tools_are_asked_where_no_mail_waits_for_them() -> None:
    asking = {step.name: step.queue for step in STEPS if step.name in ("check_domains", "read_postmaster")}
    assert asking == {"check_domains": Queue.BACKGROUND, "read_postmaster": Queue.BACKGROUND}
    assert "compare_leavers" in {step.name for step in STEPS}
