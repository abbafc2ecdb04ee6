"""Themes: values are read from a folder, and all faults are reported at once."""

from __future__ import annotations

import html
import os
import re
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.content.formats import read_issue
from newsletter.demo.sample import SAMPLES
from newsletter.rendering import RenderingError, Theme, ThemeError, load_theme, pairings, render_issue, theme_names
from newsletter.rendering.palette import contrast
from newsletter.rendering.theme import PLAIN, SHIPPED_THEMES
from newsletter.rendering.theme_check import MAX_SAMPLE_SIZE, check_theme, render_sample_issue
from newsletter.rendering.theme_file import read_theme_file
from tests.newsletter.rendering.digests import MASTHEAD, WEB_URL, write_digest
from tests.newsletter.rendering.sample_issues import shipped_themes
from tests.newsletter.rendering.test_issue import Page

SHIPPED = (SHIPPED_THEMES / "plain" / "theme.toml").read_text(encoding="utf-8")

BLOCK = "<mj-section>\n<mj-column><mj-text>{}</mj-text></mj-column></mj-section>"

MakeTheme = Callable[..., Path]


@pytest.fixture
def make_theme(tmp_path: Path) -> MakeTheme:
    """Writes the theme `own`: plain's theme.toml and the files given; returns the folder of themes."""

    def make(files: dict[str, str] | None = None, *, name: str = "own", toml: str = SHIPPED) -> Path:
        for path, source in {"theme.toml": toml, **(files or {})}.items():
            file = tmp_path / name / path
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(source, encoding="utf-8")
        return tmp_path

    return make


def faults_of(toml: str) -> list[str]:
    with pytest.raises(ThemeError) as caught:
        read_theme_file("own", toml)
    return [str(fault) for fault in caught.value.theme_faults]


def line_of(words: str, source: str = SHIPPED) -> int:
    return source[: source.index(words)].count("\n") + 1


# Shipped themes


@pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
def test_a_shipped_theme_has_no_faults(theme: Theme) -> None:
    assert check_theme(theme.name) == ()


def test_four_themes_are_shipped_and_differ_in_everything_visible() -> None:
    themes = shipped_themes()
    assert [theme.name for theme in themes] == ["gazette", "letter", "plain", "workbench"]
    for values in (
        {theme.density for theme in themes},
        {theme.fonts for theme in themes},
        {theme.light for theme in themes},
        {theme.dark for theme in themes},
        {theme.description for theme in themes},
        {theme.sha256 for theme in themes},
    ):
        assert len(values) == 4


@pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
def test_a_digest_of_31_stories_stays_below_60_kb_in_every_theme(theme: Theme) -> None:
    rendered = render_issue(write_digest(), MASTHEAD, web_url=WEB_URL, theme=theme)
    assert len(rendered.html.encode()) <= 60_000
    assert sum(len(style) for style in re.findall(r"<style.*?</style>", rendered.html, re.DOTALL)) < 8_192


def test_contrast_is_computed_as_in_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.005)  # WebAIM's well-known example
    assert contrast("#123456", "#123456") == 1


@pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
def test_every_text_colour_has_enough_contrast_in_light_and_dark_mode(theme: Theme) -> None:
    found = pairings(theme)
    assert {pairing.what for pairing in found} >= {"quiet on tint, light", "button_text on button, dark"}
    assert {pairing.minimum for pairing in found} == {3.0, 4.5}
    assert [pairing.what for pairing in found if pairing.contrast < pairing.minimum] == []


# theme.toml


def test_omitted_colours_follow_their_defaults() -> None:
    toml = re.sub(r"^(title|line) = .*\n", "", SHIPPED, flags=re.MULTILINE)
    light = read_theme_file("own", toml).light
    assert (light.callout, light.sponsor, light.head, light.button) == (
        light.tint,
        light.paper,
        light.paper,
        light.accent,
    )
    assert (light.title, light.section_rule, light.head_name, light.line) == (
        light.ink,
        light.ink,
        light.ink,
        light.quiet,
    )


