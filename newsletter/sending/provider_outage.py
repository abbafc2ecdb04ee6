"""Provider outage: sends that no provider can carry are paused with the reason, and resume once one can.

A key that is refused or a quota that is used up stops every send of the account at once. What ends it – an operator who
resumes one of them, another key, the next day – resumes all sends that were paused by it.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence

from newsletter.models import InvalidTransition, Reason, Send, SendState
from newsletter.providers.base import Provider
from newsletter.providers.throttle import find_outage

log = logging.getLogger(__name__)


def follow_provider_outages(route: Sequence[Provider]) -> bool:
    """Pause running sends while no provider of the route accepts mail, and resume them when one does. A step."""
    # Sends are looked for first: most of the time there are none, and the providers' throttles need not be read.
    waiting = Send.objects.filter(state=SendState.PAUSED, hold_reason=Reason.PROVIDER_OUTAGE).defer("manifest")
    sending = Send.objects.filter(state=SendState.SENDING).defer("manifest")
    if not (sending.exists() or waiting.exists()):
        return False
    if outage := find_outage(route):
        values = {"reasons": [[outage.code, {"text": outage.detail}]], "provider": outage.provider}
        for send in sending:
            send.pause_if_sending(Reason.PROVIDER_OUTAGE, values=values)
        return False
    for send in waiting:
        try:
            send.resume(Reason.PROVIDER_BACK)
        except InvalidTransition:
            # An operator moved it meanwhile; their decision stands.
            log.info("send %s was moved meanwhile", send.pk)
    return False
