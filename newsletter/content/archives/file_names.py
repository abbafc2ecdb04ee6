"""What the names of files and folders say: which are issues, and in which language they are. Pure."""

from __future__ import annotations

import re
from pathlib import PurePosixPath

from newsletter.content.archives.name_dates import date_in_name


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


MARKDOWN, RST = frozenset({".md", ".markdown", ".mdown", ".mkd", ".mdx"}), frozenset({".rst", ".rest"})
NO_ISSUES = _words(
    "readme contributing license licence changelog changes code_of_conduct code-of-conduct security authors "
    "maintainers support governance template templates _template draft-template issue-template issue_template "
    "pull_request_template _index index 404 about archive archives subscribe search contact todo thanks support faq "
    "privacy imprint impressum terms sponsors sponsor roadmap style-guide styleguide skeleton example"
)
NO_FOLDERS = _words(
    "node_modules vendor themes theme layouts _layouts _includes includes partials templates _templates archetypes "
    "plugins tools scripts test tests pages _pages _data i18n __pycache__"
)
DRAFTS = frozenset({"_drafts", "drafts", "draft", "unpublished", "wip"})
POSTS = _words(
    "_posts posts post issues issue newsletter newsletters editions edition weekly published blog articles letters "
    "content"
)
NUMBER = re.compile(r"(?<![\d.])#?(?P<number>\d{1,4})(?![\d.]*\d)")
NUMBERED_TITLE = re.compile(
    r"(?:#|№|\b(?:issue|no|nr|vol|volume|edition|number|week|ausgabe|numéro)\.?\s*#?)\s*(\d{1,4})\b|第\s*(\d{1,4})\s*[期号]",
    re.IGNORECASE,
)
_LANGUAGES = _words(
    "ar bg bn ca cs da de el en es et fa fi fr he hi hr hu id it ja ko lt lv ms nb nl no pl pt ro ru sk sl sr sv ta th "
    "tr uk ur vi zh"
)
_LANGUAGE_WORDS = {
    "arabic": "ar", "chinese": "zh", "dutch": "nl", "english": "en", "french": "fr", "german": "de", "italian": "it",
    "japanese": "ja", "korean": "ko", "polish": "pl", "portuguese": "pt", "russian": "ru", "spanish": "es",
    "turkish": "tr", "ukrainian": "uk",
}  # fmt: skip
_LANGUAGE = re.compile(r"(?P<language>[a-z]{2})(?:[-_](?P<region>[A-Za-z]{2,4}))?")


def is_text(path: PurePosixPath) -> bool:
    """Whether the file may hold an issue, by its extension."""
    return path.suffix.lower() in MARKDOWN | RST


def is_page(path: PurePosixPath) -> bool:
    """Whether a name says that the file is no issue."""
    if any(part.lower() in NO_FOLDERS for part in path.parts[:-1]):
        return True
    stem = without_language(path.name.rpartition(".")[0])[0].lower()
    is_bundle = stem == "index" and (date_in_name(path) or NUMBER.search(path.parent.name) or len(path.parts) > 2)
    return stem in NO_ISSUES and not is_bundle


def without_language(name: str) -> tuple[str, str]:
    """A name without the language at its end, and the language: `050-chinese`, `notes.de`, `notes_pt-BR`."""
    for mark in (".", "_", "-"):
        rest, _, last = name.rpartition(mark)
        found = _LANGUAGE_WORDS.get(last.lower(), "") or (_language(last) if mark != "-" else "")
        if rest and found:
            return rest, found
    return name, ""


def language_of_folders(path: PurePosixPath) -> str:
    """The language that a folder is named after; empty if none is."""
    return next((found for part in reversed(path.parts[:-1]) if (found := _language(part))), "")


def _language(text: str) -> str:
    found = _LANGUAGE.fullmatch(text)
    return text.replace("_", "-") if found and found["language"] in _LANGUAGES else ""