def test_a_font_stack_can_be_named_or_listed() -> None:
    toml = SHIPPED.replace('body = "system-sans"', 'body = "\'My Font\', Georgia, serif"\nheading = "mono"')
    fonts = read_theme_file("own", toml).fonts
    assert fonts.body == fonts.label == "'My Font', Georgia, serif"
    assert fonts.heading == "Menlo, Consolas, monospace"


def test_words_of_the_theme_replace_those_of_the_language(make_theme: MakeTheme) -> None:
    toml = SHIPPED + '\n[words]\nsponsor = "Anzeige"\ncontents = "In dieser Ausgabe"\nunsubscribe = "Abbestellen"\n'
    rendered = render_sample_issue(load_theme("own", [make_theme(toml=toml)]))
    for part in (Page(rendered.html).text, rendered.text):
        assert "Anzeige · Boje" in part.replace("\u00a0", " ")
        assert "In dieser Ausgabe" in part
        assert "Abbestellen" in part
        assert "Sponsor" not in part


@pytest.mark.parametrize(
    ("change", "line", "sentence"),
    [
        (
            ('density = "regular"', 'density = "roomy"'),
            "density",
            "“density” is “roomy”, but must be one of these: compact",
        ),
        (
            ('masthead = "start"', 'masthead = "left"'),
            "masthead",
            "“masthead” is “left”, but must be one of",
        ),
        (("radius = 6", "radius = 60"), "radius", "“radius” must be a whole number of pixels from 0 to 24"),
        (("radius = 6", "radius = true"), "radius", "“radius” must be a whole number"),
        (("radius = 6", "raduis = 6"), "radius", "“raduis” is not a key of a theme. The keys are: label, description"),
        (('label = "Plain"', 'label = ""'), "label", "“label” is required"),
        (('body = "system-sans"', 'body = "Comic Sans"'), "body", "“Comic Sans” is not a font stack"),
        (('body = "system-sans"', 'body = "x</style>, serif"'), "body", "is not a font stack"),
        (('body = "system-sans"', 'boddy = "mono"'), "body", "“boddy” is not a key of [fonts]. The keys are: body"),
        (('paper = "#ffffff"', 'paper = "white"'), "paper", "“paper” is “white”. Write a colour as # and six"),
        (('paper = "#ffffff"', 'paper = "#fff"'), "paper", "“paper” is “#fff”"),
        (('paper = "#ffffff"', "paper = 0xffffff"), "paper", "“paper” must be text in quotes"),
        (('paper = "#ffffff"\n', ""), "[light]", "These keys are missing in [light]: paper"),
        (
            ('quiet = "#5c606e"', 'quiet = "#8a8c9e"'),
            "quiet",
            "In [light], the contrast of quiet on paper (#8a",
        ),
        (('line = "#868ba0"', 'line = "#b6bbd0"'), "line = ", "The outline of a button needs at least 3.0"),
        (('title = "#14161c"', 'title = "#a4a6ac"'), "title = ", "In [light], the contrast of title on paper"),
        (
            ('rule = "#e1e3ea"', 'rule = "#e1e3ea"\ncallout = "#4353c4"'),
            "accent = ",
            "In [light], the contrast of ink on callout",
        ),
        (
            ('accent = "#4353c4"', 'accent = "#4353c4"\nbutton = "#dddddd"'),
            "accent",
            "contrast of button_text on",
        ),
        (("[light]", "light = 3\n[lihgt]"), "[light]", "“lihgt” is not a key of a theme"),
    ],
)
def test_a_fault_is_reported_with_its_line(change: tuple[str, str], line: str, sentence: str) -> None:
    toml = SHIPPED.replace(*change, 1)
    faults = faults_of(toml)
    assert any(sentence in fault for fault in faults), faults
    if line != "accent" and "lihgt" not in toml and change[1]:
        assert any(f"theme.toml, line {line_of(line)}: " in fault for fault in faults), faults


