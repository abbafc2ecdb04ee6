"""The head of a mail: its title without the newsletter's name, and the links to write to the sender. Pure."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from urllib.parse import quote

_SEPARATOR = re.compile(r"\s*[\-–—:|·,/]+\s*|\s+(?=[#\d])")
_NO_LETTER = re.compile(r"\W+")


@dataclass(frozen=True, slots=True)
class IssueHead:
    """What the first heading of a mail says. The masthead has the newsletter's name already."""

    title: str
    """Empty if the issue's title says nothing but name and date: themes write the date then, and only once."""

    @property
    def is_date(self) -> bool:
        """Whether the heading is the date."""
        return not self.title


def issue_head(title: str, name: str, date: datetime.date, *written: str) -> IssueHead:
    """The heading for the title of an issue. `written` are its date in words, in the language of the mail."""
    rest = _without_name(title.strip(), name)
    return IssueHead("" if not rest or _is_date(rest, date, written) else _cut(title.strip(), name))


def mail_link(address: str = "", **fields: str) -> str:
    """A `mailto:` link with the header fields and the body given (RFC 6068)."""
    query = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    return f"mailto:{quote(address, safe='@+')}?{query}"


def _without_name(title: str, name: str) -> str:
    """What follows the name in a title that begins with it."""
    return title[len(name) :].strip() if title.casefold().startswith(name.casefold()) else title


def _cut(title: str, name: str) -> str:
    """The title after the name and a separator, if it begins with both."""
    rest = title[len(name) :]
    separator = _SEPARATOR.match(rest) if title.casefold().startswith(name.casefold()) else None
    return rest[separator.end() :] if separator else title


def _is_date(text: str, date: datetime.date, written: tuple[str, ...]) -> bool:
    """Whether `text` is the date, in figures or in words, with or without weekday and year."""
    figures = (f"{date:%Y-%m-%d}", f"{date:%d.%m.%Y}", f"{date.day}.{date.month}.{date.year}")
    in_english = (f"{day}{year}" for day in _days(date) for year in ("", f" {date.year}"))
    in_words = [spelling for each in (*written, *in_english) for spelling in (each, each.partition(" ")[2])]
    return _folded(text) in {_folded(each) for each in (*figures, *in_words)}


def _days(date: datetime.date) -> tuple[str, str]:
    return f"{date:%A}, {date.day} {date:%B}", f"{date:%A}, {date:%B} {date.day}"


def _folded(text: str) -> str:
    return _NO_LETTER.sub(" ", text).strip().casefold()
