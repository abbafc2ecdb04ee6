"""Words of urgency in subjects and preheaders, which some laws fine by the mail if they are not true. Pure.

Source: Washington's Commercial Electronic Mail Act (RCW 19.190.020) as read in Brown v. Old Navy (2025): a subject line
must not mislead about how long an offer lasts.
"""

from __future__ import annotations

import re

_PHRASES = (
    # English
    *(r"last (?:chance|call)", r"final (?:hours?|days?|call|reminder)", r"(?:today|tonight) only"),
    *(r"only today", r"(?:ends?|expires?|closes?|closing) (?:today|tonight|soon|in \d+ hours?|at midnight)"),
    *(r"act (?:now|fast)", r"hurry(?: up)?", r"(?:only )?\d+ (?:hours?|hrs|seats?|places?|spots?) (?:left|remaining)"),
    *(r"limited time(?: only| offer)?", r"don['’]t miss (?:out|your chance)", r"while (?:stocks?|supplies) lasts?"),
    *(r"urgent(?:ly)?", r"before it['’]s too late", r"now or never"),
    # German
    *(
        r"letzte (?:chance|gelegenheit|stunden?|tage?)",
        r"nur (?:noch )?heute",
        r"nur noch \d+ (?:stunden?|tage?|plätze)",
    ),
    *(
        r"(?:endet|läuft) (?:heute|morgen|bald)(?: ab)?",
        r"jetzt oder nie",
        r"dringend",
        r"solange (?:der )?vorrat reicht",
    ),
    # French
    *(
        r"derni[eè]re chance",
        r"derni[eè]res heures",
        r"aujourd['’]hui seulement",
        r"plus que \d+ (?:heures?|jours?|places?)",
    ),
    *(r"se termine (?:aujourd['’]hui|ce soir|bient[oô]t)", r"d[eé]p[eê]chez-vous", r"urgent"),
    # Spanish
    *(r"[uú]ltima oportunidad", r"[uú]ltimas horas", r"s[oó]lo hoy", r"(?:termina|acaba) (?:hoy|pronto|esta noche)"),
    *(r"quedan (?:s[oó]lo )?\d+ (?:horas?|d[ií]as?|plazas?)", r"urgente"),
)
_URGENCY = re.compile(rf"(?<!\w)(?:{'|'.join(_PHRASES)})(?!\w)", re.IGNORECASE)


def urgent_words(line: str) -> str:
    """The first words of urgency in `line`, as typed; empty if there are none."""
    found = _URGENCY.search(" ".join(line.split()))
    return found[0] if found else ""