def test_all_faults_are_reported_at_once_in_order() -> None:
    toml = SHIPPED.replace("radius = 6", 'radius = "x"').replace('"#15161d"', '"#15161"', 1).replace('"Plain"', "7", 1)
    faults = faults_of(toml)
    assert [fault.partition(":")[0] for fault in faults] == [
        f"theme.toml, line {line_of(words)}" for words in ('label = "P', "radius", 'paper = "#15161d"')
    ]


def test_invalid_toml_is_a_fault_with_its_line() -> None:
    assert faults_of("label = 'a'\n= 3")[0].startswith("theme.toml, line 2: The file is not valid TOML: ")
    assert faults_of("label = 'a") == ['theme.toml: The file is not valid TOML: Expected "\'".']


@given(st.text(alphabet="[]=\"'# \nabclightdrk0123ff-", max_size=200))
def test_any_text_is_a_theme_or_a_list_of_faults(toml: str) -> None:
    assert faults_of(toml)


# Folders of themes


def test_a_theme_of_an_operator_is_listed_after_the_shipped_ones(make_theme: MakeTheme) -> None:
    folder = make_theme()
    assert theme_names([folder]) == ("gazette", "letter", "plain", "workbench", "own")
    theme = load_theme("own", [folder])
    assert (theme.name, theme.is_shipped, theme.needs_limits, theme.folder) == ("own", False, False, None)
    assert theme.light == PLAIN.light


def test_a_theme_cannot_have_the_name_of_a_shipped_one(make_theme: MakeTheme) -> None:
    folder = make_theme(name="plain")
    with pytest.raises(ThemeError, match="There are two themes with this name"):
        load_theme("plain", [folder])


@pytest.mark.parametrize("name", ["gone", "../plain", "/etc", "", ".", "Plain"])
def test_a_missing_theme_is_an_error_that_names_the_others(name: str) -> None:
    with pytest.raises(ThemeError, match="The themes are: gazette, letter, plain, workbench"):
        load_theme(name)


def test_an_edited_theme_is_loaded_without_a_restart(make_theme: MakeTheme) -> None:
    folder = make_theme()
    before = load_theme("own", [folder])
    assert load_theme("own", [folder]) is before
    file = folder / "own" / "theme.toml"
    file.write_text(SHIPPED.replace("#4353c4", "#4453c4"), encoding="utf-8")
    os.utime(file, ns=(0, 0))
    after = load_theme("own", [folder])
    assert after.light.accent == "#4453c4"
    assert after.sha256 != before.sha256


def test_another_theme_gives_another_nonce_and_other_bytes() -> None:
    issues = [render_issue(write_digest(2), MASTHEAD, web_url=WEB_URL, theme=theme) for theme in shipped_themes()]
    assert len({issue.nonce for issue in issues}) == len({issue.html for issue in issues}) == 4


# Templates that were not shipped


def test_own_blocks_and_styles_are_rendered_in_a_child_process(make_theme: MakeTheme) -> None:
    folder = make_theme(
        {
            "blocks/divider.mjml": BLOCK.replace("{}", "<p>~ {{ words.story }} ~</p>"),
            "style.css": "h1 { color: {{ light.accent }} }",
            "head.css": ".own { color: {{ dark.accent }} }",
        }
    )
    theme = load_theme("own", [folder])
    assert theme.needs_limits
    assert check_theme("own", [folder]) == ()
    html = render_sample_issue(theme).html
    assert "~ story ~" in html
    assert re.search(r"<h1[^>]* style=\"[^\"]*color:#4353c4", html)
    assert ".own{color:#9ba8ff}" in html


def test_a_block_that_exceeds_the_limits_is_stopped(make_theme: MakeTheme) -> None:
    folder = make_theme({"blocks/divider.mjml": "{{ 'a' * 10 ** 10 }}"})
    with pytest.raises(RenderingError, match="used more than 256 MB"):
        render_sample_issue(load_theme("own", [folder]), "divider")


