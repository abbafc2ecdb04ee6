"""manage.py makemessages: Django's own command, for `make messages`; it also collects `translatable` strings."""

from __future__ import annotations

import re
from pathlib import Path

from django.core.management.commands.makemessages import Command as MakeMessages

#: Header lines that change with each run or installation, so that a catalogue changes only if a string does.
UNSTABLE = re.compile(r'^"(POT-Creation-Date|PO-Revision-Date|Project-Id-Version):.*\n', re.MULTILINE)


class Command(MakeMessages):
    """Collects `translatable` strings, too, and writes catalogues that are the same on every machine."""

    xgettext_options = [
        *MakeMessages.xgettext_options,
        "--keyword=translatable:1",
        "--keyword=translatable_plural:1,2",
    ]
    # A guessed translation is worse than English.
    msgmerge_options = [*MakeMessages.msgmerge_options, "--no-fuzzy-matching"]

    def write_po_file(self, potfile: str, locale: str) -> None:
        """Write one catalogue, without the header lines that change with each run."""
        super().write_po_file(potfile, locale)
        path = Path(potfile).parent / locale / "LC_MESSAGES" / f"{self.domain}.po"
        path.write_text(UNSTABLE.sub("", path.read_text(encoding="utf-8")), encoding="utf-8")
