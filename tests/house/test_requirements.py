"""docs/requirements.md: every requirement has a number of its own, a rule, a source, and tests that exist."""

from __future__ import annotations

import ast
import difflib
import functools
import re
import subprocess
from collections import Counter
from dataclasses import dataclass

import pytest

from newsletter.config.configuration import PROJECT_ROOT

PAGE = PROJECT_ROOT / "docs" / "requirements.md"
TEST_NAME = re.compile(r"^  - `(?P<path>tests/[\w/]+\.py)::(?P<name>\w+(?:::\w+)?)`$", re.MULTILINE)


@dataclass(frozen=True, slots=True, kw_only=True)
class Requirement:
    """One entry of the page. `tests` are (path, name) pairs; a method is named `Class::method`."""

    number: str
    section: str
    rule: str
    source: str
    tests: tuple[tuple[str, str], ...]


def read_requirements(page: str) -> list[Requirement]:
    """All entries, in the order of the page."""
    requirements: list[Requirement] = []
    for section in page.split("\n## ")[1:]:
        title, _, entries = section.partition("\n")
        requirements += [read_requirement(title, entry) for entry in f"\n{entries}".split("\n### ")[1:]]
    return requirements


def read_requirement(section: str, entry: str) -> Requirement:
    number, _, body = entry.partition("\n")
    rule, _, rest = body.partition("\n- Source:")
    source, _, tests = rest.partition("\n- Tests:\n")
    return Requirement(
        number=number.strip(),
        section=section,
        rule=rule.strip(),
        source=" ".join(source.split()),
        tests=tuple((found["path"], found["name"]) for found in TEST_NAME.finditer(tests)),
    )


REQUIREMENTS = read_requirements(PAGE.read_text(encoding="utf-8"))


@functools.cache
def names_in(path: str) -> frozenset[str]:
    """The names of the tests in this file; none if there is no such file."""
    file = PROJECT_ROOT / path
    if not file.is_file():
        return frozenset()
    names: set[str] = set()
    for node in ast.parse(file.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{method.name}" for method in node.body if isinstance(method, ast.FunctionDef)}
    return frozenset(name for name in names if name.rpartition("::")[2].startswith("test_"))


def missing_test(path: str, name: str) -> str:
    """An error message for a test that does not exist, with the most similar name in its file."""
    similar = difflib.get_close_matches(name, names_in(path), n=1, cutoff=0.0)
    hint = f"the most similar is {similar[0]}" if similar else "the file does not exist or has no tests"
    return f"{path}::{name}: {hint}"


def test_the_page_has_requirements() -> None:
    assert len(REQUIREMENTS) > 100
    assert PAGE.read_text(encoding="utf-8").count("\n### ") == len(REQUIREMENTS)


def test_each_number_is_used_once_and_each_section_has_a_letter() -> None:
    numbers = Counter(requirement.number for requirement in REQUIREMENTS)
    assert not [number for number, count in numbers.items() if count > 1], "Give each requirement a number of its own."
    assert not [number for number in numbers if not re.fullmatch(r"[A-Z]-[1-9]\d*", number)]
    letters = {(requirement.section, requirement.number[0]) for requirement in REQUIREMENTS}
    assert len(letters) == len({section for section, _ in letters}) == len({letter for _, letter in letters})


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: str(requirement.number))
def test_each_requirement_has_a_rule_a_source_and_tests_that_exist(requirement: Requirement) -> None:
    assert requirement.rule, "State the rule in plain words."
    assert requirement.source, "Name the standard, law or documentation that demands it, or write: Design"
    assert requirement.tests, "Name at least one test that enforces it."
    assert len(set(requirement.tests)) == len(requirement.tests), "Name each test once."
    missing = [missing_test(path, name) for path, name in requirement.tests if name not in names_in(path)]
    assert not missing, "Correct these names in docs/requirements.md."


def test_every_line_below_tests_names_a_test() -> None:
    lines = re.findall(r"^  - .*$", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    assert not [line for line in lines if not TEST_NAME.fullmatch(line)], "Write: `tests/path/test_x.py::test_name`"


def test_no_text_cites_a_number_of_another_list() -> None:
    found = subprocess.run(
        ["git", "grep", "-nIE", r"\bR-[0-9]+", "--", ".", ":!*.lock", ":!*package-lock.json"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    # Status 1: nothing found. Any other status is a finding or a failure of git.
    assert (found.returncode, found.stdout) == (1, ""), "State the rule with its source, or link to requirements.md."
