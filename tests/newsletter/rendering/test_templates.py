"""Templates: a missing value or a broken template stops an issue before the first mail."""

from __future__ import annotations

from pathlib import Path

import pytest

from newsletter.rendering import templates
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.palette import DARK, LIGHT, Palette
from newsletter.rendering.templates import environment, fill_template, stylesheet, templates_digest


@pytest.fixture
def own_templates(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(templates, "environment", lambda: environment(tmp_path))
    return tmp_path


def test_a_missing_value_is_an_error_and_not_a_hole(own_templates: Path) -> None:
    (own_templates / "a.mjml").write_text("Dear {{ nme }}")
    with pytest.raises(RenderingError, match=r"a\.mjml cannot be filled: 'nme' is undefined"):
        fill_template("a.mjml", {"name": "Ada"})


def test_a_broken_template_is_an_error_with_its_line(own_templates: Path) -> None:
    (own_templates / "broken.mjml").write_text("a\nb\n{% if x %}\n{% endfor %}")
    with pytest.raises(RenderingError, match=r"broken\.mjml is faulty: .*endfor") as caught:
        fill_template("broken.mjml", {})
    assert caught.value.line == 4


def test_a_template_that_does_not_exist_is_an_error(own_templates: Path) -> None:
    with pytest.raises(RenderingError, match=r"gone\.mjml cannot be filled"):
        fill_template("gone.mjml", {})


def test_values_are_escaped_in_mjml_and_not_in_text(own_templates: Path) -> None:
    (own_templates / "a.mjml").write_text("{{ x }}")
    (own_templates / "a.txt").write_text("{{ x }}")
    assert fill_template("a.mjml", {"x": "<a>"}) == "&lt;a&gt;"
    assert fill_template("a.txt", {"x": "<a>"}) == "<a>"


def test_a_value_is_not_run_as_a_template(own_templates: Path) -> None:
    (own_templates / "a.txt").write_text("{{ x }}")
    assert fill_template("a.txt", {"x": "{{ 7*7 }}"}) == "{{ 7*7 }}"


def test_a_changed_template_changes_the_digest_that_nonces_are_made_of(tmp_path: Path) -> None:
    digests: list[bytes] = []
    for name, source in (("a", "x"), ("b", "x"), ("b", "y")):
        folder = tmp_path / str(len(digests))
        folder.mkdir()
        (folder / name).write_text(source)
        digests.append(templates_digest(folder))
    assert len(set(digests)) == 3


def test_stylesheets_have_no_remark_left_and_nothing_unfilled() -> None:
    css = stylesheet("issue/style.css")
    assert "/*" not in css
    assert "{{" not in css
    assert LIGHT.link in css
    assert DARK.link in css


def _luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    channels = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4 for value in channels]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    lighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
@pytest.mark.parametrize("ground", ["paper", "tint"])
@pytest.mark.parametrize("text", ["ink", "quiet", "link", "accent"])
def test_every_text_colour_can_be_read_on_every_ground(palette: Palette, ground: str, text: str) -> None:
    assert _contrast(getattr(palette, text), getattr(palette, ground)) >= 4.5
