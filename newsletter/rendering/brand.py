"""The brand of a newsletter in a theme: its accent, paper and fonts become tokens that stay readable. Pure."""

from __future__ import annotations

import colorsys
import hashlib
import re
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace

from newsletter.config.translatable import translatable
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.palette import READABLE, VISIBLE, Pairing, Palette, contrast
from newsletter.rendering.theme import Theme, pairings
from newsletter.rendering.typography import STACKS, Fonts

READABLE_IN_DARK = 7.0
"""The contrast on dark paper of an accent that is made from the light one."""

PAPERS = {
    "white": (("#ffffff", "#f5f6f8", "#e1e3e8"), ("#161719", "#222427", "#393b40")),
    "warm": (("#fbf7ee", "#f3ecdd", "#d8cdb7"), ("#1b1814", "#28241d", "#463f34")),
    "cool": (("#f7f9fc", "#edf1f7", "#d3dae5"), ("#13171e", "#1f252e", "#353d4a")),
}
"""Ready sets of paper, tint and rule, for light and for dark screens."""

_COLOUR = re.compile(r"#[0-9a-f]{6}")
_STEP = 0.01
_BACKGROUNDS = ("paper", "tint", "callout", "sponsor")
_IN_HEAD = ("head_name", "head_title", "head_facts")


@dataclass(frozen=True, slots=True, kw_only=True)
class BrandSettings:
    """What a newsletter changes in its theme. Empty values leave it to the theme."""

    accent: str = ""
    """`#rrggbb` for light screens; links, labels and buttons."""
    accent_dark: str = ""
    """`#rrggbb` for dark screens. Empty: the accent in the same hue, made lighter."""
    is_exact: bool = False
    """Whether colours are used as they were chosen, even where text in them is hard to read."""
    paper: str = ""
    """A key of PAPERS."""
    heading_font: str = ""
    """A key of STACKS, as is `text_font`."""
    text_font: str = ""

    @property
    def is_theme_unchanged(self) -> bool:
        """Whether it leaves everything to the theme."""
        return not any((self.accent, self.accent_dark, self.paper, self.heading_font, self.text_font))


@dataclass(frozen=True, slots=True, kw_only=True)
class AccentUse:
    """What became of an accent. Colours are `#rrggbb`, contrasts 1 to 21."""

    scheme: str
    """light or dark."""
    chosen: str
    """What was chosen; for a dark accent that was not, the light one."""
    used: str
    """What mails and pages show."""
    readable: str
    """The nearest colour in which text is readable: a suggestion, if it is not the chosen one."""
    contrast: float
    """The lowest contrast of the used colour with what it appears on."""
    contrast_chosen: float
    is_made: bool = False
    """Whether it was made from the light one instead of being chosen."""

    @property
    def is_readable(self) -> bool:
        """Whether text in the used colour is readable everywhere."""
        return self.contrast >= READABLE


@dataclass(frozen=True, slots=True)
class BrandedTheme:
    """A theme with the values of a brand, and what became of its accents."""

    theme: Theme
    accents: tuple[AccentUse, ...]


def branded(theme: Theme, brand: BrandSettings) -> BrandedTheme:
    """The theme in this brand. Raises RenderingError for a value that is no colour, paper or font.

    Its hash is another one, so that editions made before do not count as current.
    """
    _check(brand)
    if brand.is_theme_unchanged:
        return BrandedTheme(theme, ())
    light, light_use = _in_brand(theme.light, brand, is_dark=False)
    dark, dark_use = _in_brand(theme.dark, brand, is_dark=True)
    sha256 = hashlib.sha256(repr((theme.sha256, brand)).encode()).hexdigest()
    changed = replace(theme, light=light, dark=dark, fonts=_fonts(theme.fonts, brand), sha256=sha256)
    return BrandedTheme(changed, tuple(use for use in (light_use, dark_use) if use))


def weak_pairings(theme: Theme) -> tuple[Pairing, ...]:
    """The pairs of colours with too little contrast, the weakest first; a theme alone has none."""
    weak = [pairing for pairing in pairings(theme) if pairing.contrast < pairing.minimum]
    return tuple(sorted(weak, key=lambda pairing: pairing.contrast))


def readable(colour: str, backgrounds: Sequence[str], minimum: float = READABLE) -> str:
    """`colour`, made darker on light backgrounds and lighter on dark ones until it has this contrast with each."""
    is_on_light = contrast("#000000", backgrounds[0]) > contrast("#ffffff", backgrounds[0])
    hue, lightness, saturation = colorsys.rgb_to_hls(*_channels(colour))
    end = 0.0 if is_on_light else 1.0
    while _lowest(colour, backgrounds) < minimum and lightness != end:
        lightness = max(end, lightness - _STEP) if is_on_light else min(end, lightness + _STEP)
        colour = _as_hex(colorsys.hls_to_rgb(hue, lightness, saturation))
    return colour


