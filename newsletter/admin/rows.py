"""The rows of the compose page: sections, blocks and stories in one list, as forms and as content."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from django import forms
from django.forms.formsets import DELETION_FIELD_NAME, ORDERING_FIELD_NAME, BaseFormSet, formset_factory
from django.utils.translation import gettext, pgettext_lazy
from django.utils.translation import gettext_lazy as _

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
    story_picture_faults,
)

if TYPE_CHECKING:
    from django.utils.functional import _StrOrPromise as StrOrPromise

SECTION, STORY = SectionKind.SECTION.value, "story"
#: Empty rows at the end, for browsers without JavaScript; compose.js offers buttons instead.
EXTRA_ROWS = 3
MAX_ROWS = 500

FIELDS: tuple[SectionField, ...] = ("title", "url", "source", "image", "alt", "body")
STORY_FIELDS: tuple[SectionField, ...] = FIELDS
#: Shown only where a story has a picture; “Add picture…” makes them.
OPTIONAL_FIELDS: tuple[SectionField, ...] = ("image", "alt")
FIELDS_OF: Mapping[str, tuple[SectionField, ...]] = {
    STORY: STORY_FIELDS,
    **{kind.value: FIELDS_OF_KIND[kind].fields for kind in SectionKind},
}
_STORY_FIELD_NAMES: dict[SectionField, FieldName] = {"title": "story title", "url": "link", "source": "source"}
_LABELS: dict[SectionField, StrOrPromise] = {
    "title": _("Title"),
    "url": _("Link"),
    "source": _("Source"),
    "image": _("Image URL"),
    "alt": _("Image description"),
    "body": _("Text"),
}
_LABELS_BY_KIND: Mapping[tuple[str, SectionField], StrOrPromise] = {
    (SectionKind.SECTION, "title"): _("Heading"),
    (SectionKind.CALLOUT, "title"): _("Heading (optional)"),
    (SectionKind.LINKS, "title"): _("Heading (optional)"),
    (SectionKind.CONTENTS, "title"): _("Heading (optional)"),
    (SectionKind.BUTTON, "title"): _("Button label"),
    (SectionKind.QUOTE, "source"): _("Author"),
    (SectionKind.QUOTE, "url"): _("Link to the source (optional)"),
    (SectionKind.QUOTE, "body"): _("Quotation"),
    (SectionKind.IMAGE, "url"): _("Link target (optional)"),
    (SectionKind.IMAGE, "body"): _("Caption (optional)"),
    (SectionKind.LINKS, "body"): _("Links, one “- [Title](https://…)” per line"),
    (SectionKind.SPONSOR, "source"): pgettext_lazy("name of an advertiser", "Sponsor"),
    (SectionKind.SPONSOR, "image"): _("Image URL (optional)"),
    (STORY, "alt"): _("Image description (empty if decorative)"),
}


@dataclass(frozen=True, slots=True)
class RowKind:
    """A kind of row, in the active language: its `label` in menus, and the labels of the fields it has."""

    value: str
    label: str
    fields: dict[SectionField, str]
    optional: tuple[SectionField, ...] = ()
    """Fields that a row has only while they are filled."""


@dataclass(frozen=True, slots=True)
class BlockGroup:
    """Blocks that the menu shows under one label."""

    label: str
    kinds: tuple[RowKind, ...]


_BLOCK_GROUPS: tuple[tuple[StrOrPromise, tuple[SectionKind, ...]], ...] = (
    (_("Writing"), (SectionKind.TEXT, SectionKind.CALLOUT, SectionKind.QUOTE)),
    (_("Media and links"), (SectionKind.IMAGE, SectionKind.LINKS, SectionKind.BUTTON, SectionKind.CONTENTS)),
    (_("Layout"), (SectionKind.SPONSOR, SectionKind.DIVIDER)),
)


def row_kinds() -> tuple[RowKind, ...]:
    """Every kind of row: the story, the section, and the blocks."""
    fields = {field: _label(STORY, field) for field in STORY_FIELDS}
    story = RowKind(STORY, gettext("Story"), fields, OPTIONAL_FIELDS)
    return (story, *(_row_kind(kind) for kind in SectionKind))


def _row_kind(kind: SectionKind) -> RowKind:
    own = FIELDS_OF_KIND[kind].fields
    labels = {field: _label(kind, field) for field in FIELDS if field in own}
    return RowKind(kind.value, str(LABELS[kind]), labels)


def _label(kind: str, field: SectionField) -> str:
    return str(_LABELS_BY_KIND.get((kind, field), _LABELS[field]))


def _kind_choices() -> list[tuple[str, str]]:
    return [(kind.value, kind.label) for kind in row_kinds()]


class RowForm(forms.Form):
    """One row: a section or block with its own fields, or a story of the section or block above it."""

    kind = forms.ChoiceField(choices=_kind_choices, initial=STORY, required=False, label=_("Kind"))
    title = forms.CharField(required=False, label=_LABELS["title"])
    url = forms.CharField(required=False, label=_LABELS["url"], widget=forms.TextInput(attrs={"inputmode": "url"}))
    source = forms.CharField(required=False, label=_LABELS["source"])
    image = forms.CharField(required=False, label=_LABELS["image"], widget=forms.TextInput(attrs={"inputmode": "url"}))
    alt = forms.CharField(required=False, label=_LABELS["alt"])
    body = forms.CharField(required=False, strip=False, label=_LABELS["body"], widget=forms.Textarea(attrs={"rows": 4}))

    @property
    def chosen_kind(self) -> str:
        """The kind that the form shows, submitted or initial."""
        return str(self["kind"].value() or STORY)

    @property
    def is_section(self) -> bool:
        """Whether the form shows a section with a heading."""
        return self.chosen_kind == SECTION

    @property
    def is_block(self) -> bool:
        """Whether the form shows neither a section nor a story."""
        return self.chosen_kind not in (SECTION, STORY)

    @property
    def kind_label(self) -> str:
        """The label of the kind that the form shows."""
        return dict(_kind_choices()).get(self.chosen_kind, gettext("Story"))

    @property
    def is_extra(self) -> bool:
        """Whether it is one of the empty rows at the end, untouched."""
        return self.empty_permitted and not (self.is_bound and self.has_changed())

    @property
    def words(self) -> int:
        """Number of words in the text."""
        return len(str(self["body"].value() or "").split())

    @property
    def is_removed(self) -> bool:
        """Whether "Remove on save" is ticked."""
        return bool(self[DELETION_FIELD_NAME].value())

    @property
    def typed(self) -> dict[str, str]:
        """The values as they were typed, valid or not; an unknown kind counts as a story."""
        values = {field: str(self[field].value() or "") for field in FIELDS}
        kind = self.chosen_kind if self.chosen_kind in dict(_kind_choices()) else STORY
        return {"kind": kind} | values | {"body": _plain(values["body"])}

    @property
    def all_fields(self) -> list[forms.BoundField]:
        """The fields of all kinds."""
        return [self[field] for field in FIELDS]

    @property
    def shown_fields(self) -> list[forms.BoundField]:
        """The fields of its kind, and others while they have a value or an error."""
        own = set(FIELDS_OF.get(self.chosen_kind, FIELDS)) - set(self._hidden_fields)
        return [self[field] for field in FIELDS if field in own or self[field].value() or self[field].errors]

    @property
    def picture_fields(self) -> list[forms.BoundField]:
        """Those of a picture that `shown_fields` leaves out, for browsers without JavaScript."""
        return [self[field] for field in self._hidden_fields]

    @property
    def _hidden_fields(self) -> tuple[SectionField, ...]:
        """Both while there is no picture, and neither while there is one."""
        has_picture = any(self[field].value() or self[field].errors for field in OPTIONAL_FIELDS)
        return OPTIONAL_FIELDS if self.chosen_kind == STORY and not has_picture else ()

    def clean(self) -> dict[str, Any]:
        """Add the content rules' problems to their fields; files are checked by the same rules."""
        if self.cleaned_data.get(DELETION_FIELD_NAME):
            return self.cleaned_data
        self.cleaned_data["kind"] = self.cleaned_data.get("kind") or STORY
        faults = self._story_faults() if self.cleaned_data["kind"] == STORY else self._section_faults()
        for field, fault in faults:
            self.add_error(field, str(fault))
        return self.cleaned_data

    def _section(self) -> SectionContent:
        return _section_of(self.cleaned_data | {"body": _plain(self.cleaned_data.get("body", ""))})

    def _section_faults(self) -> Iterator[tuple[str, str]]:
        section = self._section()
        # A text block may be empty above stories, which the form set sees.
        any_story = (StoryContent(title=""),) if section.kind is SectionKind.TEXT else ()
        return iter(section_faults(replace(section, stories=any_story)))

    def _story_faults(self) -> Iterator[tuple[str, str]]:
        for field, name in _STORY_FIELD_NAMES.items():
            yield from ((field, fault) for fault in field_faults(name, self.cleaned_data.get(field) or ""))
        yield from (("body", fault) for _line, fault in body_faults(_plain(self.cleaned_data.get("body", ""))))
        image, alt = (self.cleaned_data.get(field) or "" for field in OPTIONAL_FIELDS)
        yield from (("image", fault) for fault in story_picture_faults(image, alt))


