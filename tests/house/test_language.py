"""One vocabulary: no identifier and no sentence of the product, its templates and its docs uses a retired word."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from newsletter.config.configuration import PROJECT_ROOT

#: Retired words, and the terms that replace them. The test looks for whole words, in prose and in identifiers
#: (`old_word`, `OldWord`).
RETIRED: tuple[tuple[str, str], ...] = (
    ("reader readers member members membership memberships", "subscriber, recipient (in one send), subscription"),
    ("person persons people", "subscriber, operator, editor, user; public pages say “you”"),
    ("nobody anybody somebody whoever whatever", "name the subject: no subscriber, any recipient, someone else"),
    ("receipt receipts", "event"),
    ("addressing addressed", "expand (the audience)"),
    ("slot slots", "placeholder, recurring schedule, permit"),
    ("flow flows", "throttle"),
    ("resting halted spent", "throttled, suspended, quota used up"),
    ("drill drills strike strikes", "failpoint, to trigger"),
    ("brake brakes braked toll tolerated", "auto-pause, send health, acknowledged"),
    ("standstill hindrance hindrances obstacle obstacles", "provider outage, blockers, blocked_reason"),
    ("allowance allowances room rooms", "sending limits, remaining, space, module"),
    ("symptom symptoms", "diagnostics, severity"),
    ("notice notices", "transactional mail"),
    ("pulse pulses crew errand errands", "tick, background jobs"),
    ("specimen specimens", "sample issue"),
    ("doubt doubts doubtful hopeless", "unknown, unknown outcome"),
)

#: Words that are honest English in a sentence, and retired as names of Python code.
RETIRED_IDENTIFIERS: tuple[tuple[str, str], ...] = (
    ("look looks looked", "client emulation, throttle state, check, read"),
    ("moment moments", "at, now, instant, time format"),
    ("visitor visitors", "fetch policy"),
    ("sight", "provider search"),
    ("standing standings", "availability, state"),
    ("absence", "downtime"),
    ("reach", "recipient allowlist"),
    ("watch", "monitoring, refresh"),
    ("grade grades", "severity"),
    ("given", "rows, values, or the name of the value"),
    ("digest digests digested", "sha256, hash; a digest is a kind of newsletter"),
    ("told said", "text, message, reported"),
)

#: Honest uses, as regular expressions whose matches the test skips, each with its reason.
ALLOWED: tuple[tuple[str, str], ...] = (
    (r"(?i)screen[- ]readers?", "assistive technology"),
    (r"(?i)feed readers?", "programs that show feeds"),
    (r"\byaml\.reader\.ReaderError\b", "PyYAML"),
    (r'"strike"|convert_strike\b', "an element of HTML 4"),
    (r"\bslots=True|__slots__", "Python's dataclasses"),
    (r"(?i)flow[- ]control", "the field's term for throttling, quotas and circuit breakers"),
    (r"flow-root|\bdefault_flow_style\b|# return flow", "CSS; PyYAML; a rule set of Ruff"),
    (r"\bcsv\.reader\b", "Python's csv module"),
    (
        r"\bArchiveReader\b|\bREADERS\b|\breader_for\b|\breaders?(?= (?:of archives|of an archive|that fits))",
        "code that reads an archive",
    ),
    (r"(?i)\bmember[_ ]rating\b|members\|segment", "names of columns and files in exports of Mailchimp"),
    (r"`tests/[\w/]+\.py::[\w:]+`", "names of tests in docs/requirements.md"),
    (r"(?ms)^## Names that changed$.*?(?=^## )", "the tables of former names in docs/run-it.md"),
    (r"(?ms)^- Renamed .*?(?=^- |^$)", "former names in CHANGELOG.md"),
    (r'"--same-readers"|"same_readers"|"--same-readers is now', "former option, refused with its new name"),
    (r'"DRILL": "FAILPOINT"', "former setting, refused with its new name"),
    (r"[?&;]reader=|\bGET(\.get\(|\[)\"reader\"", "query parameter of the preview: URLs do not change"),
    (r'"subscription_once_per_person_and_list"', "constraint of the database"),
    (r"\|person\|id\|address", "words of mail servers, in the patterns for bounces"),
    (r"\bexport_person\b", "a command; export_subscribers is another one"),
    (r"\b(read_digest|is_digest_heading|_digest_story|_DigestStory)\b", "plain-text digests, a kind of newsletter"),
    (r"(?i)\b\w*weekly_digests?\b", "the weekly digest, an issue"),
    (r"(?i)\b(all_|by_|no_|_)?visitors?(_hash)?\b", "the field's term for who follows a link, subscriber or not"),
    (r"\b(digest_at|is_digest|awaits_digest|_digest_of|undecided_digests|DIGEST_[A-Z_]+)\b", "the weekly digest"),
)

#: Paths that are not scanned, each with its reason.
EXCLUDED: tuple[tuple[str, str], ...] = (
    (r"/migrations/", "history of the database"),
    (r"^newsletter/demo/samples/|^newsletter/rendering/sample_issue\.py$", "sample issues: texts of an editor"),
    (r"^newsletter/rendering/mjml_tables\.py$", "generated from MJML"),
    (r"^newsletter/preflight/caniemail\.json$", "data of caniemail.com"),
    (r"^docs/faults\.md$", "written by make test-faults"),
)

SUFFIXES = {".py", ".html", ".txt", ".mjml", ".css", ".js", ".toml", ".md", ".yaml", ".service", ".sql", ".svg", ".xml"}
FOLDERS = ("newsletter", "subscribers", "templates", "docs")
FILES = ("README.md", "CHANGELOG.md", ".env.example", "Makefile", "Dockerfile", "manage.py", "pyproject.toml")

WORD = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def replacements(table: tuple[tuple[str, str], ...]) -> dict[str, str]:
    return {word: instead for words, instead in table for word in words.split()}


def scanned_files() -> list[Path]:
    kept = [path for path in all_files() if path.suffix in SUFFIXES or path.name in FILES]
    return [path for path in kept if not any(re.search(pattern, relative(path)) for pattern, _ in EXCLUDED)]


def all_files() -> list[Path]:
    paths = [path for folder in FOLDERS for path in (PROJECT_ROOT / folder).rglob("*")]
    return sorted([*paths, *(PROJECT_ROOT / name for name in FILES if (PROJECT_ROOT / name).is_file())])


def relative(path: Path) -> str:
    return path.relative_to(PROJECT_ROOT).as_posix()


def package_of(path: Path) -> str:
    """`newsletter/sending`, `docs`, …: failures are reported by package."""
    parts = path.relative_to(PROJECT_ROOT).parts[:-1]
    return "/".join(parts[:2] if parts and parts[0] in ("newsletter", "templates") else parts[:1]) or "."


def without_allowed(text: str) -> str:
    """`text` without the allowed uses; line numbers stay."""
    for pattern, _reason in ALLOWED:
        text = re.sub(pattern, lambda match: "\n" * match[0].count("\n"), text)
    return text


def retired_words(text: str) -> Iterator[tuple[int, str]]:
    """(line number, word) for each retired word."""
    retired = replacements(RETIRED)
    for number, line in enumerate(without_allowed(text).splitlines(), start=1):
        for word in WORD.findall(line):
            if word.lower() in retired:
                yield number, word.lower()


def retired_identifiers(source: str) -> Iterator[tuple[int, str]]:
    """(line number, word) for each retired word in a name of Python code."""
    retired = replacements(RETIRED_IDENTIFIERS)
    for number, name in identifiers(source):
        words = map(str.lower, WORD.findall(without_allowed(name)))
        yield from ((number, word) for word in words if word in retired)


def identifiers(source: str) -> Iterator[tuple[int, str]]:
    """(line number, name) for each name that this source defines."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name) | ast.ClassDef(name=name):
                yield node.lineno, name
            case ast.alias(asname=str(name)) | ast.ExceptHandler(name=str(name)) | ast.MatchAs(name=str(name)):
                yield node.lineno, name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()) | ast.Attribute(attr=name, ctx=ast.Store()):
                yield node.lineno, name


