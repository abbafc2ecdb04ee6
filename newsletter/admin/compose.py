"""The compose form: an issue's details and rows, validated and put together as content.

Saving goes through `save_content`, as the import of a file does.
"""

from __future__ import annotations

import datetime
import secrets
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.admin.audience import AudienceForm
from newsletter.admin.rows import row_formset
from newsletter.admin.time_format import from_now
from newsletter.admin.unfinished import as_typed, latest_unfinished
from newsletter.content.difference import Change, difference
from newsletter.content.document import IssueContent
from newsletter.content.fields import FieldName, field_faults, slug_from
from newsletter.content.revisions import UnreadableRevision, content_of, latest_revision
from newsletter.content.slugs import slug_candidates
from newsletter.content.store import load_content, with_plain_line_ends
from newsletter.models import Issue, Newsletter, Revision, UnfinishedDraft

if TYPE_CHECKING:
    IssueModelForm = forms.ModelForm[Issue]
else:
    IssueModelForm = forms.ModelForm

#: Characters of a subject and a preheader that most inboxes show.
INBOX_LENGTHS = {"subject": 60, "preheader": 110}
#: The mail programs whose lists of mails the page shows: the first has one line a mail, the others two.
INBOX_CLIENTS = ("Gmail", "Apple Mail", "Outlook")
DETAILS: tuple[FieldName, ...] = ("title", "slug", "subject", "preheader")


class IssueForm(IssueModelForm):
    """Details and rows of one issue. Once it is valid, `content()` is what the editor wrote."""

    #: Whether the slug was left empty, and so is made from the title.
    has_derived_slug = False

    newsletter = forms.ModelChoiceField(
        Newsletter.objects.order_by("name"), empty_label=None, label=gettext_lazy("Newsletter")
    )
    category_names = forms.CharField(
        required=False,
        label=gettext_lazy("Categories"),
        help_text=gettext_lazy("Separate categories by commas, for example: News, Tech."),
        max_length=1000,
    )

    class Meta:
        model = Issue
        fields = ("newsletter", "title", "number", "date", "slug", "subject", "preheader")
        widgets = {
            "date": forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
            "slug": forms.TextInput,
        }
        labels = {
            "title": gettext_lazy("Title"),
            "number": gettext_lazy("Number"),
            "date": gettext_lazy("Date"),
            "slug": gettext_lazy("Slug"),
            "subject": gettext_lazy("Subject"),
            "preheader": gettext_lazy("Preheader"),
        }
        help_texts = {
            "slug": gettext_lazy("Part of the web address. Leave empty to make it from the title."),
            "subject": gettext_lazy("Leave empty to use the title."),
            "preheader": gettext_lazy(
                "Preview text that inboxes show after the subject. Leave empty to use the first words of the text."
            ),
        }

    def __init__(self, data: Any = None, files: Any = None, **kwargs: Any) -> None:
        super().__init__(data, files, **{"label_suffix": "", **kwargs})
        stored = load_content(self.instance) if self.instance.pk else None
        if "slug" in self.fields:  # the admin leaves the fields out for those who may only view
            self.fields["slug"].required = False
        self.fields["newsletter"].disabled = stored is not None
        self.initial["category_names"] = ", ".join(stored.categories) if stored else ""
        self.rows = row_formset(data, stored)
        self.audience = AudienceForm(data, self.instance)

    @property
    def envelope_fields(self) -> list[tuple[forms.BoundField, int]]:
        """What inboxes show of the issue, each with the number of characters that most of them show."""
        return [(self[name], most) for name, most in INBOX_LENGTHS.items()]

    @property
    def detail_fields(self) -> list[forms.BoundField]:
        """The other fields that are shown."""
        return [field for field in self.visible_fields() if field.name not in INBOX_LENGTHS]

    @property
    def details_have_errors(self) -> bool:
        """Whether one of them has an error."""
        return any(field.errors for field in self.detail_fields)

    def clean(self) -> dict[str, Any]:
        """Check the details by the rules of the content, and the rows."""
        self.has_derived_slug = not self.cleaned_data.get("slug") and "slug" not in self.errors
        self.cleaned_data["slug"] = self.cleaned_data.get("slug") or self._slug_from_title()
        for name in DETAILS:
            for fault in field_faults(name, self.cleaned_data.get(name) or ""):
                self.add_error(name, str(fault))
        for category in self.categories():
            for fault in field_faults("category", category):
                self.add_error("category_names", str(fault))
        if not self.rows.is_valid():
            self.add_error(None, _("Some rows below have errors. Each error is shown in its row."))
        if not self.audience.is_valid():
            self.add_error(None, _("The audience has errors. Each error is shown below."))
        return self.cleaned_data

    def content(self) -> IssueContent:
        """What the editor wrote; only after `is_valid`."""
        cleaned = self.cleaned_data
        return IssueContent(
            title=cleaned["title"],
            slug=cleaned["slug"],
            date=cleaned["date"],
            subject=cleaned["subject"] or cleaned["title"],
            preheader=cleaned["preheader"],
            categories=self.categories(),
            sections=self.rows.sections(),
            audience=self.audience.content(),
        )

    def categories(self) -> tuple[str, ...]:
        """The names between the commas."""
        names = (name.strip() for name in self.cleaned_data.get("category_names", "").split(","))
        return tuple(dict.fromkeys(name for name in names if name))

    def _slug_from_title(self) -> str:
        date = self.cleaned_data.get("date")
        return slug_from(self.cleaned_data.get("title") or "") or (date.isoformat() if date else "")