_LIMITED_FIELDS: dict[SectionField, FieldName] = {**_STORY_FIELD_NAMES, "image": "image", "alt": "description"}

if TYPE_CHECKING:
    RowForms = BaseFormSet[RowForm]
else:
    RowForms = BaseFormSet


class RowFormSet(RowForms):
    """All rows of an issue. Empty rows are ignored."""

    def add_fields(self, form: RowForm, index: int | None) -> None:
        """Add position and removal, with which rows are sorted where JavaScript is off."""
        super().add_fields(form, index)
        form.fields[ORDERING_FIELD_NAME].label = gettext("Position")
        form.fields[DELETION_FIELD_NAME].label = gettext("Remove on save")
        for field, name in _LIMITED_FIELDS.items():
            form.fields[field].widget.attrs["maxlength"] = LIMITS[name]
        for field in FIELDS:
            form.fields[field].label = _label(form.chosen_kind, field)

    @property
    def block_groups(self) -> tuple[BlockGroup, ...]:
        """The kinds of blocks that can be added, in the groups of the menu."""
        kinds = {kind.value: kind for kind in row_kinds()}
        return tuple(BlockGroup(str(label), tuple(kinds[kind] for kind in group)) for label, group in _BLOCK_GROUPS)

    @property
    def kinds_as_json(self) -> str:
        """For compose.js: each kind with its label and the labels of its fields."""
        return json.dumps(
            {
                kind.value: {"label": kind.label, "fields": kind.fields, "optional": kind.optional}
                for kind in row_kinds()
            }
        )

    def clean(self) -> None:
        """Require a section or block above the first story, and stories below a text block without text."""
        rows = self.rows_in_order()
        for row, below in zip(rows, [*rows, None][1:], strict=True):
            is_alone = below is None or below.cleaned_data.get("kind") != STORY
            if row.cleaned_data.get("kind") == SectionKind.TEXT and is_alone:
                for field, fault in section_faults(_section_of(row.cleaned_data)):
                    if field not in row.errors:
                        row.add_error(field, str(fault))
        if rows and rows[0].cleaned_data.get("kind") == STORY:
            rows[0].add_error(
                "title", gettext("This story has no section above it. Add a section above the story, or move it down.")
            )

    def in_order(self) -> list[RowForm]:
        """All rows in their submitted order, including removed and empty ones.

        A row takes the position that was typed. Of two rows with the same position, the one that was moved up comes
        first and the one that was moved down second.
        """
        return sorted(self.forms, key=_sort_key) if self.is_bound else list(self.forms)

    def typed_sections(self) -> tuple[SectionContent, ...]:
        """The rows as they were typed, valid or not; a story above all sections is in one without a heading."""
        rows = [form.typed for form in self.in_order() if not form.is_removed and not _is_empty_story(form.typed)]
        if rows and rows[0]["kind"] == STORY:
            rows.insert(0, {"kind": SECTION})
        return tuple(_sections(rows))

    def rows_in_order(self) -> list[RowForm]:
        """The rows that are kept, in their submitted order."""
        return [form for form in self.in_order() if not _is_ignored(form)]

    def sections(self) -> tuple[SectionContent, ...]:
        """The rows as sections with their stories; only after `is_valid`."""
        return tuple(_sections([form.cleaned_data for form in self.rows_in_order()]))


