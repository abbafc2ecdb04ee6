"""The heartbeat: the last sign of life of each worker."""

from __future__ import annotations

from django.db import models


class WorkerHeartbeat(models.Model):
    """One worker process that runs, or ran and did not end in order. Written by itself, every few seconds."""

    name = models.CharField(max_length=100, unique=True, help_text="Host and process, as batches name it.")
    started_at = models.DateTimeField()
    seen_at = models.DateTimeField()
    doing = models.CharField(max_length=60, blank=True, help_text="The last step that found something to do.")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name
