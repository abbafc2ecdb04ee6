"""House rules as tests; each failure says what to do."""

from __future__ import annotations

import ast
import itertools
import re
import subprocess
from pathlib import Path

import pytest
from django.core.management import call_command

from newsletter.configuration import PROJECT_ROOT
from newsletter.models import TRANSITIONS, IssueStatus

README = (PROJECT_ROOT / "README.md").read_text(encoding="utf-8")
PACKAGES = ("newsletter", "subscribers")
BANNED_NAMES = {"utils", "helpers", "manager", "managers", "services", "common", "misc"}


def modules() -> list[Path]:
    return [
        path
        for package in (*PACKAGES, "tests")
        for path in (PROJECT_ROOT / package).rglob("*.py")
        if "migrations" not in path.parts
    ]


def named(path: Path) -> str:
    return str(path.relative_to(PROJECT_ROOT))


def test_the_folder_map_of_the_readme_names_what_is_there_and_all_of_it() -> None:
    mapped = set(re.findall(r"^\| `([a-z_./]+)` \|", README, re.MULTILINE))
    rooms = {
        f"newsletter/{path.name}/"
        for path in (PROJECT_ROOT / "newsletter").iterdir()
        if (path / "__init__.py").exists()
    }
    rooms -= {"newsletter/migrations/"}
    expected = rooms | {"newsletter/worker.py", "subscribers/", "templates/", "tests/"}
    assert mapped == expected, "Bring the folder map in README.md in line with the folders."


def test_the_states_in_the_readme_are_the_arrows_of_the_table() -> None:
    row = next(line for line in README.splitlines() if line.startswith("| issue |"))
    arrows: set[tuple[str, str]] = set()
    for part in row.split("|")[2].replace("`", "").split("·"):
        stops = [[name.strip() for name in stop.split(",")] for stop in re.split(r"→|⇄", part)]
        for sources, targets in itertools.pairwise(stops):
            arrows |= {(source, target) for source in sources for target in targets}
            if "⇄" in part:
                arrows |= {(target, source) for source in sources for target in targets}
    # Send now skips the schedule; the picture shows the usual way.
    drawn = arrows | {("draft", "sending")}
    assert drawn == {(source, target) for source in IssueStatus.values for target in TRANSITIONS[source]}


def test_every_command_that_the_readme_shows_exists() -> None:
    commands = set(re.findall(r"manage\.py ([a-z_]+)", README)) - {"migrate", "createsuperuser"}
    present = {path.stem for path in (PROJECT_ROOT / "newsletter/management/commands").glob("[a-z]*.py")}
    assert commands <= present
    targets = set(re.findall(r"^([a-z-]+):", (PROJECT_ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"^make ([a-z-]+)", README, re.MULTILINE)) <= targets


def test_every_module_says_in_its_first_line_what_lives_there() -> None:
    silent = [
        named(path)
        for path in modules()
        if path.read_text(encoding="utf-8").strip()
        and not ast.get_docstring(ast.parse(path.read_text(encoding="utf-8")))
    ]
    assert not silent, "Give each of these a docstring that says in one line what lives there."


def test_no_module_is_a_drawer_for_odds_and_ends() -> None:
    assert not [named(path) for path in modules() if path.stem in BANNED_NAMES], "Name it after what lives there."


def test_modules_stay_one_room_each() -> None:
    rooms = [path for path in modules() if path.relative_to(PROJECT_ROOT).parts[0] != "tests"]
    large = [named(path) for path in rooms if len(path.read_text(encoding="utf-8").splitlines()) > 450]
    assert not large, "Split these by what they are about."


@pytest.mark.django_db
def test_the_models_have_their_migrations() -> None:
    call_command("makemigrations", "--check", "--dry-run", verbosity=0)


@pytest.mark.parametrize("name", ["base", "dev"])
def test_the_pins_have_hashes_and_name_no_index(name: str) -> None:
    text = (PROJECT_ROOT / f"requirements/{name}.txt").read_text()
    pins = re.findall(r"^[a-z0-9_.\[\]-]+==", text, re.MULTILINE | re.IGNORECASE)
    assert len(pins) > 20
    assert len(pins) == len(re.findall(r"==[^\n]*\\\n\s+--hash=sha256:", text)), "Run: make lock"
    assert "://" not in text
    assert "index-url" not in text


def test_every_direct_dependency_is_pinned() -> None:
    wanted = re.findall(r"^([a-z0-9-]+)", (PROJECT_ROOT / "requirements/base.in").read_text(), re.MULTILINE)
    pinned = (PROJECT_ROOT / "requirements/base.txt").read_text()
    assert not [name for name in wanted if not re.search(rf"^{name}(\[.*\])?==", pinned, re.MULTILINE)], (
        "Run: make lock"
    )


def test_no_tracked_file_names_a_path_of_somebodys_machine() -> None:
    tracked = subprocess.run(
        ["git", "grep", "-lIE", r"(/home/[a-z]+/|/Users/[A-Za-z]+/)", "--", ".", ":!tests/house"],
        cwd=PROJECT_ROOT,
        capture_output=True,
        text=True,
    )
    assert tracked.stdout == ""
