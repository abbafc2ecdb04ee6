"""Plans of imports: what columns are taken for, what has to be answered, and what is refused before a row is read."""

from __future__ import annotations

import datetime
import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from subscribers.imports.plan import (
    DateOrder,
    ImportPlan,
    ProofKind,
    Target,
    TargetKind,
    guess_mapping,
    problems,
)
from subscribers.imports.presets import Preset, preset_named, recognise
from subscribers.imports.rows import RowRefusal, RowState, read_rows
from subscribers.imports.source import open_source
from subscribers.models import FieldKind
from tests.subscribers.imports.exports_of import export_of
from tests.subscribers.imports.files import STATEMENT, opened, plan_of, table_of

K = TargetKind


def guessed(folder: Path, data: str, name: str = "people.csv") -> dict[str, Target]:
    """By the name of the column."""
    table = table_of(folder, data, name)
    plan = guess_mapping(table, recognise(table, name))
    return {table.header[index] if table.header else str(index): target for index, target in plan.mapping.items()}


def test_columns_are_recognised_by_their_usual_names_in_four_languages(tmp_path: Path) -> None:
    kinds = {
        "E-Mail": K.ADDRESS,
        "Vorname": K.FIRST_NAME,
        "Apellidos": K.LAST_NAME,
        "Étiquettes": K.TAGS,
        "Subscription_Status": K.STATE,
        "subscribed-at": K.JOINED_AT,
        "Bestätigt am": K.CONFIRMED_AT,
        "UNSUBSCRIBED_AT": K.ENDED_AT,
        "Opt-in IP": K.EVIDENCE,
        "Time Zone": K.TIME_ZONE,
        "Sprache": K.LANGUAGE,
        "Notes": K.NOTE,
        "UUID": K.IGNORE,
    }
    cells = ["ada@example.org", "Ada", "L", "a", "active", *["2024-01-01"] * 3, "192.0.2.1", "UTC", "de", "n", "1"]
    found = guessed(tmp_path, ",".join(kinds) + "\n" + ",".join(cells) + "\n")
    assert {name: target.kind for name, target in found.items()} == kinds


def test_the_address_column_is_found_by_its_values(tmp_path: Path) -> None:
    assert guessed(tmp_path, "Wer,Wohin\nAda,ada@example.org\nBen,ben@example.org\n")["Wohin"].kind == K.ADDRESS
    # The name is that of an address, but the column has post addresses.
    found = guessed(tmp_path, "Email,Contact\nHarbour Road 1,ada@example.org\nQuay 2,ben@example.org\n")
    assert found["Contact"].kind == K.ADDRESS
    assert guessed(tmp_path, "Ada,ada@example.org\nBen,ben@example.org\n")["1"].kind == K.ADDRESS


def test_a_state_of_a_country_is_not_a_state_of_a_subscription(tmp_path: Path) -> None:
    found = guessed(tmp_path, "email,state\na@example.org,CA\nb@example.org,TX\n")
    assert found["state"].kind == K.NEW_FIELD
    assert guessed(tmp_path, "email,state\na@example.org,CA\nb@example.org,active\n")["state"].kind == K.STATE
    # A column called status is one, so that no word in it becomes active unread.
    assert guessed(tmp_path, "email,status\na@example.org,weg\nb@example.org,da\n")["status"].kind == K.STATE


@pytest.mark.parametrize(
    ("cells", "kind"),
    [
        (("Elster", "Möwe"), FieldKind.TEXT),
        (("1", "2.5", ""), FieldKind.NUMBER),
        (("0", "1"), FieldKind.NUMBER),
        (("01234", "12345"), FieldKind.TEXT),
        (("+4930123", "1"), FieldKind.TEXT),
        (("yes", "No"), FieldKind.YES_NO),
        (("TRUE", "FALSE"), FieldKind.YES_NO),
        (("1962-05-31", "31.12.1970"), FieldKind.DATE),
        (("1962-05-31", "unknown"), FieldKind.TEXT),
    ],
)
def test_the_type_of_a_new_field_is_guessed_from_its_values(
    cells: tuple[str, ...], kind: FieldKind, tmp_path: Path
) -> None:
    rows = "".join(f"reader{number}@example.org,{cell}\n" for number, cell in enumerate(cells))
    field = guessed(tmp_path, "email,Boat\n" + rows)["Boat"]
    assert (field.kind, field.key, field.label, field.field_kind) == (K.NEW_FIELD, "boat", "Boat", kind)