def typed_content(form: IssueForm, stored: IssueContent) -> IssueContent:
    """What was typed, valid or not, to be compared; never saved. A date that is none, and the audience, as stored."""
    form.is_valid()
    title, slug, subject, preheader = (str(form[name].value() or "") for name in DETAILS)
    return replace(
        stored,
        title=title,
        slug=slug or stored.slug,
        subject=subject or title,
        preheader=preheader,
        date=form.cleaned_data.get("date") or stored.date,
        categories=form.categories(),
        sections=form.rows.typed_sections(),
    )


@dataclass(frozen=True, slots=True)
class NewerRevision:
    """The revision that was saved after the form was opened, compared with what was typed."""

    revision: int
    by: str
    saved_at: datetime.datetime
    to_yours: tuple[Change, ...] | None
    """From the saved revision to what was typed; None while what was typed is invalid."""
    by_them: tuple[Change, ...] | None
    """From the revision that the form was opened with to the saved one; None if the former is no longer kept."""

    @property
    def ago(self) -> str:
        """When it was saved, as a distance from now."""
        return from_now(self.saved_at)


def newer_revision(based_on: int | None, row: Issue, typed: IssueContent | None) -> NewerRevision:
    """The saved revision of `row`, compared with what was typed and with revision `based_on`."""
    stored, saved = load_content(row), latest_revision(row)
    start = Revision.objects.filter(issue=row, number=based_on).first() if based_on else None
    try:
        by_them = difference(content_of(start), stored) if start else None
    except UnreadableRevision:
        by_them = None
    return NewerRevision(
        revision=row.revision,
        by=saved.actor if saved else "",
        saved_at=saved.saved_at if saved else row.updated_at,
        to_yours=difference(stored, with_plain_line_ends(typed)) if typed else None,
        by_them=by_them,
    )