def row_formset(data: Any, content: IssueContent | None) -> RowFormSet:
    """The forms for the rows of `content`, bound to `data` if the form was submitted."""
    made = formset_factory(
        RowForm,
        formset=RowFormSet,
        extra=EXTRA_ROWS,
        max_num=MAX_ROWS,
        absolute_max=2 * MAX_ROWS,
        validate_max=True,
        can_order=True,
        can_delete=True,
    )
    formset: Any = made(data, prefix="rows", initial=rows_of(content) if content else [])
    return formset  # type: ignore[no-any-return]


def rows_of(content: IssueContent) -> list[dict[str, str]]:
    """The content as rows: each section, followed by its stories."""
    return list(_rows(content))


def row_of(part: SectionContent | StoryContent) -> dict[str, str]:
    """One section, block or story as a row."""
    if isinstance(part, StoryContent):
        return {"kind": STORY} | {field: getattr(part, field) for field in STORY_FIELDS}
    return {"kind": part.kind.value} | {field: getattr(part, field) for field in FIELDS}


def _rows(content: IssueContent) -> Iterator[dict[str, str]]:
    for section in content.sections:
        yield row_of(section)
        yield from map(row_of, section.stories)


def _sections(rows: list[dict[str, Any]]) -> Iterator[SectionContent]:
    heads = [index for index, row in enumerate(rows) if row["kind"] != STORY]
    for start, end in itertools.pairwise([*heads, len(rows)]):
        yield _section_of(rows[start], tuple(_story_of(row) for row in rows[start + 1 : end]))


