"""Our whole rendering, from Markdown to both checked parts, compared with the official MJML compiler alone.

Both run in turns and are measured in CPU time. The official compiler (npm, pinned) is a warm process, and sending
documents to it is not measured. It renders two documents: the MJML that our blocks make, which is lean (all
stories of a section in one mj-text, so that there are few components), and the same stories as MJML is commonly
written, with a section for each.
"""

from __future__ import annotations

import math
import resource
import shutil
import statistics
import subprocess
from collections.abc import Callable
from html import escape

from newsletter.content.document import IssueContent
from newsletter.rendering import render_issue
from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.render import write_mjml
from tests.benchmarks.freeze import anew
from tests.benchmarks.rows import Row, cpu_seconds
from tests.fidelity.official import HERE, OfficialCompiler, missing, official_compiler
from tests.newsletter.rendering.digests import MASTHEAD, WEB_URL, write_digest

RUNS = 15
WARMING = 5
SAMPLE = 31
SIZES = (SAMPLE, 10, 40, 100)
GOAL = ">= 3"


def measure() -> list[Row]:
    """CPU milliseconds of both for the sample and for 10, 40 and 100 stories, and how many times faster ours is."""
    if missing():
        return [Row(f"official MJML compiler: {missing()}", math.nan, "")]
    with official_compiler() as official:
        rows = [row for size in SIZES for row in _compare(official, size)]
    return [*rows, *_compare_with_command()]


def _compare(official: OfficialCompiler, size: int) -> list[Row]:
    content = write_digest(size)
    turns = range(WARMING + RUNS)
    ours, compiling, lean, common = (
        statistics.median(times[WARMING:])
        for times in zip(*(_one_turn(official, anew(content, turn)) for turn in turns), strict=True)
    )
    name = f"{size} stories"
    return [
        Row(f"{name}: our whole freeze", ours, "ms CPU"),
        Row(f"{name}: official compiler, our MJML", lean, "ms CPU"),
        Row(f"{name}: official compiler, a section per story", common, "ms CPU"),
        Row(f"{name}: our compiler, a section per story", compiling, "ms CPU"),
        Row(f"{name}: our freeze is faster, our MJML", lean / ours, "x", GOAL),
        Row(f"{name}: our freeze is faster, a section per story", common / ours, "x", GOAL),
        Row(f"{name}: our compiler is faster, a section per story", common / compiling, "x", GOAL),
    ]


def _one_turn(official: OfficialCompiler, content: IssueContent) -> tuple[float, float, float, float]:
    """Milliseconds: our freeze, our compiler on common MJML, the official one on our MJML and on common MJML."""
    lean, common = write_mjml(content, MASTHEAD, web_url=WEB_URL), section_for_each_story(content)
    other = anew(content, -1)  # so that the cache of write_mjml does not help
    ours = cpu_seconds(lambda: render_issue(other, MASTHEAD, web_url=WEB_URL)) * 1e3
    compiling = cpu_seconds(lambda: compile_mjml(common)) * 1e3
    return ours, compiling, official.compile(lean).cpu_ms, official.compile(common).cpu_ms


def section_for_each_story(content: IssueContent) -> str:
    """The issue as MJML is commonly written: a section per story, and a component for each part of it."""
    stories = (story for section in content.sections for story in section.stories)
    sections = "".join(
        '<mj-section padding="0px"><mj-column>'
        f'<mj-text font-size="18px"><a href="{escape(story.url)}">{escape(story.title)}</a></mj-text>'
        f'<mj-text color="#5a5c6e">{escape(story.source)}</mj-text><mj-text>{escape(story.body)}</mj-text>'
        "</mj-column></mj-section>"
        for story in stories
    )
    return f"<mjml><mj-head><mj-title>{escape(content.title)}</mj-title></mj-head><mj-body>{sections}</mj-body></mjml>"


def _compare_with_command() -> list[Row]:
    """The official compiler as a command per issue, for programs that do not keep a process of it warm."""
    source = write_mjml(write_digest(SAMPLE), MASTHEAD, web_url=WEB_URL)
    node = shutil.which("node") or "node"
    command = [node, str(HERE / "node_modules" / "mjml" / "bin" / "mjml"), "--stdin", "--stdout"]

    def compile_once() -> None:
        subprocess.run(command, input=source.encode(), check=True, capture_output=True)

    taken = statistics.median(_cpu_of_children(compile_once) for _ in range(3)) * 1e3
    return [Row(f"{SAMPLE} stories: official compiler as a command", taken, "ms CPU")]


def _cpu_of_children(step: Callable[[], object]) -> float:
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    step()
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