class ComposeForm(IssueForm):
    """The form that saves. It knows the revision that it was opened with, and refuses to overwrite a newer one."""

    based_on = forms.IntegerField(widget=forms.HiddenInput, initial=0)
    replace_revision = forms.IntegerField(widget=forms.HiddenInput, required=False)
    page_key = forms.CharField(widget=forms.HiddenInput, required=False, max_length=40)
    continued = forms.CharField(widget=forms.HiddenInput, required=False, max_length=80)
    #: Set when a newer revision was saved; the page shows the difference and offers to replace that revision.
    newer: NewerRevision | None = None
    #: Set when the issue is no longer a draft.
    is_closed = False
    #: The editor whose unfinished draft the form opens with, if there is one.
    opened_by = ""
    unfinished: UnfinishedDraft | None = None

    def __init__(self, data: Any = None, files: Any = None, **kwargs: Any) -> None:
        page_key, issue = secrets.token_urlsafe(9), kwargs.get("instance")
        if data is None and self.opened_by and issue is not None and issue.pk and issue.is_editable:
            self.unfinished = latest_unfinished(issue, by=self.opened_by)
            data = as_typed(self.unfinished, page=page_key) if self.unfinished else None
        super().__init__(data, files, **kwargs)
        self.initial["based_on"] = self.instance.revision
        self.initial["page_key"] = page_key

    def clean(self) -> dict[str, Any]:
        """Refuse to overwrite a newer revision, to change an issue past draft, and to take another issue's slug."""
        super().clean()
        if self.instance.pk:
            self._refuse_stale()
        self._settle_slug()
        self._refuse_taken_number()
        return self.cleaned_data

    def _refuse_stale(self) -> None:
        # The admin saves in one transaction: the lock keeps the row as it is until the content is stored.
        row = Issue.objects.select_for_update().get(pk=self.instance.pk)
        if not row.is_editable:
            self.is_closed = True
            self.add_error(
                None,
                _(
                    "Nothing was saved. The status of this issue is now “%(status)s”, so its content can no longer "
                    "change. Your text is still here: copy what you need before you leave this page."
                )
                % {"status": row.get_status_display()},
            )
        elif row.revision not in (
            self.cleaned_data.get("based_on"),
            self.cleaned_data.get("replace_revision"),
        ) and not self._is_stored_in(row):
            typed = None if self.errors else self.content()
            self.newer = newer_revision(self.cleaned_data.get("based_on"), row, typed)
            self.add_error(
                None,
                _(
                    "Nothing was saved, because a newer revision of this issue was saved by another editor or in "
                    "another tab. Your text is still here. Compare the two below, add what is missing, then tick the "
                    "box and save again."
                ),
            )

    def _is_stored_in(self, row: Issue) -> bool:
        """Whether the row already holds what was typed, as after a double click on Save."""
        return not self.errors and load_content(row) == with_plain_line_ends(self.content())

    def _refuse_taken_number(self) -> None:
        newsletter, number = self.cleaned_data.get("newsletter"), self.cleaned_data.get("number")
        others = Issue.objects.filter(newsletter=newsletter, number=number).exclude(pk=self.instance.pk)
        if number is not None and others.exists():
            self.add_error(
                "number",
                _("Another issue of %(newsletter)s already has the number %(number)s. Choose a different number.")
                % {"newsletter": newsletter, "number": number},
            )

    def _settle_slug(self) -> None:
        """Refuse a slug that was typed and is taken; one that is made from the title gets a number."""
        newsletter, slug = self.cleaned_data.get("newsletter"), self.cleaned_data.get("slug")
        if not newsletter or not slug:
            return
        if not self.instance.pk:
            # On a double click on Save, the second request waits here until the first has created the issue.
            Newsletter.objects.select_for_update(of=("self",), no_key=True).get(pk=newsletter.pk)
        for candidate in slug_candidates(slug) if self.has_derived_slug else (slug,):
            self.cleaned_data["slug"] = candidate
            other = Issue.objects.filter(newsletter=newsletter, slug=candidate).exclude(pk=self.instance.pk).first()
            if other is None:
                return
            if not self.instance.pk and other.is_editable and self._is_stored_in(other):
                self.instance = other
                return
        self.cleaned_data["slug"] = slug
        self.add_error(
            "slug",
            _("Another issue of %(newsletter)s already has the slug “%(slug)s”. Choose a different slug.")
            % {"newsletter": newsletter, "slug": slug},
        )
