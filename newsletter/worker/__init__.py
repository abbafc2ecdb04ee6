"""The worker: the steps as data, the loop of `manage.py worker`, and the process that Celery wakes."""

from newsletter.worker.loop import work, work_until_idle
from newsletter.worker.steps import STEPS, Step

__all__ = ["STEPS", "Step", "work", "work_until_idle"]
