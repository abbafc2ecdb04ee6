"""Provider outage: sends that no provider can carry are paused with the reason, and resume once one can.

A key that is refused or a quota that is used up stops every send of the account at once. What ends it – an operator who
resumes one of them, another key, the next day – resumes all sends that were paused by it.
"""

from __future__ import annotations

from collections.abc import Sequence

from django.db import transaction

from newsletter.models import Reason, Send, SendState
from newsletter.providers.base import Provider
from newsletter.providers.throttle import find_outage


def follow_provider_outages(route: Sequence[Provider]) -> bool:
    """Pause sending while no provider of the route accepts mail, and resume it when one does.

    Returns whether a send was paused or resumed.
    """
    # Sends are looked for first: most of the time there are none, and the providers' throttles need not be read.
    waiting = Send.objects.filter(state=SendState.PAUSED, hold_reason=Reason.PROVIDER_OUTAGE).defer("manifest")
    sending = Send.objects.filter(state=SendState.SENDING).defer("manifest")
    if not (sending.exists() or waiting.exists()):
        return False
    if outage := find_outage(route):
        values = {"reasons": [[outage.code, {"text": outage.detail}]], "provider": outage.provider}
        return sum(send.pause_if_sending(Reason.PROVIDER_OUTAGE, values=values) for send in sending) > 0
    resumed = 0
    for pk in list(waiting.values_list("pk", flat=True)):
        with transaction.atomic():
            # Read again and locked: it may be paused for another reason by now, which this must not end.
            if still := waiting.select_for_update(of=("self",)).filter(pk=pk).first():
                still.resume(Reason.PROVIDER_BACK)
                resumed += 1
    return resumed > 0
