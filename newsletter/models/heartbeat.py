"""The heartbeat of each worker process."""

from __future__ import annotations

from django.db import models


class WorkerHeartbeat(models.Model):
    """A worker process that runs or died. It writes the row every few seconds, and deletes it when it ends normally."""

    name = models.CharField(max_length=100, unique=True, help_text="Host and process id, as in a batch's claim.")
    process = models.CharField(
        max_length=150,
        blank=True,
        default="",
        db_default="",
        help_text="What tells the process from others with its id, so that this machine knows whether it still runs.",
    )
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    doing = models.CharField(
        max_length=100,
        blank=True,
        help_text="The last step that did something; of a Celery process “queues: step”, with the queues it serves.",
    )

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
