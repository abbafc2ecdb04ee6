"""The rows of the compose page: sections and stories in one list, as forms and as content. Imports content only."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from django import forms
from django.forms.formsets import DELETION_FIELD_NAME, ORDERING_FIELD_NAME, BaseFormSet, formset_factory

from newsletter.content.document import IssueContent, SectionContent, StoryContent
from newsletter.content.fields import LIMITS, FieldName, body_fault, field_faults

SECTION, STORY = "section", "story"
#: Empty rows at the end, for browsers without JavaScript; ours takes them away and offers buttons.
SPARE_ROWS = 3
MOST_ROWS = 500


class RowForm(forms.Form):
    """One row: a section's heading and text, or a story of the section above it."""

    kind = forms.ChoiceField(choices=[(STORY, "Story"), (SECTION, "Section")], initial=STORY, required=False)
    title = forms.CharField(required=False)
    url = forms.CharField(required=False, label="Link", widget=forms.TextInput(attrs={"inputmode": "url"}))
    source = forms.CharField(required=False)
    body = forms.CharField(required=False, strip=False, label="Text", widget=forms.Textarea(attrs={"rows": 4}))

    @property
    def is_section(self) -> bool:
        """Whether the row, as it stands in the form, heads a section."""
        return bool(self["kind"].value() == SECTION)

    @property
    def is_spare(self) -> bool:
        """Whether it is one of the empty rows at the end, untouched."""
        return self.empty_permitted and not (self.is_bound and self.has_changed())

    @property
    def words(self) -> int:
        """How many words its text has."""
        return len(str(self["body"].value() or "").split())

    @property
    def is_removed(self) -> bool:
        """Whether the person asked for the row to go."""
        return bool(self[DELETION_FIELD_NAME].value())

    def clean(self) -> dict[str, Any]:
        """Say at each field what must not be stored there, in the same words as for files."""
        if self.cleaned_data.get(DELETION_FIELD_NAME):
            return self.cleaned_data
        self.cleaned_data["kind"] = self.cleaned_data.get("kind") or STORY
        is_section = self.cleaned_data["kind"] == SECTION
        names: dict[str, FieldName] = {"title": "section heading" if is_section else "story title"}
        names |= {"url": "link", "source": "source"}
        for field, name in names.items():
            for fault in field_faults(name, self.cleaned_data.get(field) or ""):
                self.add_error(field, fault)
        if unfit := body_fault(self.cleaned_data.get("body", "").replace("\r\n", "\n").replace("\r", "\n")):
            self.add_error("body", unfit)
        if is_section:
            self._clean_section()
        return self.cleaned_data

    def _clean_section(self) -> None:
        if not self.cleaned_data.get("title") and "title" not in self.errors:
            self.add_error("title", "Give this section a heading, or remove its row.")
        if self.cleaned_data.get("url") or self.cleaned_data.get("source"):
            self.add_error("kind", "A section has no link or source of its own. Empty both, or make this a story.")


if TYPE_CHECKING:
    RowForms = BaseFormSet[RowForm]
else:
    RowForms = BaseFormSet


class RowFormSet(RowForms):
    """All rows of an issue. Rows that say nothing at all are passed over."""

    def add_fields(self, form: RowForm, index: int | None) -> None:
        """Position and removal, which are all that a browser without JavaScript needs to sort rows."""
        super().add_fields(form, index)
        form.fields[ORDERING_FIELD_NAME].label = "Position"
        form.fields[DELETION_FIELD_NAME].label = "Remove on save"
        for field, name in (("title", "story title"), ("url", "link"), ("source", "source")):
            form.fields[field].widget.attrs["maxlength"] = LIMITS[name]  # type: ignore[index]

    def clean(self) -> None:
        """Every story stands below a section; the first one that does not says so."""
        rows = self.rows_in_order()
        if rows and rows[0].cleaned_data.get("kind") == STORY:
            rows[0].add_error("title", "A story stands below a section. Add a section above it, or move it down.")

    def in_order(self) -> list[RowForm]:
        """All rows as the person ordered them, also those that are removed or empty.

        A position that was typed is the place the row gets: of two rows with the same one, the row that was moved up
        to it stands first, and the row that was moved down to it second.
        """
        return sorted(self.forms, key=_place) if self.is_bound else list(self.forms)

    def rows_in_order(self) -> list[RowForm]:
        """The rows that stay, as the person ordered them."""
        return [form for form in self.in_order() if not _is_passed_over(form)]

    def sections(self) -> tuple[SectionContent, ...]:
        """The rows as sections with their stories; only after `is_valid`."""
        return tuple(_sections([form.cleaned_data for form in self.rows_in_order()]))


def row_formset(data: Any, content: IssueContent | None) -> RowFormSet:
    """The forms for the rows of `content`, filled from `data` where the person has sent them."""
    made = formset_factory(
        RowForm,
        formset=RowFormSet,
        extra=SPARE_ROWS,
        max_num=MOST_ROWS,
        absolute_max=2 * MOST_ROWS,
        validate_max=True,
        can_order=True,
        can_delete=True,
    )
    formset: Any = made(data, prefix="rows", initial=rows_of(content) if content else [])
    return formset  # type: ignore[no-any-return]


def rows_of(content: IssueContent) -> list[dict[str, str]]:
    """The content as rows: each section, followed by its stories."""
    return list(_rows(content))


def _rows(content: IssueContent) -> Iterator[dict[str, str]]:
    for section in content.sections:
        yield {"kind": SECTION, "title": section.title, "body": section.body}
        for story in section.stories:
            yield {
                "kind": STORY,
                "title": story.title,
                "url": story.url,
                "source": story.source,
                "body": story.body,
            }


def _sections(rows: list[dict[str, Any]]) -> Iterator[SectionContent]:
    heads = [index for index, row in enumerate(rows) if row["kind"] == SECTION]
    for start, end in itertools.pairwise([*heads, len(rows)]):
        stories = tuple(
            StoryContent(title=row["title"], url=row["url"], source=row["source"], body=_body(row))
            for row in rows[start + 1 : end]
        )
        yield SectionContent(title=rows[start]["title"], body=_body(rows[start]), stories=stories)


def _body(row: dict[str, Any]) -> str:
    return row["body"] if row["body"].strip() else ""


def _is_passed_over(form: RowForm) -> bool:
    row = form.cleaned_data if hasattr(form, "cleaned_data") else {}
    if row.get(DELETION_FIELD_NAME):
        return True
    says_something = any(str(row.get(field) or "").strip() for field in ("title", "url", "source", "body"))
    return not says_something and row.get("kind") != SECTION and not form.errors


def _place(form: RowForm) -> tuple[float, int]:
    """Where a row was put, and whether it came there from below (-1), from above (1) or not at all (0)."""
    given, before = form.cleaned_data.get(ORDERING_FIELD_NAME), form.fields[ORDERING_FIELD_NAME].initial
    if given is None:
        return (float("inf"), 0)
    return (given, 0 if before is None else (given > before) - (given < before))