def _section_of(row: dict[str, Any], stories: tuple[StoryContent, ...] = ()) -> SectionContent:
    own = {field: row.get(field) or "" for field in FIELDS} | {"body": _body(row)}
    return SectionContent(kind=SectionKind(row["kind"]), stories=stories, **own)


def _story_of(row: dict[str, Any]) -> StoryContent:
    own = {field: row.get(field) or "" for field in STORY_FIELDS} | {"body": _body(row)}
    return StoryContent(**own)


def _body(row: dict[str, Any]) -> str:
    body = row.get("body") or ""
    return body if body.strip() else ""


def _plain(body: str) -> str:
    return body.replace("\r\n", "\n").replace("\r", "\n")


def _is_empty_story(row: Mapping[str, str]) -> bool:
    return row["kind"] == STORY and not any(row[field].strip() for field in FIELDS)


def _is_ignored(form: RowForm) -> bool:
    row = form.cleaned_data if hasattr(form, "cleaned_data") else {}
    if row.get(DELETION_FIELD_NAME):
        return True
    has_content = any(str(row.get(field) or "").strip() for field in FIELDS)
    return not has_content and row.get("kind", STORY) == STORY and not form.errors


def _sort_key(form: RowForm) -> tuple[float, int]:
    """The position, then whether the row was moved up (-1), moved down (1) or left where it was (0)."""
    position, before = form.cleaned_data.get(ORDERING_FIELD_NAME), form.fields[ORDERING_FIELD_NAME].initial
    if position is None:
        return (float("inf"), 0)
    return (position, 0 if before is None else (position > before) - (position < before))
