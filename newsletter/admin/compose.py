"""The compose form: an issue's envelope and rows, checked and put together as content.

Saving goes through `save_content`, exactly as a file's import does: there is one way into the tables.
"""

from __future__ import annotations

import datetime
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms

from newsletter.admin.rows import row_formset
from newsletter.admin.time_format import from_now
from newsletter.content.difference import Change, difference
from newsletter.content.document import IssueContent
from newsletter.content.fields import FieldName, field_faults, slug_from
from newsletter.content.revisions import UnreadableRevision, content_of, latest_revision
from newsletter.content.store import load_content, with_plain_line_ends
from newsletter.models import Issue, Newsletter, Revision

if TYPE_CHECKING:
    IssueModelForm = forms.ModelForm[Issue]
else:
    IssueModelForm = forms.ModelForm

ENVELOPE: tuple[FieldName, ...] = ("title", "slug", "subject", "preheader")


class IssueForm(IssueModelForm):
    """Envelope and rows of one issue. After `is_valid`, `content` is what the person wrote."""

    newsletter = forms.ModelChoiceField(Newsletter.objects.order_by("name"), empty_label=None)
    category_names = forms.CharField(
        required=False, label="Categories", help_text="Separated by commas, such as News, Tech.", max_length=1000
    )

    class Meta:
        model = Issue
        fields = ("newsletter", "title", "date", "slug", "subject", "preheader")
        widgets = {
            "date": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "slug": forms.TextInput,
        }
        help_texts = {
            "slug": "Part of its web address. Empty: made from the title.",
            "subject": "Empty: the title.",
            "preheader": "The line that inboxes show beside the subject. Empty: the first words.",
        }

    def __init__(self, data: Any = None, files: Any = None, **kwargs: Any) -> None:
        super().__init__(data, files, **kwargs)
        stored = load_content(self.instance) if self.instance.pk else None
        if "slug" in self.fields:  # the admin leaves the fields out for those who may only look
            self.fields["slug"].required = False
        self.fields["newsletter"].disabled = stored is not None
        self.initial["category_names"] = ", ".join(stored.categories) if stored else ""
        self.rows = row_formset(data, stored)

    def clean(self) -> dict[str, Any]:
        """Check the envelope with the words of the content, and the rows with it."""
        self.cleaned_data["slug"] = self.cleaned_data.get("slug") or self._slug_from_title()
        for name in ENVELOPE:
            for fault in field_faults(name, self.cleaned_data.get(name) or ""):
                self.add_error(name, fault)
        for category in self._categories():
            for fault in field_faults("category", category):
                self.add_error("category_names", fault)
        if not self.rows.is_valid():
            self.add_error(None, "Some rows below need a look; each says what is wrong with it.")
        return self.cleaned_data

    def content(self) -> IssueContent:
        """What the person wrote; only after `is_valid`."""
        given = self.cleaned_data
        return IssueContent(
            title=given["title"],
            slug=given["slug"],
            date=given["date"],
            subject=given["subject"] or given["title"],
            preheader=given["preheader"],
            categories=self._categories(),
            sections=self.rows.sections(),
        )

    def _categories(self) -> tuple[str, ...]:
        names = (name.strip() for name in self.cleaned_data.get("category_names", "").split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    def _slug_from_title(self) -> str:
        date = self.cleaned_data.get("date")
        return slug_from(self.cleaned_data.get("title") or "") or (date.isoformat() if date else "")


@dataclass(frozen=True, slots=True)
class Newer:
    """What somebody else has saved meanwhile, beside what was typed here."""

    revision: int
    by: str
    saved_at: datetime.datetime
    to_yours: tuple[Change, ...] | None
    """From what stands there to what was typed; None while faults keep that from being read."""
    by_them: tuple[Change, ...] | None
    """What they changed since this page was opened; None if that is not known any more."""

    @property
    def ago(self) -> str:
        """When it was saved, as people say it."""
        return from_now(self.saved_at)


def newer_than(based_on: int | None, row: Issue, typed: IssueContent | None) -> Newer:
    """The saved version of `row`, compared with what was typed and with what the person started from."""
    stored, saved = load_content(row), latest_revision(row)
    start = Revision.objects.filter(issue=row, number=based_on).first() if based_on else None
    try:
        by_them = difference(content_of(start), stored) if start else None
    except UnreadableRevision:
        by_them = None
    return Newer(
        revision=row.revision,
        by=saved.by if saved else "",
        saved_at=saved.saved_at if saved else row.updated_at,
        to_yours=difference(stored, with_plain_line_ends(typed)) if typed else None,
        by_them=by_them,
    )


class ComposeForm(IssueForm):
    """The form that saves: it also knows which revision the person started from, and refuses to overwrite another."""

    based_on = forms.IntegerField(widget=forms.HiddenInput, initial=0)
    replace_revision = forms.IntegerField(widget=forms.HiddenInput, required=False)
    #: What somebody else has saved meanwhile; the page shows the difference and offers to replace it.
    newer: Newer | None = None

    def __init__(self, data: Any = None, files: Any = None, **kwargs: Any) -> None:
        super().__init__(data, files, **kwargs)
        self.initial["based_on"] = self.instance.revision

    def clean(self) -> dict[str, Any]:
        """Refuse what would overwrite other words, an issue that is past draft, and a slug that is taken."""
        super().clean()
        if self.instance.pk:
            self._refuse_stale()
        self._refuse_taken_slug()
        return self.cleaned_data

    def _refuse_stale(self) -> None:
        # The admin saves in one transaction: the row stays as it is from here until the content is stored.
        row = Issue.objects.select_for_update().get(pk=self.instance.pk)
        if not row.is_editable:
            status = row.get_status_display().lower()
            self.add_error(
                None,
                f"This issue is {status} now, so its content cannot change. Nothing was saved. "
                "Your text is still here: copy what you need before you leave this page.",
            )
        elif row.revision not in (
            self.cleaned_data.get("based_on"),
            self.cleaned_data.get("replace_revision"),
        ) and not self._is_stored_in(row):
            typed = None if self.errors else self.content()
            self.newer = newer_than(self.cleaned_data.get("based_on"), row, typed)
            self.add_error(
                None,
                "This issue was saved meanwhile, by somebody else or in another tab, so nothing was saved now. Your "
                "text is still here. Below stands what differs: put in what is missing, then tick the box and save.",
            )

    def _is_stored_in(self, row: Issue) -> bool:
        """Whether the row says already what was typed: somebody pressed Save twice."""
        return not self.errors and load_content(row) == with_plain_line_ends(self.content())

    def _refuse_taken_slug(self) -> None:
        newsletter, slug = self.cleaned_data.get("newsletter"), self.cleaned_data.get("slug")
        if not newsletter or not slug:
            return
        if not self.instance.pk:
            # Of two clicks on Save, the second waits here until the first has made the issue, and then finds it.
            Newsletter.objects.select_for_update(of=("self",), no_key=True).get(pk=newsletter.pk)
        other = Issue.objects.filter(newsletter=newsletter, slug=slug).exclude(pk=self.instance.pk).first()
        if other and not self.instance.pk and other.is_editable and self._is_stored_in(other):
            self.instance = other
        elif other:
            self.add_error("slug", f"Another issue of {newsletter} has the slug “{slug}”. Choose another one.")
