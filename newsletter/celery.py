"""Celery, for more than one machine: pulses wake workers, which run the steps of `worker`.

    beat ──pulse a second──► broker ──► a free worker ──► the same steps as `manage.py worker` ──► database

The database is the truth. A pulse carries nothing and means “look what is due”, so one that is lost is made good by the
next, and one that comes twice finds less to do. Nothing is scheduled in the broker, and no result is kept.
"""

from __future__ import annotations

import logging
import os
import sys
import threading
from functools import lru_cache
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
django.setup()

from celery import Celery, signals
from celery.beat import ScheduleEntry, Scheduler
from django.conf import settings

from newsletter.background import BackgroundProcess
from newsletter.monitoring.heartbeat import KINDS

log = logging.getLogger(__name__)

#: A queue for each kind of work: no issue holds up a confirmation mail (R-122), and no stranger's slow server holds up
#: an issue.
QUEUES = tuple(KINDS)

#: Seconds between two pulses of a queue.
TICK = 1.0

#: Seconds that one task works before it lets others have its process. It pulses its queue again if more is due.
STRETCH = 5.0

#: Seconds after which a task costs its process. Ten mails to a slow mail server take minutes, and a process that is
#: killed among them leaves all ten to a person.
LONGEST_TASK = 900

#: Seconds after which Redis gives a task to another worker that was never finished. By then it has ended.
VISIBILITY_TIMEOUT = LONGEST_TASK + 60

#: What Celery says about every single pulse.
CHATTER = ("celery.beat", "celery.worker.strategy", "celery.app.trace")

if not settings.BROKER_URL:
    # Celery would look for a broker of its own choice on this machine.
    sys.exit("BROKER_URL is empty, so nothing was started. Set it, or run `manage.py worker`, which needs no broker.")

app = Celery("newsletter", broker=settings.BROKER_URL)
app.conf.update(
    # A task is done when it has run, also when its process is killed; measured, see docs/scale-out.md.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    # A step that hangs costs its process, and the lease of its batch ends by itself.
    task_time_limit=LONGEST_TASK,
    # Four by default, which the imports of a machine under load exceed; then all of its processes start anew, for ever.
    worker_proc_alive_timeout=60.0,
    worker_max_memory_per_child=200_000,  # KB
    worker_enable_remote_control=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
    broker_connection_retry_on_startup=True,
    broker_connection_max_retries=None,
    broker_transport_options=(
        {"visibility_timeout": VISIBILITY_TIMEOUT} if settings.BROKER_URL.startswith("redis") else {}
    ),
    task_create_missing_queues=True,
    timezone="UTC",
    beat_scheduler="newsletter.celery:TickScheduler",
    beat_max_loop_interval=TICK,
    beat_schedule={
        queue: {"task": f"newsletter.{queue}", "schedule": TICK, "options": {"queue": queue}} for queue in QUEUES
    },
)


@lru_cache(maxsize=1)
def background() -> BackgroundProcess:
    """This process's steps; made after the fork, so that no connection is shared."""
    return BackgroundProcess()


def _look(queue: str) -> None:
    if background().work_for(STRETCH, queue):
        app.send_task(f"newsletter.{queue}", queue=queue)


@app.task(name="newsletter.notices")
def notices() -> None:
    """Answer sign-ups, and send mails to one person each."""
    _look("notices")


@app.task(name="newsletter.issues")
def issues() -> None:
    """Start, address, post and finish issues."""
    _look("issues")


@app.task(name="newsletter.events")
def receipts() -> None:
    """Apply receipts, and settle what they prove."""
    _look("receipts")


@app.task(name="newsletter.errands")
def errands() -> None:
    """Feeds, links and look-ups."""
    _look("errands")


class TickScheduler(Scheduler):
    """Beat without a memory: what is due stands in the database, so nothing has to outlive it. Two of them do no harm.

    It adds no pulse where one waits already: workers that are all busy, or gone for a day, come back to one pulse and
    not to a hundred thousand. While the broker is away it waits for it: there is nothing else to do.
    """

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **options: Any) -> Any:
        """Send the entry's pulse if its queue is empty."""

        def count_waiting() -> int:
            declared = producer.channel.queue_declare(queue=entry.options["queue"], durable=True, auto_delete=False)
            return int(declared.message_count)

        # Celery renews a connection that broke when it publishes, and at no other time: whoever asks before that has
        # to renew it, or a RabbitMQ that was restarted would never get a pulse again.
        count = producer.connection.ensure(
            producer, count_waiting, errback=say_that_the_broker_is_away, interval_start=0, interval_max=5
        )
        return None if count() else super().apply_async(entry, producer=producer, advance=advance, **options)


def say_that_the_broker_is_away(error: Exception, seconds: float) -> None:
    """One line for each attempt to reach it."""
    log.warning("the broker does not answer (%s): no pulses until it does, no mail is lost", type(error).__name__)


@signals.worker_process_init.connect
def begin(**_: Any) -> None:
    """A process of a worker starts."""
    threading.Thread(target=background().live, name="heartbeat", daemon=True).start()


@signals.worker_process_shutdown.connect
def end(**_: Any) -> None:
    """A process of a worker ends in order."""
    background().end()


@signals.setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Django has set up logging already; Celery leaves it alone when anybody listens to this signal."""
    for name in CHATTER:
        logging.getLogger(name).setLevel(logging.WARNING)