def findings(path: Path) -> list[str]:
    """One line for each retired word in this file, with the term to use."""
    text = path.read_text(encoding="utf-8")
    found = [(number, word, replacements(RETIRED)[word]) for number, word in retired_words(text)]
    found += [(0, word, replacements(RETIRED)[word]) for _, word in retired_words(path.stem)]
    if path.suffix == ".py":
        in_names = replacements(RETIRED_IDENTIFIERS)
        found += [(number, f"{word} (in a name)", in_names[word]) for number, word in retired_identifiers(text)]
    return [f"{relative(path)}:{number}: {word}. Use: {instead}" for number, word, instead in sorted(set(found))]


@pytest.mark.parametrize("package", sorted({package_of(path) for path in scanned_files()}))
def test_no_retired_word_is_used(package: str) -> None:
    found = [line for path in scanned_files() if package_of(path) == package for line in findings(path)]
    assert not found, "Use the product's terms, or add an honest use to ALLOWED with its reason:\n" + "\n".join(found)


def test_retired_words_are_found_in_identifiers_and_prose() -> None:
    assert [word for _, word in retired_words("reader_count = ReceiptInbox()  # nobody's slots")] == [
        "reader", "receipt", "nobody", "slots",
    ]  # fmt: skip
    assert list(retired_words("A screen reader; @dataclass(slots=True); overflow: hidden; proofreader")) == []
    assert [word for _, word in retired_identifiers("def take_a_look(moment): said = 1")] == ["look", "moment", "said"]
    assert [word for _, word in retired_identifiers("import digest as told")] == ["told"]
    assert list(retired_identifiers("text.look(given=1)  # as it was said")) == []


def test_former_names_are_allowed_where_a_page_lists_them() -> None:
    page = "## Names that changed\n\n| `receipts` | `events` |\n\n## Diagnostics\n\nEach receipt is counted.\n"
    assert list(retired_words(page)) == [(7, "receipt")]
    assert list(retired_words("- Renamed `crew` to\n  `worker` from `pulse`.\n- Fixed the slot.\n")) == [(3, "slot")]


def test_every_allowed_use_and_excluded_path_exists() -> None:
    texts = [path.read_text(encoding="utf-8") for path in scanned_files()]
    assert [use for use, _ in ALLOWED if not any(re.search(use, text) for text in texts)] == []
    assert [
        pattern for pattern, _ in EXCLUDED if not any(re.search(pattern, relative(path)) for path in all_files())
    ] == []


@pytest.mark.parametrize(
    "table", [RETIRED, RETIRED_IDENTIFIERS, ALLOWED, EXCLUDED], ids=["words", "names", "uses", "paths"]
)
def test_every_row_of_a_table_has_an_explanation(table: tuple[tuple[str, str], ...]) -> None:
    assert all(row and explanation for row, explanation in table)
    assert len({row for row, _ in table}) == len(table)
