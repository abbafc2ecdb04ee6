"""Comparison of an issue's editions with each other and with its draft: text, size and links."""

from __future__ import annotations

from dataclasses import dataclass

from django.http import Http404, HttpRequest, HttpResponse
from django.utils.text import capfirst
from django.utils.translation import gettext as _
from django.views.decorators.http import require_safe
from pydantic import TypeAdapter, ValidationError

from newsletter.admin.pages import Page, RequiredPermission, issue_page
from newsletter.admin.preview import in_bytes
from newsletter.admin.time_format import with_zone
from newsletter.content.difference import Change, difference, summary_of
from newsletter.content.document import IssueContent
from newsletter.models import Edition, Issue
from newsletter.rendering import RenderingError
from newsletter.sending.envelope import EnvelopeError
from newsletter.sending.freeze import prepare_edition

#: The value of `?from=` and `?to=` that stands for the draft; editions are named by their primary key.
DRAFT = "draft"

_CONTENT = TypeAdapter(IssueContent)


@dataclass(frozen=True, slots=True)
class Version:
    """An edition, or the edition that freezing the draft now would make."""

    key: str
    label: str
    edition: Edition


@dataclass(frozen=True, slots=True)
class ComparedFact:
    """One property of the mail, in both versions."""

    label: str
    old: str
    new: str

    @property
    def differs(self) -> bool:
        """Whether it changed."""
        return self.old != self.new


@dataclass(frozen=True, slots=True)
class Comparison:
    """The differences between two versions of the mail."""

    facts: tuple[ComparedFact, ...]
    added_links: tuple[str, ...]
    removed_links: tuple[str, ...]
    changes: tuple[Change, ...] | None
    """None if this version of the program cannot read the content of one of them."""

    @property
    def summary(self) -> str:
        """One sentence. The design may differ while the text is the same."""
        if self.changes is None:
            return _("The content of one version cannot be read by this version of the program.")
        if not self.changes and any(fact.differs for fact in self.facts):
            return _("The text is the same; the design or the sender differs.")
        return capfirst(str(summary_of(self.changes)))


@require_safe
def compare_editions(request: HttpRequest, issue: Issue) -> HttpResponse:
    """Compare the versions in `?from=` and `?to=`; by default the newest two."""
    versions, problem = versions_of(issue)
    by_key = {version.key: version for version in versions}
    chosen = [request.GET.get(name, "") for name in ("from", "to")]
    if any(key and key not in by_key for key in chosen):
        raise Http404(_("This issue has no such edition."))
    old = by_key.get(chosen[0], versions[min(1, len(versions) - 1)] if versions else None)
    new = by_key.get(chosen[1], versions[0] if versions else None)
    return issue_page(
        request,
        issue,
        "editions",
        title=_("What changed: %(title)s") % {"title": issue.title},
        tab="preview",
        versions=versions,
        old=old,
        new=new,
        compared=compare(old.edition, new.edition) if old and new and len(versions) > 1 else None,
        problem=problem,
    )


def versions_of(issue: Issue) -> tuple[list[Version], str]:
    """The draft, unless an edition equals it, then the editions, newest first; and why the draft cannot be rendered."""
    zone = issue.newsletter.time_zone
    frozen = [
        Version(str(edition.pk), _("Frozen on %(time)s") % {"time": with_zone(edition.created_at, zone)}, edition)
        for edition in issue.editions.order_by("-pk")
    ]
    if not issue.is_editable:
        return frozen, ""
    try:
        prepared = prepare_edition(issue)
    except (RenderingError, EnvelopeError) as error:
        return frozen, str(error)
    is_frozen = any(version.edition.sha256 == prepared.sha256 for version in frozen)
    return (frozen if is_frozen else [Version(DRAFT, _("Saved draft"), prepared), *frozen]), ""


def compare(old: Edition, new: Edition) -> Comparison:
    """The differences from `old` to `new`."""
    before, after = (dict.fromkeys(link["url"] for link in edition.links) for edition in (old, new))
    try:
        changes = difference(_CONTENT.validate_python(old.content), _CONTENT.validate_python(new.content))
    except ValidationError:
        changes = None
    return Comparison(
        facts=tuple(ComparedFact(label, *pair) for label, pair in _facts(old, new).items()),
        added_links=tuple(url for url in after if url not in before),
        removed_links=tuple(url for url in before if url not in after),
        changes=changes,
    )


def _facts(old: Edition, new: Edition) -> dict[str, tuple[str, str]]:
    return {
        _("Subject"): (old.subject, new.subject),
        _("From"): (old.envelope["sender"], new.envelope["sender"]),
        _("Revision"): (str(old.revision), str(new.revision)),
        _("HTML part"): (in_bytes(old.html), in_bytes(new.html)),
        _("Text part"): (in_bytes(old.text), in_bytes(new.text)),
        _("Links"): (str(len(old.links)), str(len(new.links))),
        _("Edition"): (old.sha256[:12], new.sha256[:12]),
    }


PAGES = (Page("difference", compare_editions, RequiredPermission.VIEW),)
