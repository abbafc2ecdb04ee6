"""Celery, for more than one machine: ticks wake processes, which run the steps of `newsletter.worker`.

    beat ──a tick a second──► broker ──► an idle process ──► the same steps as `manage.py worker` ──► database

The database is the truth. A tick means "run what is due in this queue" and carries nothing else, so the next tick makes
up for a lost one, and a repeated one finds less to do. Nothing is scheduled in the broker, and no result is kept.
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

from newsletter.monitoring.heartbeat import Queue
from newsletter.worker.celery_process import CeleryProcess

log = logging.getLogger(__name__)

#: The task that a tick starts.
TASK = "newsletter.run_steps"

#: Seconds between two ticks of a queue.
TICK_SECONDS = 1.0

#: Seconds that one task works before it frees its process for other queues. It ticks its queue again if more is due.
MAX_RUN_SECONDS = 5.0

#: Seconds after which Celery kills the process of a task. A group of mails to a slow SMTP server takes minutes, and a
#: process that is killed among them leaves the group on hold.
TASK_TIME_LIMIT = 900

#: Seconds after which Redis gives an unfinished task to another process. TASK_TIME_LIMIT has ended it by then.
VISIBILITY_TIMEOUT = TASK_TIME_LIMIT + 60

#: Loggers that write a line for each tick.
NOISY_LOGGERS = ("celery.beat", "celery.worker.strategy", "celery.app.trace")

if not settings.BROKER_URL:
    # Celery would connect to a default broker on this machine.
    sys.exit("BROKER_URL is empty. Set it, or run `manage.py worker`, which needs no broker.")

app = Celery("newsletter", broker=settings.BROKER_URL)
app.conf.update(
    # A task is acknowledged after it ran, and delivered again if its process was killed; see docs/scale-out.md.
    task_acks_late=True,
    task_reject_on_worker_lost=True,
    worker_prefetch_multiplier=1,
    task_ignore_result=True,
    # A step that hangs costs its process; the lease of its batch expires.
    task_time_limit=TASK_TIME_LIMIT,
    # The default of 4 seconds is shorter than the imports take on a busy machine: its processes would restart for ever.
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
    beat_max_loop_interval=TICK_SECONDS,
    beat_schedule={
        queue.value: {"task": TASK, "schedule": TICK_SECONDS, "args": [queue.value], "options": {"queue": queue.value}}
        for queue in Queue
    },
)


@lru_cache(maxsize=1)
def celery_process() -> CeleryProcess:
    """The steps of this process. Created after the fork, so that no connection is shared."""
    return CeleryProcess()


@app.task(name=TASK)
def run_steps(queue: str) -> None:
    """Run what is due in a queue for up to MAX_RUN_SECONDS seconds, and tick the queue again if there is more."""
    if celery_process().work_for(MAX_RUN_SECONDS, Queue(queue)):
        app.send_task(TASK, args=[queue], queue=queue)


class TickScheduler(Scheduler):
    """A beat that keeps no state: what is due is in the database. A second beat does no harm.

    It adds no tick to a queue that holds one, so that processes that were busy or away for a day find one tick, not a
    hundred thousand. While the broker is unavailable it waits and reconnects.
    """

    def apply_async(self, entry: ScheduleEntry, producer: Any = None, advance: bool = True, **options: Any) -> Any:
        """Send the entry's tick if its queue is empty."""

        def count_waiting() -> int:
            declared = producer.channel.queue_declare(queue=entry.options["queue"], durable=True, auto_delete=False)
            return int(declared.message_count)

        # Celery reconnects only when it publishes. Without `ensure` here, counting would fail for ever after a restart
        # of RabbitMQ, and no tick would be published.
        count = producer.connection.ensure(
            producer, count_waiting, errback=log_broker_error, interval_start=0, interval_max=5
        )
        return None if count() else super().apply_async(entry, producer=producer, advance=advance, **options)


def log_broker_error(error: Exception, seconds: float) -> None:
    """Log a failed connection attempt. Its text is left out, since it may hold the broker's password."""
    log.warning("Broker unavailable: ticks are paused, no mail is lost", extra={"error": type(error).__name__})


@signals.worker_process_init.connect
def start_heartbeat(**_: Any) -> None:
    threading.Thread(target=celery_process().run_heartbeats, name="heartbeat", daemon=True).start()


@signals.worker_process_shutdown.connect
def shut_down(**_: Any) -> None:
    celery_process().end()


@signals.setup_logging.connect
def keep_our_logging(**_: Any) -> None:
    """Keep Django's logging setup: Celery installs none of its own if this signal has a receiver."""
    for name in NOISY_LOGGERS:
        logging.getLogger(name).setLevel(logging.WARNING)
