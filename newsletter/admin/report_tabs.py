"""The pages about many issues, each of which leads to the others."""

from __future__ import annotations

from django.urls import reverse
from django.utils.translation import gettext_lazy

#: By the names of their URLs.
TABS = {
    "growth": gettext_lazy("Growth"),
    "stories_and_sources": gettext_lazy("Stories and sources"),
    "best_times": gettext_lazy("Best day and hour"),
}


def report_tabs(current: str) -> list[tuple[str, str, bool]]:
    """Label, URL, and whether it is the current one."""
    return [(str(label), reverse(name), name == current) for name, label in TABS.items()]
