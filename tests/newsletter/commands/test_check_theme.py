"""manage.py check_theme: reports all errors of a theme with file and line."""

from __future__ import annotations

from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from newsletter.preflight.families import check_theme_rendering
from newsletter.rendering.theme import SHIPPED_THEMES, load_theme, theme_names
from newsletter.rendering.theme_check import render_sample_issue


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


def test_a_valid_theme_passes_and_can_be_previewed(folder: Path) -> None:
    output = check("lagoon", "--write-preview", str(folder / "preview.html"))
    assert output.startswith("Lagoon: no errors.")
    page = (folder / "preview.html").read_text(encoding="utf-8")
    assert "Rope by the metre" in page
    assert "Hello reader:" in page
    assert "xqz" not in page


def test_a_theme_with_errors_fails_with_file_and_line(folder: Path) -> None:
    file = folder / "lagoon" / "theme.toml"
    file.write_text(file.read_text(encoding="utf-8").replace("#4353c4", "#8fd6cf"), encoding="utf-8")
    out = StringIO()
    with pytest.raises(CommandError, match=r"cannot be used\. Errors: 5") as caught:
        call_command("check_theme", "lagoon", "--write-preview", str(folder / "preview.html"), stdout=out)
    assert caught.value.returncode == 1
    lines = out.getvalue().splitlines()
    assert [line.partition(": ")[0] for line in lines] == ["theme.toml, line 18"] * 5
    assert not (folder / "preview.html").exists()


def test_a_shipped_theme_can_be_checked_too() -> None:
    assert "no errors" in check("workbench")


def test_an_unknown_theme_fails() -> None:
    with pytest.raises(CommandError):
        check("lost")


def test_hidden_files_and_backups_are_ignored(folder: Path) -> None:
    for name in (".DS_Store", "theme.toml~", ".git/HEAD"):
        (folder / "lagoon" / name).parent.mkdir(exist_ok=True)
        (folder / "lagoon" / name).write_bytes(b"\xff")
    assert check("lagoon").startswith("Lagoon: no errors.")


def test_a_preview_that_cannot_be_written_is_an_error(folder: Path) -> None:
    with pytest.raises(CommandError, match=r"Cannot write the preview to .*No such file"):
        check("lagoon", "--write-preview", str(folder / "nowhere" / "preview.html"))


@pytest.mark.parametrize(
    ("file", "source", "fault"),
    [
        ("style.css", "h2 { color: red\np { color: red }", "style.css, line 1: “{” is never closed."),
        ("head.css", "h2 { color: red }\n\n}", "head.css, line 3: “}” closes no open brace."),
        (
            "style.css",
            "h2 { color: {{ light.nope }} }",
            "style.css, line 1: The template style.css cannot be rendered: there is no “nope” here.",
        ),
        (
            "blocks/divider.mjml",
            "<mj-section><mj-column><mj-text>{{ range(9) }}</mj-text></mj-column></mj-section>",
            "blocks/divider.mjml, line 1: The template blocks/divider.mjml cannot be rendered: functions and methods "
            "cannot be called.",
        ),
        (
            "blocks/footer.mjml",
            "<mj-section><mj-column><mj-text>Bye</mj-text></mj-column></mj-section>",
            "masthead or footer: HTML part: these placeholders are missing: preferences_url, unsubscribe_url. Every "
            "mail needs them.",
        ),
    ],
)
def test_an_error_is_reported_once_with_its_place(folder: Path, file: str, source: str, fault: str) -> None:
    (folder / "lagoon" / "blocks").mkdir()
    (folder / "lagoon" / file).write_text(source, encoding="utf-8")
    out = StringIO()
    with pytest.raises(CommandError, match="Errors: 1"):
        call_command("check_theme", "lagoon", stdout=out)
    assert out.getvalue() == f"{fault}\n"


def test_braces_in_comments_strings_and_jinja_are_ignored(folder: Path) -> None:
    css = "/* } */ h2 { content: \"}\" }\n{% for side in ['{'] %}\n.x { color: {{ light.ink }} }\n{% endfor %}\n"
    (folder / "lagoon" / "style.css").write_text(css, encoding="utf-8")
    assert check("lagoon").startswith("Lagoon: no errors.")


def test_a_theme_with_errors_in_pre_flight_fails(folder: Path) -> None:
    (folder / "lagoon" / "blocks").mkdir()
    footer = (
        '<mj-section><mj-column><mj-text><h4>Bye</h4><a href="/archive">All of it</a> '
        '<a href="{{ preferences_url }}">Preferences</a> <a href="{{ unsubscribe_url }}" style="display:none">Leave</a>'
        "</mj-text></mj-column></mj-section>"
    )
    (folder / "lagoon" / "blocks" / "footer.mjml").write_text(footer, encoding="utf-8")
    out = StringIO()
    with pytest.raises(CommandError, match="Errors: 3"):
        call_command("check_theme", "lagoon", stdout=out)
    lines = out.getvalue().splitlines()
    for line, text in zip(
        lines, ("WARNING: The heading “Bye”", "/archive", "unsubscribe link", "postal address"), strict=True
    ):
        assert text in line


@pytest.mark.parametrize("name", theme_names())
def test_the_shipped_themes_have_no_findings(name: str) -> None:
    assert check_theme_rendering(render_sample_issue(load_theme(name))) == ()