def test_keys_of_new_fields_are_unique_and_valid(tmp_path: Path) -> None:
    names = ["email", "Größe!", "grosse", "GROSSE", "1st", "例え", "First_name ", "x" * 90, ""]
    cells = ["a@example.org"] + ["x"] * 8
    found = guessed(tmp_path, ",".join(names) + "\n" + ",".join(cells) + "\n")
    keys = [target.key for target in found.values() if target.kind == K.NEW_FIELD]
    assert keys == ["grosse", "grosse_2", "grosse_3", "field_1st", "field", "x" * 36]
    assert found["First_name"].kind == K.FIRST_NAME


def test_a_column_without_values_is_not_imported(tmp_path: Path) -> None:
    assert "Boat" not in guessed(tmp_path, "email,Boat\na@example.org,\n")


@pytest.mark.parametrize(
    ("date", "order"), [("03/13/2024", "month_first"), ("13/03/2024", "day_first"), ("03/04/2024", "day_first")]
)
def test_the_order_of_day_and_month_is_found_in_the_values(date: str, order: str, tmp_path: Path) -> None:
    table = table_of(tmp_path, f"email,created\na@example.org,03/04/2024\nb@example.org,{date}\n")
    assert guess_mapping(table, recognise(table, "a.csv")).date_order == order


def test_attributes_become_fields(tmp_path: Path) -> None:
    export = export_of("listmonk", 20)
    table = table_of(tmp_path, export.data, export.name)
    plan = plan_of(table, export.name)
    assert [(field.key, field.label, field.field_kind) for field in plan.new_fields()] == [
        ("boat", "boat", FieldKind.TEXT),
        ("berth", "berth", FieldKind.NUMBER),
        ("last_name", "Last name", FieldKind.TEXT),
    ]


def test_only_new_fields_have_to_be_made() -> None:
    plan = ImportPlan(
        "other", "a", {0: Target(K.FIELD, "boat"), 1: Target(K.NEW_FIELD, "berth", "Berth"), 2: Target(K.TAGS)}
    )
    assert [field.key for field in plan.new_fields()] == ["berth"]


TARGETS = st.builds(
    Target,
    st.sampled_from(TargetKind),
    st.text(max_size=5),
    st.text(max_size=5),
    st.sampled_from([None, *FieldKind]),
    st.just(()) | st.just((Target(K.NEW_FIELD, "boat", "Boat", FieldKind.TEXT),)),
)
ANSWERS = st.sampled_from([None, *RowState, *RowRefusal])


