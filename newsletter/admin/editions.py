"""Editions of an issue beside each other, and beside its draft: what changed in words, size, links."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe
from pydantic import TypeAdapter, ValidationError

from newsletter.admin.pages import Need, Page, issue_page
from newsletter.admin.time_format import in_zone
from newsletter.content.difference import Change, difference, summary_of
from newsletter.content.document import IssueContent
from newsletter.models import Edition, Issue
from newsletter.rendering import RenderingError
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import prepare_edition

#: What `?from=` and `?to=` call the draft; editions go by their number.
DRAFT = "draft"

_CONTENT = TypeAdapter(IssueContent)


@dataclass(frozen=True, slots=True)
class Version:
    """An edition, or the one that the draft would become."""

    key: str
    label: str
    edition: Edition


@dataclass(frozen=True, slots=True)
class Fact:
    """One line of what goes out, in both versions."""

    label: str
    old: str
    new: str

    @property
    def differs(self) -> bool:
        """Whether it changed."""
        return self.old != self.new


@dataclass(frozen=True, slots=True)
class Comparison:
    """What differs between two versions of what goes out."""

    facts: tuple[Fact, ...]
    links_in: tuple[str, ...]
    links_out: tuple[str, ...]
    changes: tuple[Change, ...] | None
    """None where this version of the program cannot read the words of one of them."""

    @property
    def summary(self) -> str:
        """In a few words. The look may differ where the words do not."""
        if self.changes is None:
            return "the words of one of them cannot be read by this version of the program"
        if not self.changes and any(fact.differs for fact in self.facts):
            return "the same words, in another look or from another sender"
        return summary_of(self.changes)


@require_safe
def compare_editions(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Two versions that `?from=` and `?to=` name; by default the newest and the one before it."""
    versions, problem = versions_of(issue)
    by_key = {version.key: version for version in versions}
    chosen = [request.GET.get(name, "") for name in ("from", "to")]
    if any(key and key not in by_key for key in chosen):
        raise Http404("There is no such edition.")
    old = by_key.get(chosen[0], versions[min(1, len(versions) - 1)] if versions else None)
    new = by_key.get(chosen[1], versions[0] if versions else None)
    return issue_page(
        request,
        issue,
        "editions",
        title=f"What changed: {issue.title}",
        step="preview",
        versions=versions,
        old=old,
        new=new,
        compared=compare(old.edition, new.edition) if old and new and len(versions) > 1 else None,
        problem=problem,
    )


def versions_of(issue: Issue) -> tuple[list[Version], str]:
    """The draft, unless it is frozen as it stands, then its editions, the newest first; and why there is no draft."""
    zone = issue.newsletter.time_zone
    frozen = [
        Version(str(edition.pk), f"Frozen {in_zone(edition.created_at, zone, short=True)}", edition)
        for edition in issue.editions.order_by("-pk")
    ]
    if not issue.is_editable:
        return frozen, ""
    try:
        prepared = prepare_edition(issue)
    except (RenderingError, EnvelopeError) as error:
        return frozen, str(error)
    is_frozen = any(version.edition.sha256 == prepared.sha256 for version in frozen)
    return (frozen if is_frozen else [Version(DRAFT, "The draft as it is saved", prepared), *frozen]), ""


def compare(old: Edition, new: Edition) -> Comparison:
    """What a reader of `new` gets that a reader of `old` did not, and the other way round."""
    before, after = (dict.fromkeys(link["url"] for link in edition.links) for edition in (old, new))
    try:
        changes = difference(_CONTENT.validate_python(old.content), _CONTENT.validate_python(new.content))
    except ValidationError:
        changes = None
    return Comparison(
        facts=tuple(Fact(label, *pair) for label, pair in _facts(old, new).items()),
        links_in=tuple(url for url in after if url not in before),
        links_out=tuple(url for url in before if url not in after),
        changes=changes,
    )


def _facts(old: Edition, new: Edition) -> dict[str, tuple[str, str]]:
    return {
        "Subject": (old.subject, new.subject),
        "From": (old.envelope["sender"], new.envelope["sender"]),
        "Revision": (str(old.revision), str(new.revision)),
        "HTML part": (_bytes(old.html), _bytes(new.html)),
        "Text part": (_bytes(old.text), _bytes(new.text)),
        "Links": (str(len(old.links)), str(len(new.links))),
        "Edition": (old.sha256[:12], new.sha256[:12]),
    }


def _bytes(part: str) -> str:
    return f"{len(part.encode()):,} bytes"


PAGES = (Page("difference", compare_editions, Need.VIEW),)
