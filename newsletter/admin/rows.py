"""The rows of the compose page: sections, blocks and stories in one list, as forms and as content."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from django import forms
from django.forms.formsets import DELETION_FIELD_NAME, ORDERING_FIELD_NAME, BaseFormSet, formset_factory

from newsletter.content.document import IssueContent, SectionContent, SectionKind, StoryContent
from newsletter.content.fields import (
    FIELDS_OF_KIND,
    LABELS,
    LIMITS,
    FieldName,
    SectionField,
    body_faults,
    field_faults,
    section_faults,
)

SECTION, STORY = SectionKind.SECTION.value, "story"
#: Empty rows at the end, for browsers without JavaScript; ours takes them away and offers buttons.
SPARE_ROWS = 3
MOST_ROWS = 500

FIELDS: tuple[SectionField, ...] = ("title", "url", "source", "image", "alt", "body")
FIELDS_OF_STORY: tuple[SectionField, ...] = ("title", "url", "source", "body")
_NAMES_OF_STORY: dict[SectionField, FieldName] = {"title": "story title", "url": "link", "source": "source"}
_LABELS: dict[SectionField, str] = {
    "title": "Title",
    "url": "Link",
    "source": "Source",
    "image": "Address of the picture",
    "alt": "What the picture shows",
    "body": "Text",
}
_LABELS_OF_KIND: Mapping[tuple[str, SectionField], str] = {
    (SectionKind.SECTION, "title"): "Heading",
    (SectionKind.CALLOUT, "title"): "Heading (optional)",
    (SectionKind.LINKS, "title"): "Heading (optional)",
    (SectionKind.CONTENTS, "title"): "Heading (optional)",
    (SectionKind.BUTTON, "title"): "Words on the button",
    (SectionKind.QUOTE, "source"): "Who said it",
    (SectionKind.QUOTE, "url"): "Where (a link, optional)",
    (SectionKind.QUOTE, "body"): "The words",
    (SectionKind.IMAGE, "url"): "Where it leads (a link, optional)",
    (SectionKind.IMAGE, "body"): "Line below it (optional)",
    (SectionKind.LINKS, "body"): "The links, one “- [Title](https://…)” on each line",
    (SectionKind.SPONSOR, "source"): "Who pays",
    (SectionKind.SPONSOR, "image"): "Address of a picture (optional)",
}


@dataclass(frozen=True, slots=True)
class RowKind:
    """What a row can be, as people choose it: `label` in a menu, and the labels of the fields that it has."""

    value: str
    label: str
    fields: dict[str, str]

    @property
    def is_block(self) -> bool:
        """Whether it is neither a story nor a section: one of the kinds that a menu offers."""
        return self.value not in (STORY, SECTION)


def row_kinds() -> tuple[RowKind, ...]:
    """Every kind of row: the story, the section, and the blocks."""
    story = RowKind(STORY, "Story", {field: _label(STORY, field) for field in FIELDS_OF_STORY})
    return (story, *(_row_kind(kind) for kind in SectionKind))


def _row_kind(kind: SectionKind) -> RowKind:
    own = FIELDS_OF_KIND[kind].fields
    return RowKind(
        kind.value, LABELS[kind].capitalize(), {field: _label(kind, field) for field in FIELDS if field in own}
    )


def _label(kind: str, field: SectionField) -> str:
    return _LABELS_OF_KIND.get((kind, field), _LABELS[field])


class RowForm(forms.Form):
    """One row: a section or block with its own fields, or a story of the one above it."""

    kind = forms.ChoiceField(choices=[(kind.value, kind.label) for kind in row_kinds()], initial=STORY, required=False)
    title = forms.CharField(required=False)
    url = forms.CharField(required=False, label="Link", widget=forms.TextInput(attrs={"inputmode": "url"}))
    source = forms.CharField(required=False)
    image = forms.CharField(required=False, label=_LABELS["image"], widget=forms.TextInput(attrs={"inputmode": "url"}))
    alt = forms.CharField(required=False, label=_LABELS["alt"])
    body = forms.CharField(required=False, strip=False, label="Text", widget=forms.Textarea(attrs={"rows": 4}))

    @property
    def chosen_kind(self) -> str:
        """The kind, as it stands in the form."""
        return str(self["kind"].value() or STORY)

    @property
    def is_section(self) -> bool:
        """Whether the row, as it stands in the form, is a section with a heading."""
        return self.chosen_kind == SECTION

    @property
    def is_block(self) -> bool:
        """Whether it is neither a section nor a story."""
        return self.chosen_kind not in (SECTION, STORY)

    @property
    def kind_label(self) -> str:
        """What people call its kind."""
        return str(dict(self.fields["kind"].choices).get(self.chosen_kind, "Story"))  # type: ignore[attr-defined]

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
        faults = self._story_faults() if self.cleaned_data["kind"] == STORY else section_faults(self._section())
        for field, fault in faults:
            self.add_error(field, fault)
        return self.cleaned_data

    def _section(self) -> SectionContent:
        return _section_of(self.cleaned_data | {"body": _plain(self.cleaned_data.get("body", ""))})

    def _story_faults(self) -> Iterator[tuple[str, str]]:
        for field, name in _NAMES_OF_STORY.items():
            yield from ((field, fault) for fault in field_faults(name, self.cleaned_data.get(field) or ""))
        yield from (("body", fault) for _, fault in body_faults(_plain(self.cleaned_data.get("body", ""))))
        if self.cleaned_data.get("image") or self.cleaned_data.get("alt"):
            yield "image", "A story has no picture. Empty its address and description, or add an image of its own."


_LONGEST: dict[SectionField, FieldName] = {**_NAMES_OF_STORY, "image": "image", "alt": "description"}

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
        for field, name in _LONGEST.items():
            form.fields[field].widget.attrs["maxlength"] = LIMITS[name]
        for field in FIELDS:
            form.fields[field].label = _label(form.chosen_kind, field)

    @property
    def kinds(self) -> tuple[RowKind, ...]:
        """What can be added."""
        return row_kinds()

    @property
    def kinds_as_json(self) -> str:
        """For our script: each kind with its label and the labels of its fields."""
        return json.dumps({kind.value: {"label": kind.label, "fields": kind.fields} for kind in row_kinds()})

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
        yield {"kind": section.kind.value} | {field: getattr(section, field) for field in FIELDS}
        for story in section.stories:
            yield {"kind": STORY} | {field: getattr(story, field) for field in FIELDS_OF_STORY}


def _sections(rows: list[dict[str, Any]]) -> Iterator[SectionContent]:
    heads = [index for index, row in enumerate(rows) if row["kind"] != STORY]
    for start, end in itertools.pairwise([*heads, len(rows)]):
        yield _section_of(rows[start], tuple(_story_of(row) for row in rows[start + 1 : end]))


def _section_of(row: dict[str, Any], stories: tuple[StoryContent, ...] = ()) -> SectionContent:
    own = {field: row.get(field) or "" for field in FIELDS} | {"body": _body(row)}
    return SectionContent(kind=SectionKind(row["kind"]), stories=stories, **own)


def _story_of(row: dict[str, Any]) -> StoryContent:
    return StoryContent(title=row["title"], url=row["url"], source=row["source"], body=_body(row))


def _body(row: dict[str, Any]) -> str:
    body = row.get("body") or ""
    return body if body.strip() else ""


def _plain(body: str) -> str:
    return body.replace("\r\n", "\n").replace("\r", "\n")


def _is_passed_over(form: RowForm) -> bool:
    row = form.cleaned_data if hasattr(form, "cleaned_data") else {}
    if row.get(DELETION_FIELD_NAME):
        return True
    says_something = any(str(row.get(field) or "").strip() for field in FIELDS)
    return not says_something and row.get("kind", STORY) == STORY and not form.errors


def _place(form: RowForm) -> tuple[float, int]:
    """Where a row was put, and whether it came there from below (-1), from above (1) or not at all (0)."""
    given, before = form.cleaned_data.get(ORDERING_FIELD_NAME), form.fields[ORDERING_FIELD_NAME].initial
    if given is None:
        return (float("inf"), 0)
    return (given, 0 if before is None else (given > before) - (given < before))