@given(
    st.builds(
        ImportPlan,
        preset=st.sampled_from(["other", "ghost"]),
        table=st.text(max_size=10),
        mapping=st.dictionaries(st.integers(0, 50), TARGETS, max_size=5),
        file_state=ANSWERS,
        needs_state_answer=st.booleans(),
        default_state=ANSWERS,
        proof=st.sampled_from([None, *ProofKind]),
        statement=st.text(max_size=10),
        proof_date=st.none() | st.dates(),
        date_order=st.sampled_from(DateOrder),
        time_zone=st.sampled_from(["UTC", "Europe/Berlin"]),
        tag_all=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    )
)
def test_a_plan_is_stored_and_read_back(plan: ImportPlan) -> None:
    assert ImportPlan.from_json(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize(
    "change", [{"preset": None}, {"mapping": 3}, {"proof": "x"}, {"mapping": {"x": {}}}, {"file_state": "x"}]
)
def test_what_is_no_plan_is_refused(change: dict[str, object]) -> None:
    values = ImportPlan("other", "a").to_json() | change
    if values["preset"] is None:
        del values["preset"]
    with pytest.raises(ValueError, match=r"."):
        ImportPlan.from_json(values)


PEOPLE = "email,name,boat\nada@example.org,Ada,Elster\n"


def problems_of(folder: Path, data: str = PEOPLE, name: str = "people.csv", **change: object) -> dict[str, str]:
    """The problems of the guessed plan with all answers and this change, by field."""
    table = table_of(folder, data, name)
    plan = plan_of(table, name, answer=RowState.ACTIVE)
    found = dict(problems(replace(plan, **change), table))  # type: ignore[arg-type]
    assert all(sentence.endswith(".") for sentence in found.values())
    return found


def test_a_plan_with_all_answers_has_no_problems(tmp_path: Path) -> None:
    assert problems_of(tmp_path) == {}


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"mapping": {1: Target(K.FULL_NAME)}}, "mapping"),
        ({"mapping": {0: Target(K.ADDRESS), 1: Target(K.ADDRESS)}}, "mapping"),
        ({"mapping": {0: Target(K.ADDRESS), 1: Target(K.NOTE), 2: Target(K.NOTE)}}, "mapping"),
        ({"mapping": {0: Target(K.ADDRESS), 1: Target(K.FIELD, "a"), 2: Target(K.NEW_FIELD, "a")}}, "mapping"),
        ({"mapping": {0: Target(K.ADDRESS), 7: Target(K.NOTE)}}, "mapping"),
        ({"default_state": None}, "default_state"),
        ({"proof": None}, "proof"),
        ({"statement": "  "}, "statement"),
        ({"proof": ProofKind.DOUBLE_OPT_IN_ELSEWHERE}, "proof_date"),
        ({"proof": ProofKind.EXISTING_CUSTOMER}, "proof_date"),
        ({"proof": ProofKind.SUPPRESSION_LIST}, "default_state"),
        ({"table": "other.csv"}, "table"),
        ({"time_zone": "Berlin"}, "time_zone"),
    ],
)
def test_what_is_missing_is_named_at_its_field(change: dict[str, object], code: str, tmp_path: Path) -> None:
    assert list(problems_of(tmp_path, PEOPLE, "people.csv", **change)) == [code]


def test_a_proof_with_a_date_is_complete(tmp_path: Path) -> None:
    day = datetime.date(2024, 5, 31)
    assert problems_of(tmp_path, proof=ProofKind.EXISTING_CUSTOMER, proof_date=day) == {}
    data = "email,created_at\nada@example.org,2024-05-31\n"
    assert problems_of(tmp_path, data, proof=ProofKind.DOUBLE_OPT_IN_ELSEWHERE) == {}


SUPPRESSED = [
    ("suppressions.csv", "email\nada@example.org\n"),
    ("my-bounces-2024.csv", "email\nada@example.org\n"),
    ("unsubscribed.csv", "email\nada@example.org\n"),
    ("export.csv", "EmailAddress,SuppressionReason,Origin,CreatedAt\nada@example.org,HardBounce,Recipient,\n"),
    ("export.csv", "status,reason,email,created\n5.1.1,no such user,ada@example.org,1700000000\n"),
]


@pytest.mark.parametrize(("name", "data"), SUPPRESSED)
def test_an_export_of_suppressions_is_not_taken_for_subscribers(name: str, data: str, tmp_path: Path) -> None:
    for answer in (RowState.ACTIVE, RowState.PENDING):
        assert "default_state" in problems_of(tmp_path, data, name, default_state=answer)
    for other in (RowState.UNSUBSCRIBED, RowState.BOUNCED, RowState.COMPLAINED):
        if not data.startswith("status"):
            assert problems_of(tmp_path, data, name, default_state=other) == {}


