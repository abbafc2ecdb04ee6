"""Everything that is wrong with a theme, at once: each file, and each block of a sample_issue rendered through it."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import TypeAdapter

from newsletter.rendering.errors import RenderingError
from newsletter.rendering.issue import render_here
from newsletter.rendering.limited_process import run_limited
from newsletter.rendering.render import as_json, render_issue
from newsletter.rendering.sample_issue import BLOCKS, MASTHEAD, WEB_URL, alone, sample_issue
from newsletter.rendering.shapes import RenderedIssue
from newsletter.rendering.templates import block_names
from newsletter.rendering.theme import Theme, folder_of, load_theme, unread_files
from newsletter.rendering.theme_file import ThemeError, ThemeFault
from newsletter.rendering.validate import validate_template

SAMPLE_ISSUE_LIMIT = 60_000
"""Octets that the sample_issue may have: with more, a digest of thirty stories would come near Gmail's cut."""

_THEME = TypeAdapter(Theme)
_FAULTS = TypeAdapter(tuple[ThemeFault, ...])
_TEMPLATE = re.compile(r"The template (\S+) ")


def check_theme(name: str, folders: Sequence[Path] = ()) -> tuple[ThemeFault, ...]:
    """All faults of the theme `name`, file by file; empty when every block can be sent in it."""
    try:
        unread = tuple(_unread(folder_of(name, folders)))
        theme = load_theme(name, folders)
    except ThemeError as error:
        return error.theme_faults
    return (*unread, *_template_faults(theme)) or tuple(_sample_issue_faults(theme))


def render_sample_issue(theme: Theme, block: str = "") -> RenderedIssue:
    """The issue with every block, or with one, as the theme looks. Raises RenderingError."""
    content = alone(block) if block else sample_issue()
    return render_issue(content, MASTHEAD, web_url=WEB_URL, theme=theme)


def _unread(folder: Path) -> Iterator[ThemeFault]:
    blocks = block_names()
    read = f"theme.toml, style.css, head.css, {', '.join(blocks)}"
    for name in unread_files(folder, blocks):
        yield ThemeFault(name, None, f"Nothing reads this file. A theme may have {read}.")


def _template_faults(theme: Theme) -> Iterator[ThemeFault]:
    for name, source in theme.sources:
        if name.endswith(".mjml"):
            yield from (ThemeFault(name, fault.line, f"{fault.sentence}.") for fault in validate_template(source))


def _sample_issue_faults(theme: Theme) -> Iterator[ThemeFault]:
    """What the whole sample_issue shows; where it fails, what each block does by itself, so that none hides the next."""
    try:
        weight = len(render_sample_issue(theme).html.encode())
    except RenderingError as error:
        yield from _faults_by_block(theme) or [_fault_of(error, "all blocks")]
        return
    if weight > SAMPLE_ISSUE_LIMIT:
        yield ThemeFault(
            "style.css",
            None,
            f"The sample_issue has {weight / 1000:.0f} KB and may have {SAMPLE_ISSUE_LIMIT // 1000}. Rules are written into "
            "every element that they mean: use fewer.",
        )


def _faults_by_block(theme: Theme) -> tuple[ThemeFault, ...]:
    if not theme.needs_limits:
        return _try_blocks(theme, render_here)
    try:
        return _FAULTS.validate_json(run_limited(try_blocks, as_json(theme)))
    except RenderingError:  # one of them takes too much: each in a child of its own tells which
        return _try_blocks(theme, render_issue)


def try_blocks(theme: bytes) -> bytes:
    """What a child does with a theme as JSON: the faults of its blocks, as JSON."""
    return as_json(_try_blocks(_THEME.validate_json(theme), render_here))


def _try_blocks(theme: Theme, render: Callable[..., RenderedIssue]) -> tuple[ThemeFault, ...]:
    """Each block by itself; a fault that shows in several is named once."""
    found: dict[str, list[ThemeFault]] = defaultdict(list)
    for name in BLOCKS:
        try:
            render(alone(name), MASTHEAD, web_url=WEB_URL, theme=theme)
        except RenderingError as error:
            found[str(error)].append(_fault_of(error, name))
    return tuple(_named_once(faults) for faults in found.values())


def _named_once(faults: list[ThemeFault]) -> ThemeFault:
    """One fault for several blocks; what shows with each of them is a fault of what every issue has around them."""
    first = faults[0]
    is_around = len(faults) == len(BLOCKS) and first.file in BLOCKS
    return replace(first, file="masthead or footer") if is_around else first


def _fault_of(error: RenderingError, block: str) -> ThemeFault:
    """The fault with its file and line, which the sentence then need not say once more."""
    named = _TEMPLATE.match(str(error))
    if named is None:
        return ThemeFault(block, None, str(error))
    return ThemeFault(named[1], error.line, str(error).removesuffix(f" (line {error.line})"))
