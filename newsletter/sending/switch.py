"""The switch: stop and resume all mail of the installation – issues, transactional mails and test mails.

Workers read it in the query that looks for the next batch, and once more after they have waited for a permit. So at
most the post that each worker is making goes out after a stop. Nothing is lost: it is sent when sending resumes.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from newsletter.models import (
    SWITCH_MACHINE,
    InvalidTransition,
    Reason,
    Restore,
    SendingSwitch,
    SwitchState,
    SwitchTransition,
    sending_stopped,
)
from newsletter.sending.control import operator_values

log = logging.getLogger(__name__)


class StopReasonNeeded(Exception):
    """All sending is stopped only with a reason."""

    def __init__(self) -> None:
        super().__init__(_("Say why all sending is stopped. The reason is shown to every editor."))


def stop_all_sending(
    *, by: str, text: str = "", reason: Reason = Reason.OPERATOR, values: Mapping[str, Any] | None = None
) -> None:
    """Stop all mail until an operator resumes it. If it is stopped already, this reason replaces the one before.

    The same stop again changes nothing: a restore stops all sending each time that it is continued.
    `text` is what an operator wrote: required with Reason.OPERATOR, else StopReasonNeeded is raised.
    """
    written = operator_values(text)
    if reason == Reason.OPERATOR and not written:
        raise StopReasonNeeded
    kept = {**(values or {}), **written}
    same = {"stop_reason": reason.value, "stop_values": kept, "stopped_by": by[:150]}
    if SendingSwitch.objects.filter(pk=SendingSwitch.PK, state=SwitchState.STOPPED).values(*same).first() == same:
        return
    _move(SwitchState.STOPPED, by=by, reason=reason, values=kept, **same, stopped_at=timezone.now())
    log.warning("All sending stopped", extra={"by": by, "reason": reason.value})


def resume_sending(*, by: str, text: str = "") -> None:
    """Let mail leave again. Raises InvalidTransition if it is not stopped, or if the setting SENDING stops it."""
    stop = sending_stopped()
    if stop and stop.is_by_setting:
        raise InvalidTransition(f"{stop.sentence} {stop.advice}")
    if stop is None:
        raise InvalidTransition(_("Sending is not stopped."))
    if Restore.objects.filter(secured_at__isnull=True).exists():
        raise InvalidTransition(
            _("Batches of the restored copy are still being held. Start a worker, and try again in a minute.")
        )
    start: dict[str, Any] = {"stop_reason": "", "stop_values": {}, "stopped_by": "", "stopped_at": None}
    _move(SwitchState.ON, by=by, reason=Reason.OPERATOR, values=operator_values(text), **start)
    log.warning("Sending resumed", extra={"by": by})


def _move(target: SwitchState, *, by: str, reason: Reason, values: Mapping[str, Any], **changes: Any) -> None:
    switch, _created = SendingSwitch.objects.get_or_create(pk=SendingSwitch.PK)
    SWITCH_MACHINE.move_with_history(
        switch, target, SwitchTransition, by=by, reason=reason.value, values=values, **changes
    )
