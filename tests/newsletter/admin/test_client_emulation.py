"""Client emulation: each client changes only what it is about and leaves every other byte."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.admin.client_emulation import in_dark, in_forced_dark, in_light, invert_colour, without_images

HEAD = '<head><meta name="color-scheme" content="light dark"><style>%s</style></head>'
AUTHORED = HEAD % ":root{color-scheme:light dark} @media (prefers-color-scheme: dark) { p { color: #eeeeee } }"

colours = st.integers(0, 0xFFFFFF).map(lambda number: f"#{number:06x}")


def luminance(colour: str) -> float:
    linear = []
    for place in (1, 3, 5):
        part = int(colour[place : place + 2], 16) / 255
        linear.append(part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4)
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_dark_mode_rules_apply_on_dark_screens_only() -> None:
    assert "@media all {" in in_dark(AUTHORED)
    assert "@media not all {" in in_light(AUTHORED)
    assert "@media not all {" in in_forced_dark(AUTHORED)
    for emulate, scheme in ((in_dark, "dark"), (in_light, "light"), (in_forced_dark, "dark")):
        shown = emulate(AUTHORED)
        assert f'content="{scheme}"' in shown
        assert f"color-scheme:{scheme}}}" in shown
        assert "prefers-color-scheme" not in shown


@pytest.mark.parametrize(
    ("authored", "forced"),
    [
        ('<p style="color:#000000;background:#ffffff">', '<p style="color:#ffffff;background:#141414">'),
        ('<td bgcolor="#fff">', '<td bgcolor="#141414">'),
        ("<style>p{color:black}</style>", "<style>p{color:#ffffff}</style>"),
        ('<p style="color:rgb(0, 0, 0)">', '<p style="color:rgb(255,255,255)">'),
        ('<p style="color:rgba(0,0,0,.5)">', '<p style="color:rgba(255,255,255,.5)">'),
    ],
)
def test_forced_dark_inverts_every_colour(authored: str, forced: str) -> None:
    assert in_forced_dark(authored) == forced


@pytest.mark.parametrize(
    "kept",
    [
        '<p style="white-space:nowrap">Pull request #123456 is white</p>',
        '<a href="https://a.example/#abcdef">#fff</a>',
        "<style>.black{margin:0} #abc123x{margin:0}</style>",
        '<img src="https://a.example/white.png" alt="black #000">',
        '<p style="background:transparent">&#123456;</p>',
    ],
)
def test_text_urls_and_images_are_not_changed(kept: str) -> None:
    assert in_forced_dark(kept) == kept


@given(colours)
def test_light_colours_become_dark_and_grey_stays_grey(colour: str) -> None:
    inverted = invert_colour(colour)
    assert re.fullmatch(r"#[0-9a-f]{6}", inverted)
    if luminance(colour) > 0.8:
        assert luminance(inverted) < 0.35
    if len({colour[1:3], colour[3:5], colour[5:7]}) == 1:
        assert len({inverted[1:3], inverted[3:5], inverted[5:7]}) == 1


def test_without_images_their_descriptions_are_shown() -> None:
    image = '<img src="https://a.example/a.png" alt="A &quot;crane&quot; &lt;b&gt;" width="120" style="border:0;">'
    shown = without_images(f'<a href="https://a.example/">{image}</a>')
    assert "<img" not in shown
    assert "a.png" not in shown
    assert ">A &quot;crane&quot; &lt;b&gt;</span></a>" in shown
    assert "border:0;width:120px;" in shown


def test_an_image_without_description_leaves_nothing_and_no_background_is_fetched() -> None:
    assert without_images('<img src="https://a.example/a.png" alt="">') == ""
    assert without_images('<img src="https://a.example/a.png">') == ""
    ground = '<td background="https://a.example/g.png" style="background:#fff url(https://a.example/g.png)">'
    assert without_images(ground) == '<td style="background:#fff ">'


def test_links_open_in_new_tabs() -> None:
    for emulate in (in_light, in_dark, in_forced_dark, without_images):
        assert emulate("<head></head>") == '<head><base target="_blank"></head>'
