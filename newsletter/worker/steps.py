"""The steps: everything that workers do, as one list in the order in which an issue is sent."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from newsletter.archive_import.engine import ArchiveImportWorker
from newsletter.archive_import.wiring import choose_reader, store_picture
from newsletter.content.bin import empty_bin
from newsletter.deliverability.check import check_next_domain
from newsletter.deliverability.leavers import EVERY as COMPARE_SECONDS
from newsletter.deliverability.leavers import compare_next_batches
from newsletter.deliverability.postmaster import read_next_domain
from newsletter.deliverability.report_mails import PACE_SECONDS as REPORT_PACE_SECONDS
from newsletter.deliverability.report_mails import import_next_report_mail
from newsletter.engagement.judge import judge_hits
from newsletter.engagement.reading import measure_reading
from newsletter.engagement.story_counters import list_stories
from newsletter.events.apply import apply_events
from newsletter.events.bounces import settle_soft_bounces
from newsletter.events.event_log import PACE_SECONDS as LOG_PACE_SECONDS
from newsletter.events.event_log import read_event_logs
from newsletter.events.isolate import apply_isolated
from newsletter.events.replay import replay_events
from newsletter.gathering.expiry import follow_links
from newsletter.gathering.metadata import fetch_next_link
from newsletter.gathering.poll import poll_next_feed
from newsletter.models.send_count import fold_send_counts
from newsletter.monitoring.heartbeat import Queue
from newsletter.monitoring.lost_links import log_lost_links
from newsletter.notifications.delivering import deliver_messages
from newsletter.notifications.follow import make_messages
from newsletter.notifications.operator_mail import mail_operators
from newsletter.preflight import check_next_links
from newsletter.privacy.provider_list import PACE_SECONDS, sync_suppressions
from newsletter.providers import get_route, webhook_providers
from newsletter.sending.auto_pause import auto_pause_sends
from newsletter.sending.control import drop_cancelled, finish_sends
from newsletter.sending.database_mark import check_and_mark
from newsletter.sending.domains import REFRESH_EVERY, refresh_due_domains
from newsletter.sending.expand import expand_audience
from newsletter.sending.mailed import mailed_subscribers
from newsletter.sending.post import post_batch, seconds_until_post
from newsletter.sending.provider_outage import follow_provider_outages
from newsletter.sending.provider_search import search_provider
from newsletter.sending.reconcile import hold_expired, settle_proven
from newsletter.sending.recover import recover_abandoned
from newsletter.sending.recurring import plan_occurrences, start_next_due_occurrence
from newsletter.sending.recurring_drafts import make_recurring_drafts
from newsletter.sending.schedule import start_next_due_send, update_start_times
from newsletter.sending.sunset import follow_sunset_policies
from newsletter.sending.weekly import compose_weekly_digests
from subscribers.consent.address_change import delete_old_changes
from subscribers.consent.data_requests import delete_old_data_requests
from subscribers.consent.signing_keys import RECORD_SECONDS, record_signing_keys
from subscribers.directory.bulk import run_bulk_actions
from subscribers.imports.engine import ImportWorker
from subscribers.models import fold_cohort_counts, fold_subscription_counts, suppression_secret_differs
from subscribers.privacy.retention import EVERY as RETENTION_SECONDS
from subscribers.privacy.retention import purge_expired
from subscribers.signup.links import send_requested_links
from subscribers.signup.queue import process_signups
from subscribers.suppression import record_suppression_secret
from subscribers.transactional.outbox import send_due_transactional_mails


def nothing_waits() -> float | None:
    """The `due_in` of a step whose work never waits for a set time."""
    return None


@dataclass(frozen=True, slots=True)
class Step:
    """A bounded piece of work that may be killed at any line, and that many workers may do at the same time."""

    name: str
    """Its name in logs, spans and heartbeats."""
    queue: Queue
    """The Celery queue whose ticks run it. Some have a thread of their own in `manage.py worker`."""
    every: float
    """Seconds between two runs, at least; 0: no such limit, except for the rest after a run with nothing to do."""
    run: Callable[[], bool]
    """Does the work. Returns whether it did something and may have more to do.

    It then has a span, is named in the heartbeat, and runs again at once.
    """
    due_in: Callable[[], float | None] = nothing_waits
    """Seconds until waiting work may be done, such as a batch that needs a permit; None if no work waits."""
    needs_check: bool = False
    """Whether it sends mail or starts an issue: it runs only on a database that has not gone back.

    See `newsletter.worker.loop.DatabaseCheck`.
    """


def _expand_audience() -> bool:
    return expand_audience(get_route()[0].batch_size)


def _follow_outages() -> bool:
    return follow_provider_outages(get_route())


def _post_batch() -> bool:
    return post_batch(get_route())


def _post_batch_due_in() -> float | None:
    return seconds_until_post(get_route())


def _apply_events() -> bool:
    if suppression_secret_differs():
        # Bounces and complaints would be stored under the wrong secret.
        return False
    # A sum and not `any`, so that the events of each provider have their turn.
    return sum(apply_isolated(provider, apply_events) for provider in webhook_providers()) > 0


def _read_event_logs() -> bool:
    return read_event_logs(get_route())


def _fold_counters() -> bool:
    return fold_send_counts() | fold_subscription_counts() | fold_cohort_counts()


def _recover_abandoned() -> bool:
    return recover_abandoned(get_route())


def _hold_expired() -> bool:
    return hold_expired(get_route())


#: Keeps the file of an import open from one piece of work to the next. Steps of one queue run in one thread.
_import_worker = ImportWorker(mailed=mailed_subscribers)


def _import_subscribers() -> bool:
    return _import_worker.work()


#: Keeps an archive open in the same way.
_archive_worker = ArchiveImportWorker(choose_reader, store_picture=store_picture)


def _import_archives() -> bool:
    return _archive_worker.work()


def _refresh_domains() -> bool:
    return refresh_due_domains(get_route())


def _search_provider() -> bool:
    return search_provider(get_route())


def _sync_suppressions() -> bool:
    return sync_suppressions(get_route())


def _delete_old_requests() -> bool:
    delete_old_changes()
    delete_old_data_requests()
    return False


#: Every step. Transactional mail comes before issues: a subscriber waits for the confirmation mail.
STEPS: tuple[Step, ...] = (
    # Finds within seconds that the database went back while the worker runs. After an error or on a new connection,
    # each process makes the same comparison before its next step that needs it, whichever queues it serves.
    Step("mark_database", Queue.SENDING, 5, check_and_mark),
    # Before the first mail is signed.
    Step("record_signing_keys", Queue.TRANSACTIONAL, RECORD_SECONDS, record_signing_keys),
    Step("record_secret", Queue.TRANSACTIONAL, RECORD_SECONDS, record_suppression_secret),
    Step("answer_signups", Queue.TRANSACTIONAL, 0, process_signups),
    Step("send_links", Queue.TRANSACTIONAL, 1, send_requested_links),
    Step("send_transactional", Queue.TRANSACTIONAL, 0, send_due_transactional_mails, needs_check=True),
    Step("plan_occurrences", Queue.SENDING, 1, plan_occurrences),
    # Reads the time zones of all subscribers.
    Step("update_start_times", Queue.SENDING, 60, update_start_times),
    Step("start_occurrences", Queue.SENDING, 0, start_next_due_occurrence, needs_check=True),
    Step("start_sends", Queue.SENDING, 0, start_next_due_send, needs_check=True),
    # After the starts: an issue that starts at the end of the week is in its digest.
    Step("compose_digests", Queue.SENDING, 1, compose_weekly_digests, needs_check=True),
    Step("expand_audience", Queue.SENDING, 0, _expand_audience),
    Step("follow_outages", Queue.SENDING, 1, _follow_outages),
    Step("recover_abandoned", Queue.SENDING, 1, _recover_abandoned),
    Step("post_batch", Queue.SENDING, 0, _post_batch, _post_batch_due_in, needs_check=True),
    Step("apply_events", Queue.EVENTS, 0, _apply_events),
    Step("replay_events", Queue.EVENTS, 1, replay_events),
    Step("judge_hits", Queue.EVENTS, 0, judge_hits),
    Step("auto_pause", Queue.SENDING, 1, auto_pause_sends),
    Step("settle_proven", Queue.EVENTS, 0, settle_proven),
    Step("hold_expired", Queue.EVENTS, 0, _hold_expired),
    Step("list_stories", Queue.BACKGROUND, 10, list_stories),
    Step("measure_reading", Queue.BACKGROUND, 300, measure_reading),
    Step("fold_counters", Queue.BACKGROUND, 60, _fold_counters),
    Step("drop_cancelled", Queue.SENDING, 0, drop_cancelled),
    Step("finish_sends", Queue.SENDING, 0, finish_sends),
    # These wait for servers of others, so that no mail may wait for them.
    Step("poll_feeds", Queue.BACKGROUND, 0, poll_next_feed),
    Step("make_drafts", Queue.BACKGROUND, 5, make_recurring_drafts),
    Step("empty_bin", Queue.BACKGROUND, 3600, empty_bin),
    # An editor waits for the title of a link.
    Step("fetch_links", Queue.BACKGROUND, 0, fetch_next_link),
    Step("follow_links", Queue.BACKGROUND, 60, follow_links),
    Step("run_bulk_actions", Queue.BACKGROUND, 0, run_bulk_actions),
    Step("check_signing_keys", Queue.BACKGROUND, 86_400, log_lost_links),
    Step("delete_old_requests", Queue.BACKGROUND, 3600, _delete_old_requests),
    Step("check_links", Queue.BACKGROUND, 0, check_next_links),
    Step("refresh_domains", Queue.BACKGROUND, REFRESH_EVERY.total_seconds(), _refresh_domains),
    Step("check_domains", Queue.BACKGROUND, 30, check_next_domain),
    Step("read_postmaster", Queue.BACKGROUND, 300, read_next_domain),
    Step("import_report_mails", Queue.BACKGROUND, REPORT_PACE_SECONDS, import_next_report_mail),
    Step("compare_leavers", Queue.BACKGROUND, COMPARE_SECONDS, compare_next_batches),
    Step("follow_sunset", Queue.BACKGROUND, 60, follow_sunset_policies, needs_check=True),
    Step("search_provider", Queue.BACKGROUND, 0, _search_provider),
    Step("settle_soft_bounces", Queue.BACKGROUND, 60, settle_soft_bounces),
    Step("purge_expired", Queue.BACKGROUND, RETENTION_SECONDS, purge_expired),
    Step("sync_suppressions", Queue.BACKGROUND, PACE_SECONDS, _sync_suppressions),
    Step("read_event_logs", Queue.BACKGROUND, LOG_PACE_SECONDS, _read_event_logs),
    # Checks, runs and undoes imports of subscribers; each piece takes seconds.
    Step("import_subscribers", Queue.BACKGROUND, 0, _import_subscribers),
    # Checks, runs and undoes imports of past issues, in pieces of a few issues.
    Step("import_archives", Queue.BACKGROUND, 0, _import_archives),
    Step("make_webhooks", Queue.WEBHOOKS, 0, make_messages),
    # Takes up to 20 seconds where a server is slow.
    Step("deliver_webhooks", Queue.WEBHOOKS, 0, deliver_messages, needs_check=True),
    Step("mail_operators", Queue.WEBHOOKS, 60, mail_operators, needs_check=True),
)
