"""Validation of a theme: each of its files, and each block of the sample issue rendered with it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import orjson
from pydantic import TypeAdapter

from newsletter.config.translatable import from_data, to_data, translatable
from newsletter.content.document import IssueContent
from newsletter.rendering.errors import RenderingError
from newsletter.rendering.limited_process import run_limited
from newsletter.rendering.render import RenderRequest, as_json, render_in_process, render_issue
from newsletter.rendering.sample_issue import BLOCKS, MASTHEAD, WEB_URL, sample_issue, single_block_issue
from newsletter.rendering.shapes import RenderedIssue
from newsletter.rendering.templates import block_names
from newsletter.rendering.theme import Theme, folder_of, load_theme, unread_files
from newsletter.rendering.theme_file import ThemeError, ThemeFault
from newsletter.rendering.validate import validate_template
from newsletter.rendering.words import words_for

MAX_SAMPLE_SIZE = 60_000
"""Octets of the rendered sample issue: with more, a digest of thirty stories would come close to Gmail's limit."""

_THEME = TypeAdapter(Theme)


def check_theme(name: str, folders: Sequence[Path] = ()) -> tuple[ThemeFault, ...]:
    """All faults of the theme `name`, file by file; empty if every block can be sent with it."""
    try:
        unread = tuple(_unread(folder_of(name, folders)))
        theme = load_theme(name, folders)
    except ThemeError as error:
        return error.theme_faults
    return (*unread, *_template_faults(theme)) or tuple(_sample_faults(theme))


def render_sample_issue(theme: Theme, block: str = "") -> RenderedIssue:
    """The sample issue with all blocks, or with one. Raises RenderingError."""
    content = single_block_issue(block) if block else sample_issue()
    return render_issue(content, MASTHEAD, web_url=WEB_URL, theme=theme)


def _unread(folder: Path) -> Iterator[ThemeFault]:
    blocks = block_names()
    files = ", ".join(("theme.toml", "style.css", "head.css", *blocks))
    for name in unread_files(folder, blocks):
        yield ThemeFault(
            name, None, translatable("This file is not used. The files of a theme are: {files}.", files=files)
        )


def _template_faults(theme: Theme) -> Iterator[ThemeFault]:
    for name, source in theme.sources:
        if name.endswith(".mjml"):
            yield from (ThemeFault(name, fault.line, fault.sentence) for fault in validate_template(source))


def _sample_faults(theme: Theme) -> Iterator[ThemeFault]:
    """Faults of the whole sample issue. If it cannot be rendered, those of each block, so that none hides another."""
    try:
        size = len(render_sample_issue(theme).html.encode())
    except RenderingError as error:
        yield from _faults_by_block(theme) or [_fault_of(error, "all blocks")]
        return
    if size > MAX_SAMPLE_SIZE:
        sentence = translatable(
            "The sample issue has {size} KB; the maximum is {limit} KB. Each rule is written into every element that "
            "it matches. Use fewer rules.",
            size=round(size / 1000),
            limit=MAX_SAMPLE_SIZE // 1000,
        )
        yield ThemeFault("style.css", None, sentence)


def _faults_by_block(theme: Theme) -> tuple[ThemeFault, ...]:
    if not theme.needs_limits:
        return _try_blocks(theme, _render_here)
    try:
        found = orjson.loads(run_limited(try_blocks, as_json(theme)))
    except RenderingError:  # a block exceeds the limits: a child process for each block tells which one
        return _try_blocks(theme, _render_limited)
    return tuple(ThemeFault(file, line, from_data(sentence)) for file, line, sentence in found)


def try_blocks(theme: bytes) -> bytes:
    """The job of the child process: a theme as JSON in, the faults of its blocks as JSON out."""
    faults = _try_blocks(_THEME.validate_json(theme), _render_here)
    return as_json([(fault.file, fault.line, to_data(fault.sentence)) for fault in faults])


def _render_here(content: IssueContent, theme: Theme) -> RenderedIssue:
    words = words_for(content)
    return render_in_process(
        RenderRequest(content=content, masthead=MASTHEAD, web_url=WEB_URL, theme=theme, words=words)
    )


def _render_limited(content: IssueContent, theme: Theme) -> RenderedIssue:
    return render_issue(content, MASTHEAD, web_url=WEB_URL, theme=theme)


def _try_blocks(theme: Theme, render: Callable[[IssueContent, Theme], RenderedIssue]) -> tuple[ThemeFault, ...]:
    """The faults of each block on its own; a fault that several blocks show is reported once."""
    found: dict[str, list[ThemeFault]] = defaultdict(list)
    for name in BLOCKS:
        try:
            render(single_block_issue(name), theme)
        except RenderingError as error:
            found[str(error)].append(_fault_of(error, name))
    return tuple(_reported_once(faults) for faults in found.values())


def _reported_once(faults: list[ThemeFault]) -> ThemeFault:
    """One fault for several blocks. What every block shows is a fault of the masthead or the footer."""
    first = faults[0]
    is_around = len(faults) == len(BLOCKS) and first.file in BLOCKS
    return replace(first, file="masthead or footer") if is_around else first


def _fault_of(error: RenderingError, block: str) -> ThemeFault:
    if error.template:
        return ThemeFault(error.template, error.line, error.message)
    return ThemeFault(block, None, error.args[0])