@pytest.mark.parametrize("name", ["unsubscribed.xlsx", "Bounces 2024.zip"])
def test_the_name_of_a_spreadsheet_or_zip_shows_suppressions_too(name: str, tmp_path: Path) -> None:
    """Their tables have names of their own."""
    table = table_of(tmp_path, "email\nada@example.org\n", "Sheet1")
    plan = replace(plan_of(table, name, answer=RowState.ACTIVE), statement=STATEMENT)
    assert problems(plan, table) == []
    assert [code for code, _sentence in problems(plan, table, name)] == ["default_state"]


def test_what_a_file_tells_cannot_be_answered_away(tmp_path: Path) -> None:
    export = export_of("mailchimp", 4)
    for table in opened(tmp_path, export.data, export.name).tables:
        plan = plan_of(table, export.name)
        assert problems(plan, table) == []
        codes = [code for code, _sentence in problems(replace(plan, default_state=RowState.ACTIVE), table)]
        assert codes == ([] if plan.file_state == RowState.ACTIVE else ["default_state"])


@pytest.mark.parametrize(
    ("suffix", "answer", "is_accepted"),
    [
        ("active", RowState.PENDING, True),
        ("active", RowState.UNSUBSCRIBED, True),
        ("unconfirmed", RowState.ACTIVE, False),
        ("bounced", RowState.PENDING, False),
        ("bounced", RowState.COMPLAINED, True),
        ("all", RowState.ACTIVE, False),
        ("all", RowState.PENDING, False),
        ("all", RowState.UNSUBSCRIBED, True),
    ],
)
def test_an_answer_may_only_be_more_careful_than_the_file(
    suffix: str, answer: RowState, is_accepted: bool, tmp_path: Path
) -> None:
    name = f"harbour-{suffix}.csv"
    found = problems_of(tmp_path, '"Ada","ada@example.org"\n', name, default_state=answer)
    assert ("default_state" not in found) == is_accepted


def test_a_list_of_suppressions_needs_no_statement(tmp_path: Path) -> None:
    change: dict[str, object] = {
        "proof": ProofKind.SUPPRESSION_LIST,
        "statement": "",
        "default_state": RowState.COMPLAINED,
    }
    assert problems_of(tmp_path, PEOPLE, "people.csv", **change) == {}


def test_an_editor_can_choose_another_tool(tmp_path: Path) -> None:
    table = table_of(tmp_path, "email,first_name,status,created_at\na@example.org,Ada,inactive,2024-01-01\n")
    assert recognise(table, "a.csv").name == "kit"
    for name, state in (
        ("beehiiv", RowState.UNSUBSCRIBED),
        ("kit", RowState.PENDING),
        ("other", RowState.UNSUBSCRIBED),
    ):
        preset = preset_named(name, table, "a.csv")
        plan = guess_mapping(table, preset)
        assert plan.preset == name
        assert [row.state for row in read_rows(table, plan)] == [state]
    assert preset_named("no such tool", table, "a.csv").name == "other"


def test_an_answer_about_listmonk_is_always_needed(tmp_path: Path) -> None:
    export = export_of("listmonk", 3)
    (table,) = open_source(export.written(tmp_path), export.name).tables
    plan = replace(plan_of(table, export.name), statement=STATEMENT)
    assert [code for code, _sentence in problems(plan, table)] == ["default_state"]
    rows = list(read_rows(table, plan))
    assert [row.refusal or row.state for row in rows] == [
        RowRefusal.NO_STATE,
        RowState.UNSUBSCRIBED,
        RowState.UNSUBSCRIBED,
    ]


def test_a_file_that_is_not_recognised_has_no_preset(tmp_path: Path) -> None:
    table = table_of(tmp_path, "email,boat\na@example.org,Elster\n")
    assert recognise(table, "subscribed.csv") == Preset("other", recognise(table, "a.csv").certainty)
