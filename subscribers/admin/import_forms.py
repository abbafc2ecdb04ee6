"""The forms of the import wizard: the file, and the meaning of its columns with the proof of consent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from subscribers.imports.columns import new_field
from subscribers.imports.files import MAX_FILE_SIZE
from subscribers.imports.plan import DateOrder, ImportPlan, ProofKind, Target, TargetKind, problems
from subscribers.imports.presets import PRESET_LABELS
from subscribers.imports.source import Source, Table
from subscribers.imports.states import RowState
from subscribers.models import CustomField, FieldKind, MailingList, UpdateMode

#: The tools that the first page offers; others are recognised, too.
OFFERED = ("mailchimp", "substack", "ghost", "buttondown", "kit", "beehiiv", "listmonk")

#: What to export there.
HINTS = {
    "": gettext_lazy("The tool is recognised by the columns. You can change everything on the next page."),
    "mailchimp": gettext_lazy(
        "upload the ZIP from Audience → Export audience. It holds subscribed, unsubscribed, non-subscribed and "
        "cleaned contacts. Contacts who unsubscribed or bounced are never mailed."
    ),
    "substack": gettext_lazy(
        "upload the ZIP from Settings → Export. Only its list of addresses is read. Subscribers who turned off "
        "mail are imported as unsubscribed."
    ),
    "ghost": gettext_lazy(
        "upload the CSV export of all subscribers. It does not say who bounced: they are imported as unsubscribed, "
        "like those who left."
    ),
    "buttondown": gettext_lazy("upload the CSV of all subscribers, not only of the active ones."),
    "kit": gettext_lazy("upload the CSV of all subscribers, with the column of their status."),
    "beehiiv": gettext_lazy("upload the full CSV export with the column “status”."),
    "listmonk": gettext_lazy(
        "export each list and each subscription status as a file of its own: the file does not contain who "
        "unsubscribed from the list. You are asked for it on the next page."
    ),
    "other": gettext_lazy(
        "CSV, TSV or XLSX with a column of addresses. Export all subscribers, not only the active ones, so that no "
        "later file subscribes again who has left."
    ),
}

#: What follows from each answer.
CONSEQUENCES = {
    ProofKind.DOUBLE_OPT_IN_ELSEWHERE: gettext_lazy(
        "Active subscribers get the next issue. Dates and IP addresses are kept."
    ),
    ProofKind.SINGLE_OPT_IN: gettext_lazy(
        "They are stored as pending and get no issue until they sign up and confirm here. The import sends no mail."
    ),
    ProofKind.EXISTING_CUSTOMER: gettext_lazy(
        "Active subscribers get the next issue. State when and how they could opt out."
    ),
    ProofKind.PAPER_OR_EVENT: gettext_lazy("Active subscribers get the next issue. State when and where they agreed."),
    ProofKind.SUPPRESSION_LIST: gettext_lazy("All addresses are suppressed: no list mails them."),
    ProofKind.UNKNOWN: gettext_lazy(
        "They are stored as pending and get no issue until they sign up and confirm here. The import sends no mail."
    ),
}

#: Targets of a column that need no more than their kind.
PLAIN_TARGETS = [
    kind for kind in TargetKind if kind not in (TargetKind.FIELD, TargetKind.NEW_FIELD, TargetKind.ATTRIBUTES)
]

#: First values of a column that are shown.
SAMPLES = 2


class UploadForm(forms.Form):
    """Where the subscribers come from, and the file."""

    mailing_list = forms.ModelChoiceField(
        MailingList.objects.order_by("name"), empty_label=None, label=gettext_lazy("Mailing list")
    )
    preset = forms.ChoiceField(
        required=False, label=gettext_lazy("Where do the subscribers come from?"), widget=forms.RadioSelect
    )
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy(
            "CSV, TSV, XLSX, or a ZIP of CSV files. For files of more than 16 MB, run "
            "“manage.py import_subscribers FILE” on the server."
        ),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        others = [name for name in PRESET_LABELS if name not in (*OFFERED, "other")]
        labels = {"": _("Recognise the file"), **{name: str(PRESET_LABELS[name]) for name in (*OFFERED, *others)}}
        choices = [(name, label) for name, label in labels.items() if name in ("", *OFFERED)]
        self.fields["preset"].choices = [*choices, ("other", str(PRESET_LABELS["other"]))]  # type: ignore[attr-defined]

    def clean_file(self) -> UploadedFile[Any]:
        """Refuse a file that is too large."""
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > MAX_FILE_SIZE:
            raise forms.ValidationError(_("The file is larger than %(limit)d MB.") % {"limit": MAX_FILE_SIZE // 10**6})
        return file


@dataclass(slots=True)
class Column:
    """A column of the file; columns with the same name in several tables of a ZIP are one."""

    name: str
    guess: Target
    places: list[tuple[int, int]] = field(default_factory=list)
    """Number of the table and of the column in it."""
    values: list[str] = field(default_factory=list)


def columns_of(source: Source, plans: Sequence[ImportPlan]) -> list[Column]:
    """All columns of all tables, in the order of their first place."""
    found: dict[tuple[str, int], Column] = {}
    for number, (table, plan) in enumerate(zip(source.tables, plans, strict=True)):
        rows, seen = table.samples(20), dict[str, int]()
        for index in range(table.width):
            name = table.header[index] if index < len(table.header) else ""
            name = name or _("Column %(number)d") % {"number": index + 1}
            seen[name] = seen.get(name, 0) + 1
            guess = plan.mapping.get(index, Target(TargetKind.IGNORE))
            column = found.setdefault((name, seen[name]), Column(name, guess))
            if column.guess.kind == TargetKind.IGNORE:
                column.guess = guess
            column.places.append((number, index))
            cells = [row.cells[index][:40] for row in rows if index < len(row.cells) and row.cells[index].strip()]
            column.values = list(dict.fromkeys([*column.values, *cells]))[:SAMPLES]
    return list(found.values())


def _code(target: Target) -> str:
    """The target as the value of an option."""
    return f"{target.kind.value}:{target.key}" if target.key else target.kind.value


class PlanForm(forms.Form):
    """What each column becomes, and how these subscribers agreed."""

    default_state = forms.ChoiceField(
        required=False, label=gettext_lazy("Who is in this file?"), widget=forms.RadioSelect
    )
    proof = forms.ChoiceField(
        required=False, label=gettext_lazy("How did these subscribers agree?"), widget=forms.RadioSelect
    )
    statement = forms.CharField(
        required=False,
        max_length=2000,
        label=gettext_lazy("Statement for the record"),
        help_text=gettext_lazy("Stored with your name and the date as proof of consent of each subscriber."),
        widget=forms.Textarea(attrs={"rows": 3}),
    )
    proof_date = forms.DateField(
        required=False,
        label=gettext_lazy("When they agreed, if the file does not contain it"),
        widget=forms.DateInput(attrs={"type": "date"}, format="%Y-%m-%d"),
    )
    update_mode = forms.ChoiceField(
        label=gettext_lazy("Subscribers who are on the list already"), choices=UpdateMode.choices
    )
    date_order = forms.ChoiceField(
        label=gettext_lazy("Order of day and month"),
        choices=[
            (DateOrder.DAY_FIRST.value, gettext_lazy("Day first: 31/12/2026")),
            (DateOrder.MONTH_FIRST.value, gettext_lazy("Month first: 12/31/2026")),
        ],
    )
    time_zone = forms.CharField(label=gettext_lazy("Time zone of dates without one"), max_length=64)
    tag_all = forms.CharField(
        required=False,
        max_length=300,
        label=gettext_lazy("Tags for all subscribers of the file"),
        help_text=gettext_lazy("Separated by commas."),
    )

    def __init__(
        self, *args: Any, source: Source, plans: Sequence[ImportPlan], known: dict[str, CustomField], **kwargs: Any
    ) -> None:
        self.source, self.plans, self.known = source, plans, known
        first = plans[0]
        # An answer counts for tables only that do not tell the state themselves, by their names, columns or dates.
        untold = [plan for plan in plans if plan.file_state is None and plan.preset != "mailcoach"]
        answer = next((plan.default_state for plan in untold if plan.default_state), None)
        kwargs["initial"] = {
            "default_state": answer.value if answer else "",
            "proof": first.proof.value if first.proof else "",
            "statement": first.statement,
            "proof_date": first.proof_date,
            "date_order": first.date_order.value,
            "time_zone": first.time_zone,
            "tag_all": ", ".join(first.tag_all),
            **kwargs.get("initial", {}),
        }
        super().__init__(*args, **kwargs)
        self.columns = columns_of(source, plans)
        for column in self.columns:
            column.guess = self._known_field(column.guess)
        self.asks_for_state = any(plan.needs_state_answer for plan in plans)
        nothing = [] if self.asks_for_state else [("", _("Do not import these rows"))]
        self._choices("default_state", [*nothing, *RowState.choices])
        self._choices("proof", ProofKind.choices)
        if not untold:
            del self.fields["default_state"]
        self._targets: dict[str, dict[str, Target]] = {}
        for number, column in enumerate(self.columns):
            name = f"column-{number}"
            targets = self._targets[name] = self._targets_of(column)
            self.fields[name] = forms.ChoiceField(
                label=column.name,
                initial=_code(column.guess),
                choices=[(code, self._label(target)) for code, target in targets.items()],
            )

    def _choices(self, name: str, choices: Sequence[tuple[str, Any]]) -> None:
        self.fields[name].choices = list(choices)  # type: ignore[attr-defined]

    def _known_field(self, guess: Target) -> Target:
        """The list's own field instead of a new one with the same key."""
        row = self.known.get(guess.key) if guess.kind == TargetKind.NEW_FIELD else None
        return Target(TargetKind.FIELD, row.key, row.label, FieldKind(row.kind)) if row else guess

    def _targets_of(self, column: Column) -> dict[str, Target]:
        """What the column may become, by the value of the option."""
        new = new_field(column.name, column.values, set(self.known))
        targets = [Target(kind) for kind in PLAIN_TARGETS]
        targets += [Target(TargetKind.FIELD, key, row.label, FieldKind(row.kind)) for key, row in self.known.items()]
        return {_code(target): target for target in (*targets, new, column.guess)}

    def _label(self, target: Target) -> str:
        if target.kind == TargetKind.FIELD:
            known = self.known.get(target.key)
            return _("Field: %(name)s") % {"name": known.label if known else target.key}
        if target.kind == TargetKind.NEW_FIELD:
            kind = (target.field_kind or FieldKind.TEXT).label
            return _("New field: %(name)s (%(kind)s)") % {"name": target.label or target.key, "kind": kind}
        return str(target.kind.label)

    def rows(self) -> list[tuple[Column, Any]]:
        """Each column with its field."""
        return [(column, self[f"column-{number}"]) for number, column in enumerate(self.columns)]

    def proofs(self) -> list[tuple[Any, str]]:
        """Each radio button of the proof with its consequence."""
        return [(radio, str(CONSEQUENCES[ProofKind(radio.data["value"])])) for radio in self["proof"]]

    def clean(self) -> dict[str, Any]:
        """The plans of all tables, with what is missing as errors of the fields."""
        data = super().clean() or self.cleaned_data
        if not self.errors:
            self.plans = [self._plan(number, plan) for number, plan in enumerate(self.plans)]
            shown = set[tuple[str, str]]()
            for plan, table in zip(self.plans, self.source.tables, strict=True):
                for name, sentence in problems(plan, table, self.source.name):
                    if (name, sentence) not in shown:
                        shown.add((name, sentence))
                        self.add_error(self._field_of(name, table), sentence)
        return data

    def _field_of(self, name: str, table: Table) -> str | None:
        """The form's field for a field of the plan."""
        if name == "mapping" and table.width:
            return "column-0"
        return name if name in self.fields else None

    def _plan(self, number: int, plan: ImportPlan) -> ImportPlan:
        data = self.cleaned_data
        mapping = {}
        for place, column in enumerate(self.columns):
            name = f"column-{place}"
            target = self._targets[name][data[name]]
            for table, index in column.places:
                if table == number:
                    same = plan.mapping.get(index)
                    mapping[index] = same if same is not None and _code(same) == data[name] else target
        state = data.get("default_state")
        return replace(
            plan,
            mapping={index: target for index, target in mapping.items() if target.kind != TargetKind.IGNORE},
            default_state=plan.default_state if plan.file_state else RowState(state) if state else None,
            proof=ProofKind(data["proof"]) if data["proof"] else None,
            statement=data["statement"].strip(),
            proof_date=data["proof_date"],
            date_order=DateOrder(data["date_order"]),
            time_zone=data["time_zone"],
            tag_all=tuple(tag.strip() for tag in data["tag_all"].split(",") if tag.strip()),
        )
