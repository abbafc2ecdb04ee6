"""A sample issue with every block, for previewing and checking themes."""

from __future__ import annotations

import datetime

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.rendering.shapes import Masthead, RenderedIssue

PICTURE = "https://pictures.example/slipway.png"
"""The host does not exist: mail programs show the image's description instead."""

MASTHEAD = Masthead(
    name="The Slipway",
    site_url="https://slipway.example/",
    archive_url="https://slipway.example/issues/",
    postal_address="Slipway Press\n4 Boat Lane\nKinsale P17 XX00, Ireland",
    sender_name="Cleo at The Slipway",
    description="Small boats, mended well.",
    reply_to="cleo@slipway.example",
    subscribe_url="https://slipway.example/subscribe/",
    feed_url="https://slipway.example/feed.atom",
)
WEB_URL = "https://slipway.example/issues/12/"

STORIES = (
    StoryContent(
        title="A plank steamed for an hour bends without a crack",
        url="https://news.example/steam",
        source="Timber Notes",
        body="Three yards timed it with the same oak. The rule of *an hour for each inch* held, but **only for green "
        "wood**: what had dried for a year broke at the second rib.",
        image=PICTURE,
        alt="A plank bent over a steam box",
    ),
    StoryContent(
        title="The quiet return of the copper rivet",
        url="https://news.example/rivet",
        source="Quayside",
        body="Glue is quicker, and nobody can take it apart. A rivet costs a minute and lasts as long as the boat; "
        "see the [table of sizes](https://news.example/sizes), or measure with `gauge --metric`.",
    ),
    StoryContent(
        title="What a hundred soaked screws taught one chandler",
        source="The Locker",
        body="Two summers in a bucket of harbour water, a label on each. Bronze came out as it went in."
        "\n\nThe cheapest steel left only its label.",
    ),
    StoryContent(
        title="A seat that comes out without tools",
        url="https://news.example/seat",
        body="Two wedges hold it, and the swell drives them home.",
    ),
    StoryContent(
        title="Tar, and who still boils it",
        url="https://news.example/tar",
        source="Timber Notes",
        body="Four kilns are left on the coast. One takes visitors in May, and sells what they stirred.",
    ),
)
BRIEF = (
    StoryContent(title="The ferry berth is dredged in June", url="https://news.example/berth", source="Quayside"),
    StoryContent(title="Two moorings are free at the north pier", url="https://news.example/pier"),
    StoryContent(title="The sail loft looks for an apprentice", source="The Locker"),
)

BLOCKS = {
    "lead": SectionContent(
        title="Worth knowing first",
        body="Hello {first_name|reader}: the old slip at Kinsale is open again, and **anybody may haul out for a day** "
        "at no cost. Bring [your own blocks](https://slipway.example/blocks); theirs are spoken for until June.",
    ),
    "contents": SectionContent(kind=SectionKind.CONTENTS),
    "stories": SectionContent(title="From the yards", body="Two that we tried ourselves.", stories=STORIES),
    "brief": SectionContent(title="In brief", stories=BRIEF),
    "callout": SectionContent(
        kind=SectionKind.CALLOUT,
        title="Tides to mind",
        body="Springs on the 14th: the slip is dry from *ten to noon* only. [The whole table](https://slipway.example/t).",
    ),
    "quote": SectionContent(
        kind=SectionKind.QUOTE,
        body="A boat is never finished, only launched.",
        source="Ines, boatbuilder",
        url="https://slipway.example/ines",
    ),
    "image": SectionContent(
        kind=SectionKind.IMAGE,
        image=PICTURE,
        alt="A blue rowing boat on the slip at low water",
        body="The *Marguerite*, hauled out on Sunday.",
        url="https://slipway.example/marguerite",
    ),
    "text": SectionContent(
        title="How we mend a seam",
        body="Rake it, dry it, drive the cotton, and pay it with putty:\n\n- two strands, never one\n- from the keel up"
        "\n\n> Drive until it rings.\n\n### Afterwards\n\n1. Wait a day.\n2. Paint.\n\n"
        "```\nseam = length * 1.2\n```\n\n---\n\nThen launch.",
    ),
    "divider": SectionContent(kind=SectionKind.DIVIDER),
    "button": SectionContent(
        kind=SectionKind.BUTTON, title="Book a day on the slip", url="https://slipway.example/book?a=1&b=2"
    ),
    "links": SectionContent(
        kind=SectionKind.LINKS,
        title="Also read",
        body="- [Varnish in damp weather](https://news.example/varnish) – wait\n- [Oars, measured](https://news.example/oars)",
    ),
    "sponsor": SectionContent(
        kind=SectionKind.SPONSOR,
        source="Boje & Daughters",
        title="Rope by the metre",
        url="https://rope.example/",
        body="Hemp, flax and the modern kinds, cut while you wait. *Readers pay no postage.*",
        image=PICTURE,
        alt="Coils of rope on a shelf",
    ),
}
"""A section for each block, without masthead, heading, story and footer, which every issue has; `brief` has stories
without text."""


def sample_issue(*names: str) -> IssueContent:
    """An issue with the blocks `names` in this order; with all blocks if there are no names."""
    return IssueContent(
        title="Seams, steam and a slip",
        slug="12",
        date=datetime.date(2026, 5, 14),
        subject="Seams, steam and a slip",
        preheader="The old slip is open again.",
        categories=("Wood", "Water"),
        sections=tuple(BLOCKS[name] for name in names or BLOCKS),
    )


def single_block_issue(name: str) -> IssueContent:
    """An issue with one block. A first text would be the lead, so a divider comes before it."""
    return sample_issue("divider", "text") if name == "text" else sample_issue(name)


def sample_values(rendered: RenderedIssue) -> dict[str, str]:
    """A value for each placeholder: sample addresses, and the fallbacks of merge fields."""
    values = {
        placeholder: f"https://slipway.example/{placeholder.partition('_')[0]}" for placeholder in rendered.placeholders
    }
    return values | {merge.placeholder: merge.fallback for merge in rendered.merges}