def _check(brand: BrandSettings) -> None:
    for colour in filter(None, (brand.accent, brand.accent_dark)):
        if not _COLOUR.fullmatch(colour):
            sentence = translatable("The brand’s colour “{colour}” is not # and six hexadecimal digits.", colour=colour)
            raise RenderingError(sentence)
    known = {"": "", **PAPERS, **STACKS}
    for name in (brand.paper, brand.heading_font, brand.text_font):
        if name not in known:
            raise RenderingError(translatable("The brand’s paper or font “{name}” does not exist.", name=name))


def _in_brand(palette: Palette, brand: BrandSettings, *, is_dark: bool) -> tuple[Palette, AccentUse | None]:
    if brand.paper:
        palette = _on_paper(palette, PAPERS[brand.paper][is_dark])
    use = _accent_use(palette, brand, is_dark=is_dark)
    return (_with_accent(palette, use.used), use) if use else (palette, None)


def _on_paper(palette: Palette, paper: tuple[str, str, str]) -> Palette:
    """The palette on another paper; the texts of the theme made readable on it."""
    before = (palette.paper, palette.tint, palette.rule)
    moved = dict(zip(before, paper, strict=True))
    palette = Palette(**{key: moved.get(colour, colour) for key, colour in asdict(palette).items()})
    on = _backgrounds(palette)
    texts = {key: readable(getattr(palette, key), on) for key in ("title", "ink", "quiet", "link", "accent")}
    texts |= {key: readable(getattr(palette, key), [palette.head]) for key in _IN_HEAD}
    texts["line"] = readable(palette.line, [palette.paper, palette.tint], VISIBLE)
    texts["button_text"] = readable(palette.button_text, [palette.button])
    return replace(palette, **texts)


def _accent_use(palette: Palette, brand: BrandSettings, *, is_dark: bool) -> AccentUse | None:
    chosen = (brand.accent_dark or brand.accent) if is_dark else brand.accent
    if not chosen:
        return None
    on = _backgrounds(palette)
    is_made = is_dark and not brand.accent_dark
    suggestion = readable(chosen, on)
    if is_made:
        suggestion = readable(suggestion, [palette.paper], READABLE_IN_DARK)
    used = chosen if brand.is_exact and not is_made else suggestion
    return AccentUse(
        scheme="dark" if is_dark else "light",
        chosen=chosen,
        used=used,
        readable=suggestion,
        contrast=_lowest(used, on),
        contrast_chosen=_lowest(chosen, on),
        is_made=is_made,
    )


def _with_accent(palette: Palette, accent: str) -> Palette:
    """The palette with one colour for accent, links and buttons, and for all that the theme shows in its accent."""
    before = {palette.accent, palette.link}
    colours = {key: accent if colour in before else colour for key, colour in asdict(palette).items()}
    if palette.button == palette.paper:  # an outline
        return Palette(**colours | {"button_text": accent})
    return Palette(**colours | {"button": accent, "button_text": _label_on(accent, palette)})


def _label_on(button: str, palette: Palette) -> str:
    """The theme's colour of labels if it is readable on `button`, else the most readable one."""
    labels = (palette.button_text, palette.paper, "#ffffff", palette.title)
    return next(
        (label for label in labels if contrast(label, button) >= READABLE),
        max(labels, key=lambda label: contrast(label, button)),
    )


def _fonts(fonts: Fonts, brand: BrandSettings) -> Fonts:
    """The fonts of the theme; small text follows the text if the theme has one font for both."""
    if brand.text_font:
        body = STACKS[brand.text_font]
        label = body if fonts.label == fonts.body else fonts.label
        heading = body if fonts.heading == fonts.body else fonts.heading
        fonts = replace(fonts, body=body, label=label, heading=heading)
    return replace(fonts, heading=STACKS[brand.heading_font]) if brand.heading_font else fonts


def _backgrounds(palette: Palette) -> tuple[str, ...]:
    return tuple(getattr(palette, name) for name in _BACKGROUNDS)


def _lowest(colour: str, backgrounds: Sequence[str]) -> float:
    return min(contrast(colour, background) for background in backgrounds)


def _channels(colour: str) -> Iterator[float]:
    return (int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5))


def _as_hex(channels: tuple[float, float, float]) -> str:
    return "#" + "".join(f"{round(channel * 255):02x}" for channel in channels)
