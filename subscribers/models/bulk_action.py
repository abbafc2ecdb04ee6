"""Bulk actions: one step for many subscribers, at once or in the background."""

from __future__ import annotations

from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from django.utils.translation import pgettext_lazy

from subscribers.state_machine import StateMachine


class BulkActionKind(models.TextChoices):
    """What is done."""

    ADD_TAG = "add_tag", _("Add tag")
    REMOVE_TAG = "remove_tag", _("Remove tag")
    ADD_TO_SEGMENT = "add_to_segment", _("Add to segment")
    UNSUBSCRIBE = "unsubscribe", _("Unsubscribe")
    SUPPRESS = "suppress", pgettext_lazy("action", "Suppress")


class BulkActionState(models.TextChoices):
    """How far it has come."""

    WAITING = "waiting", pgettext_lazy("bulk action", "Waiting")
    RUNNING = "running", pgettext_lazy("bulk action", "Running")
    FINISHED = "finished", pgettext_lazy("bulk action", "Finished")
    FAILED = "failed", pgettext_lazy("bulk action", "Failed")
    CANCELLED = "cancelled", pgettext_lazy("bulk action", "Cancelled")


class BulkActionReason(models.TextChoices):
    """Why it failed."""

    TAG_GONE = "tag_gone", _("The tag was deleted.")
    SEGMENT_GONE = "segment_gone", _("The segment was deleted.")
    SELECTION_GONE = "selection_gone", _("The tag or segment of the filter was deleted.")
    SECRET_DIFFERS = "secret_differs", _("SUPPRESSION_SECRET is not the one under which addresses are suppressed.")


BULK_ACTION_MACHINE = StateMachine(
    states=BulkActionState,
    transitions={
        BulkActionState.WAITING: (BulkActionState.RUNNING, BulkActionState.CANCELLED),
        BulkActionState.RUNNING: (BulkActionState.FINISHED, BulkActionState.FAILED, BulkActionState.CANCELLED),
        BulkActionState.FINISHED: (),
        BulkActionState.FAILED: (),
        BulkActionState.CANCELLED: (),
    },
    initial_states=(BulkActionState.WAITING,),
)

#: States in which there is work left.
OPEN = (BulkActionState.WAITING, BulkActionState.RUNNING)


class BulkAction(models.Model):
    """One action on a selection of subscribers, with its progress.

    Subscribers are taken in the order of their keys, in chunks of one transaction each that also stores the progress:
    an action that was interrupted continues exactly there. Rows are kept as the record of who did what.
    """

    kind = models.CharField(_("action"), max_length=14, choices=BulkActionKind.choices)
    state = models.CharField(_("state"), max_length=9, choices=BulkActionState.choices, default=BulkActionState.WAITING)
    reason = models.CharField(_("reason"), max_length=14, blank=True, choices=BulkActionReason.choices)
    selection = models.JSONField(
        _("selection"), help_text=_("A filter or keys of subscribers, see subscribers/directory/selection.py.")
    )
    values = models.JSONField(
        _("values"), default=dict, help_text=_("“tag” or “segment”: a key; “words”: the editor’s reason.")
    )
    by = models.CharField(_("by"), max_length=150)
    total = models.PositiveIntegerField(_("total"), default=0, help_text=_("Subscribers in the selection."))
    is_estimate = models.BooleanField(_("total is an estimate"), default=False)
    done = models.PositiveIntegerField(_("done"), default=0, help_text=_("Subscribers that it has come to."))
    changed = models.PositiveIntegerField(
        _("changed"), default=0, help_text=_("Subscriptions, or addresses, that it has changed.")
    )
    last_key = models.BigIntegerField(default=0, help_text=_("The key of the last subscriber that it has come to."))
    up_to = models.BigIntegerField(help_text=_("The highest key at the start: later subscribers are left alone."))
    created_at = models.DateTimeField(_("created at"), default=timezone.now, editable=False)
    started_at = models.DateTimeField(_("started at"), null=True)
    finished_at = models.DateTimeField(_("finished at"), null=True)

    class Meta:
        verbose_name, verbose_name_plural = _("bulk action"), _("bulk actions")
        default_permissions = ("view",)
        constraints = [
            models.CheckConstraint(condition=Q(kind__in=BulkActionKind.values), name="bulk_action_kind_known"),
            models.CheckConstraint(condition=Q(state__in=BulkActionState.values), name="bulk_action_state_known"),
            models.CheckConstraint(
                condition=Q(reason__in=["", *BulkActionReason.values]), name="bulk_action_reason_known"
            ),
        ]
        indexes = [models.Index(fields=["id"], condition=Q(state__in=OPEN), name="bulk_action_open")]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} · {self.by}"

    @property
    def percent(self) -> int:
        """How far it has come, at most 100."""
        return min(100, self.done * 100 // self.total) if self.total else 100
