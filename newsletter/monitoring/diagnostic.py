"""The diagnostic, and how severe it is."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from dataclasses import dataclass

from django.db.models import TextChoices
from django.utils.translation import gettext_lazy as _

from newsletter.models import Issue

#: How long a due send, an event or a transactional mail may wait for a worker.
GRACE_PERIOD = datetime.timedelta(minutes=5)

#: How far back sends, occurrences and accepted mails are examined. Older ones are not reported.
RECENT = datetime.timedelta(days=3)


class Severity(TextChoices):
    """How severe a diagnostic is, the worst first."""

    # Something does not work, and will not until an operator acts.
    ERROR = "error", _("Error")
    # An operator should know, or decide.
    WARNING = "warning", _("Warning")
    OK = "ok", _("OK")


@dataclass(frozen=True, slots=True, kw_only=True)
class Diagnostic:
    """One thing that was found, in the language that was active then."""

    name: str
    """A short slug for programs. It never changes."""
    severity: Severity
    sentence: str
    """What is wrong, with the value that is wrong."""
    advice: str = ""
    """What to do."""
    link: str = ""
    """The absolute URL of the page where it is done; empty if there is no such page."""
    command: str = ""
    """The command that does it; empty if there is none."""
    issue: Issue | None = None
    """The issue that it is about; None if it is about the whole installation."""


def worst_first(found: Iterable[Diagnostic]) -> list[Diagnostic]:
    """Sorted by severity; those of one severity stay in their order."""
    order = list(Severity)
    return sorted(found, key=lambda diagnostic: order.index(diagnostic.severity))
