"""Links of an issue in its report: where humans clicked, in the order of the mail, and opens as an estimate."""

from __future__ import annotations

from dataclasses import dataclass

from newsletter.models import DisabledLink, Send
from newsletter.reports.engagement import LinkReport, OpensEstimate, links_of, opens_of


@dataclass(frozen=True, slots=True)
class ShownLink:
    """A link with its share of the most clicked one, 0 to 100."""

    link: LinkReport
    share: int
    is_disabled: bool = False


@dataclass(frozen=True, slots=True)
class ShownEngagement:
    """What the section shows. `opens` is None where nothing opened is known."""

    links: tuple[ShownLink, ...]
    opens: OpensEstimate | None
    humans: int
    hits: int

    @property
    def machines(self) -> int:
        """Hits on links that were not judged to be a human's."""
        return self.hits - self.humans


def engagement_of(send: Send) -> ShownEngagement | None:
    """None for an issue without a source of opens and clicks, of which nothing is known either."""
    links, opens = links_of(send.edition), opens_of(send.edition)
    hits = sum(link.all_hits for link in links)
    if not links and not opens.all_hits:
        return None
    most = max((link.humans for link in links), default=0)
    current = DisabledLink.objects.filter(edition=send.edition, ended_at__isnull=True)
    disabled = set(current.values_list("number", flat=True))
    return ShownEngagement(
        links=tuple(
            ShownLink(link, round(100 * link.humans / most) if most else 0, link.number in disabled) for link in links
        ),
        opens=opens if opens.all_hits else None,
        humans=sum(link.human_hits for link in links),
        hits=hits,
    )
