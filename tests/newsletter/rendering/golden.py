"""The HTML of each block in each shipped theme. `make golden` writes the files; review the difference.

A file contains the block alone, after MJML and with its styles inlined, one tag per line.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from newsletter.rendering import Theme, words_for
from newsletter.rendering.compile import compile_mjml
from newsletter.rendering.context import view_issue
from newsletter.rendering.inline import inline_css
from newsletter.rendering.render import RenderRequest, template_context
from newsletter.rendering.templates import block_names, fill_template, stylesheet
from tests.newsletter.rendering.sample_issues import BLOCKS, MASTHEAD, WEB_URL, sample_issue, shipped_themes

FRAGMENTS = ("blocks/heading.mjml", "blocks/story.mjml")
"""HTML in the text of other blocks."""

FOLDER = Path(__file__).parent / "golden"


def goldens() -> Iterator[tuple[Path, str]]:
    """File and content for each block in each shipped theme."""
    for theme in shipped_themes():
        for name in block_names():
            if name not in FRAGMENTS:
                yield FOLDER / theme.name / f"{Path(name).stem}.html", block_html(name, theme)


def block_html(name: str, theme: Theme) -> str:
    """The HTML of one block, as in the body of a mail."""
    content = sample_issue()
    words = words_for(content)
    issue = view_issue(content, date=words.date)
    sections = dict(zip(BLOCKS, issue.sections, strict=True))
    request = RenderRequest(content=content, masthead=MASTHEAD, web_url=WEB_URL, theme=theme, words=words)
    context = template_context(issue, request) | {
        "is_closing": False,
        "section": sections.get(Path(name).stem),
        "unsubscribe_url": "https://slipway.example/unsubscribe",
        "preferences_url": "https://slipway.example/preferences",
    }
    head, block = (fill_template(template, theme, context) for template in ("issue/head.mjml", name))
    if "<mj-section" not in block:
        block = f"<mj-section><mj-column>{block}</mj-column></mj-section>"
    html = compile_mjml(f'<mjml lang="en" dir="ltr">{head}<mj-body width="600px">{block}</mj-body></mjml>')
    body = inline_css(html, stylesheet("style.css", theme, "ltr")).partition("<body")[2]
    return body.partition("</div>")[2].rpartition("</div>")[0].replace("><", ">\n<").strip() + "\n"


if __name__ == "__main__":
    for path, html in goldens():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(html, encoding="utf-8")
