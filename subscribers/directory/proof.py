"""How a subscriber agreed whom an editor adds by hand."""

from __future__ import annotations

from django.db import models
from django.utils.translation import gettext_lazy as _


class ProofKind(models.TextChoices):
    """The kinds of proof. The code is stored with the consent, in `detail`."""

    DOUBLE_OPT_IN_ELSEWHERE = "double_opt_in_elsewhere", _("Confirmed by a link in a mail, in another system")
    SINGLE_OPT_IN = "single_opt_in", _("Signed up by a form, without a confirmation")
    EXISTING_CUSTOMER = "existing_customer", _("Bought something similar, and could object")
    PAPER_OR_EVENT = "paper_or_event", _("Agreed in writing, face to face, or by mail")