def test_every_fault_of_every_block_is_reported_with_file_and_line(make_theme: MakeTheme) -> None:
    folder = make_theme(
        {
            "blocks/quote.mjml": "<mj-section>\n<mj-column>\n<mj-txt>a</mj-txt>\n</mj-column></mj-section>",
            "blocks/button.mjml": "\n<mj-section><mj-column>",
            "blocks/buton.mjml": "",
            "styles.css": "",
        }
    )
    faults = [str(fault) for fault in check_theme("own", [folder])]
    for start in (
        "blocks/quote.mjml, line 3: ",
        "blocks/button.mjml, line 2: ",
        "blocks/buton.mjml: This file is not used",
        "styles.css: This file is not used",
    ):
        assert any(fault.startswith(start) for fault in faults), (start, faults)


def test_faults_that_only_rendering_shows_are_reported_for_each_block(make_theme: MakeTheme) -> None:
    folder = make_theme(
        {
            "blocks/quote.mjml": BLOCK.replace("{}", "{{ section.saidby }}"),
            "blocks/divider.mjml": "{% if %}",
        }
    )
    faults = {fault.file: fault for fault in check_theme("own", [folder])}
    assert faults["blocks/quote.mjml"].line == 2
    assert "there is no “saidby” here" in faults["blocks/quote.mjml"].sentence
    assert faults["blocks/divider.mjml"].line == 1


def test_a_footer_without_unsubscribe_link_is_refused(make_theme: MakeTheme) -> None:
    folder = make_theme({"blocks/footer.mjml": BLOCK.format("Bye")})
    assert any(
        "these placeholders are missing: preferences_url, unsubscribe_url" in str(fault)
        for fault in check_theme("own", [folder])
    )


@pytest.mark.parametrize(
    "css", ["@import 'x.css';", "h1 { background: URL (x.png) }", "@font-face { src: local(x) }", "</style><script>"]
)
def test_styles_that_load_something_are_refused(make_theme: MakeTheme, css: str) -> None:
    folder = make_theme({"style.css": f"h1 {{ margin: 0 }}\n{css}"})
    with pytest.raises(ThemeError, match=r"style\.css, line 2: "):
        load_theme("own", [folder])


def test_rules_that_make_every_issue_too_large_are_refused(make_theme: MakeTheme) -> None:
    css = "p, li, a, td, div { " + "; ".join(f"x-{number}: {'y' * 90}" for number in range(3)) + " }"
    faults = check_theme("own", [make_theme({"style.css": css})])
    assert [f"the maximum is {MAX_SAMPLE_SIZE // 1000} KB" in fault.sentence for fault in faults] == [True]


def test_a_file_that_is_too_large_or_not_text_is_a_fault(make_theme: MakeTheme) -> None:
    folder = make_theme({"style.css": "a" * 70_000})
    assert "larger than 64 KB" in str(check_theme("own", [folder])[0])
    (folder / "own" / "style.css").write_bytes(b"h1 {}\n\xff")
    assert str(check_theme("own", [folder])[0]) == "style.css, line 2: The file is not UTF-8."


def test_an_unreadable_theme_is_a_fault(make_theme: MakeTheme, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> str:
        raise PermissionError(13, "Permission denied")

    folder = make_theme()
    monkeypatch.setattr(Path, "read_text", refuse)
    assert [str(fault) for fault in check_theme("own", [folder])] == [
        "own: The theme cannot be read: Permission denied."
    ]


# Content in every theme


@pytest.mark.parametrize("theme", shipped_themes(), ids=lambda theme: theme.name)
@pytest.mark.parametrize("sample", sorted(SAMPLES.glob("issue-*")), ids=lambda path: path.name)
def test_the_samples_of_the_demo_can_be_rendered_in_every_theme(theme: Theme, sample: Path) -> None:
    known = (SAMPLES / "known-sources.txt").read_text(encoding="utf-8").splitlines()
    content = read_issue(sample.read_text(encoding="utf-8"), known).content
    rendered = render_issue(content, MASTHEAD, web_url=WEB_URL, theme=theme)
    assert len(rendered.html.encode()) <= 70_000
    for story in content.stories():
        assert story.title in html.unescape(rendered.html)
