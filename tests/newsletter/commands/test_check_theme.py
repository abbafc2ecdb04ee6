"""manage.py check_theme: says that all is well, or everything that is not, with file and line."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from newsletter.rendering.theme import SHIPPED_THEMES


@pytest.fixture
def folder(tmp_path: Path, settings: Any) -> Path:
    """A folder of own themes with a copy of Plain in it, under the name lagoon."""
    (tmp_path / "lagoon").mkdir()
    toml = (SHIPPED_THEMES / "plain" / "theme.toml").read_text(encoding="utf-8")
    (tmp_path / "lagoon" / "theme.toml").write_text(toml.replace("Plain", "Lagoon"), encoding="utf-8")
    settings.THEME_FOLDERS = (tmp_path,)
    return tmp_path


def check(*arguments: str) -> str:
    out = StringIO()
    call_command("check_theme", *arguments, stdout=out)
    return out.getvalue()


def test_a_sound_theme_is_said_to_be_and_can_be_looked_at(folder: Path) -> None:
    said = check("lagoon", "--write-preview", str(folder / "look.html"))
    assert said.startswith("Lagoon: nothing to fix.")
    page = (folder / "look.html").read_text(encoding="utf-8")
    assert "Rope by the metre" in page
    assert "Hello reader:" in page
    assert "xqz" not in page


def test_a_faulty_theme_is_named_line_by_line_and_fails(folder: Path) -> None:
    file = folder / "lagoon" / "theme.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("#4353c4", "#8fd6cf"), encoding="utf-8")
    out = StringIO()
    with pytest.raises(CommandError, match=r"cannot be used: 6 to fix") as caught:
        call_command("check_theme", "lagoon", "--write-preview", str(folder / "look.html"), stdout=out)
    assert caught.value.returncode == 1
    lines = out.getvalue().splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["theme.toml, line 17"] * 6
    assert not (folder / "look.html").exists()


def test_a_shipped_theme_can_be_checked_too() -> None:
    assert "nothing to fix" in check("workbench")


def test_a_theme_that_is_not_there_fails_with_those_that_are() -> None:
    with pytest.raises(CommandError):
        check("lost")
