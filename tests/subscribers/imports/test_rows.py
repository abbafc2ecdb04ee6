"""Rows of import files: addresses, states, names, tags, dates and evidence; what is refused, and why."""

from __future__ import annotations

import datetime
import unicodedata
from dataclasses import replace
from pathlib import Path

import pytest
from django.utils import translation
from hypothesis import given, settings
from hypothesis import strategies as st

from subscribers.imports.plan import ImportPlan, Target, TargetKind
from subscribers.imports.rows import STATE_RANK, ImportRow, RowRefusal, RowState, read_rows, refusal_sentence
from subscribers.imports.source import SourceRow, Table
from subscribers.models import FieldKind
from tests.subscribers.imports.files import plan_of, rows_of, table_of

K = TargetKind


def read(
    *rows: list[str], preset: str = "other", answer: RowState | None = RowState.ACTIVE, **more: object
) -> list[ImportRow]:
    """Rows with an address and columns for these targets, as keyword `targets`."""
    targets = more.pop("targets", ())
    assert isinstance(targets, tuple)
    mapping = dict(enumerate((Target(K.ADDRESS), *targets)))
    header = tuple(f"c{index}" for index in mapping)
    lines = [SourceRow(number, cells) for number, cells in enumerate(rows, 2)]
    table = Table("people.csv", header, len(header), "utf-8", "comma", lambda: iter(lines))
    plan = ImportPlan(preset, "people.csv", mapping, default_state=answer, **more)  # type: ignore[arg-type]
    return list(read_rows(table, plan))


def read_one(*cells: str, **more: object) -> ImportRow:
    """One row with a valid address and these cells."""
    (row,) = read(["ada@example.org", *cells], **more)  # type: ignore[arg-type]
    return row


@pytest.mark.parametrize(
    ("cell", "address", "name"),
    [
        ("Ada@Example.org", "Ada@Example.org", ""),
        (" ada@example.org ", "ada@example.org", ""),
        ("Ada <ada@example.org>", "ada@example.org", "Ada"),
        ('"Lovelace, Ada" <ada@example.org>', "ada@example.org", "Ada"),
        ("<ada@example.org>", "ada@example.org", ""),
        ("Ada Lovelace <Ada@example.org >", "Ada@example.org", "Ada"),
        ("ada@example.org (Ada L.)", "ada@example.org", "Ada"),
        ("mailto:ada@example.org", "ada@example.org", ""),
        ("MAILTO:ada@example.org?subject=x", "ada@example.org", ""),
        ("ada@example.org <ada@example.org>", "ada@example.org", ""),
        ("ada@bücher.example", "ada@xn--bcher-kva.example", ""),
    ],
)
def test_an_address_is_read_with_or_without_a_name_around_it(cell: str, address: str, name: str) -> None:
    (row,) = read([cell])
    assert (row.refusal, row.address, row.canonical, row.first_name) == (None, address, address.lower(), name)


@pytest.mark.parametrize(
    ("cell", "refusal"),
    [
        ("", RowRefusal.NO_ADDRESS),
        ("  ", RowRefusal.NO_ADDRESS),
        ("ada", RowRefusal.INVALID_ADDRESS),
        ("m@@boats.example", RowRefusal.INVALID_ADDRESS),
        ("ada@localhost", RowRefusal.INVALID_ADDRESS),
        ("Ada <ada>", RowRefusal.INVALID_ADDRESS),
        ("\u212aelvin@example.org", RowRefusal.INVALID_ADDRESS),
        ("ada@example.org, ben@example.org", RowRefusal.TWO_ADDRESSES),
        ("ada@example.org ben@example.org", RowRefusal.TWO_ADDRESSES),
        ("ada@example.org;ben@example.org", RowRefusal.TWO_ADDRESSES),
        ("ada@example.org/ben@example.org", RowRefusal.INVALID_ADDRESS),
        ("Ada <ada@example.org>, Ben <ben@example.org>", RowRefusal.TWO_ADDRESSES),
        ("ada@example.org <ben@example.org>", RowRefusal.TWO_ADDRESSES),
        ("ada@example.org\x00", RowRefusal.NUL_CHARACTER),
        ("x@deletion-request.substack.com", RowRefusal.ERASED_THERE),
    ],
)
def test_a_cell_without_exactly_one_address_is_refused(cell: str, refusal: RowRefusal) -> None:
    (row,) = read([cell])
    assert row.refusal == refusal
    assert row.state is None
    assert row.cells == [cell]
    assert refusal_sentence(refusal, row.detail, row.address).endswith(".")


def test_the_sentence_of_a_refusal_says_what_to_change_in_the_language_of_the_viewer() -> None:
    (row,) = read([f"{'l' * 65}@example.org"])
    assert row.refusal is not None
    assert refusal_sentence(row.refusal, row.detail, row.address) == row.detail
    with translation.override("fr"):
        assert "dépasse 64 caractères" in refusal_sentence(row.refusal, row.detail, row.address)
    assert refusal_sentence(RowRefusal.UNKNOWN_STATE, "perhaps") == "The state “perhaps” is not known."


def test_a_row_with_more_columns_than_the_first_line_is_refused() -> None:
    """Its cells may have moved: a comma in a name that is not quoted puts another word in the column of the state."""
    wide, empty, short = read(
        ["ada@example.org", "a", "b", "active"], ["ben@example.org", "b", "", ""], ["cleo@example.org"],
        targets=(Target(K.FIRST_NAME),),
    )  # fmt: skip
    assert (wide.refusal, wide.detail, wide.cells[3]) == (RowRefusal.TOO_MANY_COLUMNS, "4", "active")
    assert (empty.refusal, empty.first_name) == (None, "b")
    assert (short.refusal, short.first_name) == (None, "")


def test_a_row_with_10_000_columns_is_refused_and_the_next_one_is_read(tmp_path: Path) -> None:
    data = "email,name\nada@example.org," + ",".join(["x"] * 10_000) + "\nben@example.org,Ben\n"
    wide, ben = rows_of(tmp_path, data, answer=RowState.ACTIVE)
    assert (wide.refusal, wide.line) == (RowRefusal.TOO_MANY_COLUMNS, 2)
    assert (ben.canonical, ben.line) == ("ben@example.org", 3)


def test_a_nul_character_refuses_its_row_only(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "email,name\nada@example.org,A\x00da\nben@example.org,Ben\n", answer=RowState.ACTIVE)
    assert [row.refusal for row in rows] == [RowRefusal.NUL_CHARACTER, None]


def test_reading_can_begin_at_any_line(tmp_path: Path) -> None:
    table = table_of(tmp_path, "email\n" + "".join(f"reader{number}@example.org\n" for number in range(5)))
    plan = plan_of(table, answer=RowState.ACTIVE)
    assert [row.line for row in read_rows(table, plan, start_line=5)] == [5, 6]


def test_a_word_that_is_not_known_is_never_active() -> None:
    rows = [["ada@example.org", word] for word in ("perhaps", "1", "true", "inactiv", "activeish", "Active Trial")]
    found = read(*rows, targets=(Target(K.STATE),))
    assert {row.refusal for row in found} == {RowRefusal.UNKNOWN_STATE}
    assert found[0].detail == "perhaps"


@given(st.text(max_size=20))
@settings(max_examples=50)
def test_no_word_but_the_known_ones_makes_a_row_active(word: str) -> None:
    row = read_one(word, targets=(Target(K.STATE),), answer=None)
    if row.state == RowState.ACTIVE:
        assert " ".join(word.casefold().split()) in (
            *("active", "subscribed", "confirmed", "aktiv", "abonniert", "bestätigt", "actif", "abonné", "confirmé"),
            *("activo", "suscrito", "confirmado"),
        )


def test_an_empty_state_needs_the_answer() -> None:
    assert read_one("", targets=(Target(K.STATE),), answer=None).refusal == RowRefusal.NO_STATE
    assert read_one("", targets=(Target(K.STATE),), answer=RowState.PENDING).state == RowState.PENDING
    assert read_one("bounced", targets=(Target(K.STATE),), answer=RowState.ACTIVE).state == RowState.BOUNCED


def test_words_are_read_whatever_their_capital_letters_and_hyphens() -> None:
    words = ("ACTIVE", " Subscribed ", "Un-Subscribed", "marked_as_spam", "Hard-Bounce", "not confirmed")
    rows = [read_one(word, targets=(Target(K.STATE),)) for word in words]
    assert [row.state or row.refusal for row in rows] == [
        RowState.ACTIVE,
        RowState.ACTIVE,
        RowRefusal.UNKNOWN_STATE,
        RowState.COMPLAINED,
        RowState.BOUNCED,
        RowState.PENDING,
    ]


@pytest.mark.parametrize(
    ("joined", "ended", "state"),
    [
        ("2024-01-01", "", RowState.ACTIVE),
        ("2024-01-01", "2024-02-01", RowRefusal.NO_STATE),
        # Somebody who came back.
        ("2024-03-01", "2024-02-01", RowState.ACTIVE),
        ("", "2024-02-01", RowRefusal.NO_STATE),
    ],
)
def test_an_active_row_with_a_later_date_of_leaving_needs_the_answer(
    joined: str, ended: str, state: RowState | RowRefusal
) -> None:
    targets = (Target(K.STATE), Target(K.JOINED_AT), Target(K.ENDED_AT))
    row = read_one("active", joined, ended, targets=targets, answer=None)
    assert (row.refusal or row.state) == state


def test_of_two_columns_with_a_state_the_stronger_counts() -> None:
    targets = (Target(K.STATE), Target(K.STATE))
    assert read_one("active", "complained", targets=targets).state == RowState.COMPLAINED
    assert read_one("bounced", "", targets=targets).state == RowState.BOUNCED
    assert read_one("active", "perhaps", targets=targets).refusal == RowRefusal.UNKNOWN_STATE


def test_a_complaint_outranks_a_bounce_and_every_no_outranks_active() -> None:
    assert sorted(RowState, key=STATE_RANK.__getitem__) == [
        RowState.PENDING,
        RowState.ACTIVE,
        RowState.UNSUBSCRIBED,
        RowState.BOUNCED,
        RowState.SUPPRESSED,
        RowState.COMPLAINED,
    ]


@pytest.mark.parametrize(
    ("cell", "first", "last"),
    [
        ("Ada Lovelace", "Ada", "Lovelace"),
        ("Lovelace, Ada", "Ada", "Lovelace"),
        ("Ada Lovelace, Ph.D.", "Ada", "Lovelace, Ph.D."),
        ("Ben Okoye, Jr.", "Ben", "Okoye, Jr."),
        ("Ada", "Ada", None),
        ("María de la Cruz", "María", "de la Cruz"),
        ("  Ada \n Lovelace ", "Ada", "Lovelace"),
        ("ada@example.org", "", None),
        ("Click www.example.org now", "Click", None),
        ("http://example.org", "", None),
        ("", "", None),
    ],
)
def test_a_full_name_is_split(cell: str, first: str, last: str | None) -> None:
    row = read_one(cell, targets=(Target(K.FULL_NAME),))
    assert (row.first_name, row.fields.get("last_name")) == (first, last)


def test_a_first_name_is_short_and_in_one_line() -> None:
    assert read_one("A" * 100, targets=(Target(K.FIRST_NAME),)).first_name == "A" * 60
    assert read_one("Ada\u202e\r\nBcc", targets=(Target(K.FIRST_NAME),)).first_name == "Ada Bcc"
    row = read_one("Ada", "Grace Hopper", targets=(Target(K.FIRST_NAME), Target(K.FULL_NAME)))
    assert (row.first_name, row.fields) == ("Ada", {"last_name": "Hopper"})


@pytest.mark.parametrize(
    ("cell", "tags"),
    [
        ("VIP, Blog", ("VIP", "Blog")),
        ("VIP;Blog", ("VIP", "Blog")),
        ("VIP|Blog", ("VIP", "Blog")),
        ('"VIP","Blog, news"', ("VIP", "Blog news")),
        ('"VIP", "Blog"', ("VIP", "Blog")),
        ("vip,VIP, Vip ", ("vip",)),
        ("A\\, B,C", ("A B", "C")),
        ("A,B,", ("A", "B")),
        (" , ", ()),
        ("x" * 70, ("x" * 60,)),
        ("a\u202eb\nc", ("a b c",)),
        (",".join(map(str, range(150))), tuple(map(str, range(100)))),
    ],
)
def test_tags_are_split_trimmed_and_kept_once(cell: str, tags: tuple[str, ...]) -> None:
    assert read_one(cell, targets=(Target(K.TAGS),)).tags == tags


def test_tags_of_several_columns_and_tags_for_everybody_are_joined() -> None:
    row = read_one("a,b", "B,c", targets=(Target(K.TAGS), Target(K.TAGS)), tag_all=("moved 2026", "C"))
    assert row.tags == ("moved 2026", "C", "a", "b")
    assert read_one(tag_all=("moved",)).tags == ("moved",)


def test_a_label_of_ghost_may_contain_a_semicolon() -> None:
    row = read_one("news; weekly,VIP", targets=(Target(K.TAGS),), preset="ghost")
    assert row.tags == ("news; weekly", "VIP")


def test_dates_are_in_utc_and_the_texts_are_evidence() -> None:
    targets = (Target(K.JOINED_AT), Target(K.CONFIRMED_AT), Target(K.ENDED_AT), Target(K.EVIDENCE))
    row = read_one(
        "2024-07-01 12:00", " 2024-07-02T00:00:00Z", "", "192.0.2.7", targets=targets, time_zone="Europe/Berlin"
    )
    assert row.joined_at == datetime.datetime(2024, 7, 1, 10, tzinfo=datetime.UTC)
    assert row.joined_at.utcoffset() == datetime.timedelta(0)
    assert row.confirmed_at == datetime.datetime(2024, 7, 2, tzinfo=datetime.UTC)
    assert row.ended_at is None
    assert row.evidence == {"c1": "2024-07-01 12:00", "c2": " 2024-07-02T00:00:00Z", "c4": "192.0.2.7"}


def test_a_date_that_cannot_be_read_keeps_the_person_and_its_text() -> None:
    row = read_one("last summer", "0000-00-00 00:00:00", targets=(Target(K.JOINED_AT), Target(K.CONFIRMED_AT)))
    assert (row.refusal, row.joined_at, row.detail) == (None, None, "c1")
    assert row.evidence == {"c1": "last summer", "c2": "0000-00-00 00:00:00"}


def test_of_several_dates_the_earliest_counts() -> None:
    row = read_one("2024-07-02", "2023-07-01", "", targets=(Target(K.JOINED_AT),) * 3)
    assert row.joined_at == datetime.datetime(2023, 7, 1, tzinfo=datetime.UTC)


def field(kind: FieldKind | None) -> Target:
    return Target(K.FIELD, "boat", "Boat", kind)


@pytest.mark.parametrize(
    ("kind", "cell", "value"),
    [
        (FieldKind.TEXT, " Elster\n1962 ", "Elster 1962"),
        (FieldKind.TEXT, "x" * 501, None),
        (FieldKind.DATE, "31.05.1962", "1962-05-31"),
        (FieldKind.DATE, "2024-05-31T23:30:00+02:00", "2024-05-31"),
        (FieldKind.DATE, "soon", None),
        (FieldKind.NUMBER, "3.5", "3.5"),
        (FieldKind.NUMBER, "3,5", None),
        (FieldKind.YES_NO, "Yes", "Yes"),
        (FieldKind.YES_NO, "perhaps", None),
        (None, "31.05.1962", "31.05.1962"),
        (FieldKind.CHOICES, "a, b", "a, b"),
    ],
)
def test_a_value_is_one_of_its_field_or_is_named(kind: FieldKind | None, cell: str, value: str | None) -> None:
    row = read_one(cell, targets=(field(kind),))
    assert row.fields == ({"boat": value} if value else {})
    assert row.detail == ("" if value else "c1")


def test_an_empty_cell_is_no_value() -> None:
    row = read_one(
        "", " ", "", "", targets=(field(FieldKind.TEXT), Target(K.NOTE), Target(K.EVIDENCE), Target(K.LAST_NAME))
    )
    assert (row.fields, row.note, row.evidence, row.detail) == ({}, "", {}, "")


@pytest.mark.parametrize(
    ("cell", "fields", "detail"),
    [
        ('{"boat": "Elster", "crew": 3.0, "left": null}', {"boat": "Elster", "crew": "3"}, ""),
        ('{"sails": ["a", "b"], "boat": {"name": "E"}}', {"sails": "a, b", "boat": '{"name": "E"}'}, ""),
        ("{'boat': 'Elster', 'other': 1}", {"boat": "Elster"}, ""),
        ('{"boat": true}', {"boat": "yes"}, ""),
        ("{broken", {}, "c1"),
        ("[1]", {}, "c1"),
        ("__import__('os')", {}, "c1"),
        ("{" * 5000, {}, "c1"),
        ('{"a":' * 5000, {}, "c1"),
        ("", {}, ""),
    ],
)  # fmt: skip
def test_attributes_are_read_and_never_run(cell: str, fields: dict[str, str], detail: str) -> None:
    names = ("boat", "crew", "sails", "left")
    target = Target(K.ATTRIBUTES, attributes=tuple(Target(K.NEW_FIELD, name, name, FieldKind.TEXT) for name in names))
    row = read_one(cell, targets=(target,))
    assert (row.refusal, row.fields, row.detail) == (None, fields, detail)


def test_zone_and_language_are_read_in_the_spelling_of_other_tools() -> None:
    targets = (Target(K.TIME_ZONE), Target(K.LANGUAGE), Target(K.NOTE))
    row = read_one("europe/berlin", "de_AT", "met at\nthe quay", targets=targets)
    assert (row.time_zone, row.language, row.note) == ("Europe/Berlin", "de", "met at\nthe quay")
    row = read_one("America/New York", "DE", "", targets=targets)
    assert (row.time_zone, row.language) == ("America/New_York", "de")
    row = read_one("CEST", "Klingon", "", targets=targets)
    assert (row.time_zone, row.language, row.detail) == ("", "", "c1, c2")


def test_columns_with_the_same_name_keep_their_evidence_apart(tmp_path: Path) -> None:
    table = table_of(tmp_path, "email,ip,ip,\na@example.org,192.0.2.1,192.0.2.2,x\n")
    plan = replace(plan_of(table, answer=RowState.ACTIVE), mapping={
        0: Target(K.ADDRESS), 1: Target(K.EVIDENCE), 2: Target(K.EVIDENCE), 3: Target(K.EVIDENCE),
    })  # fmt: skip
    (row,) = read_rows(table, plan)
    assert row.evidence == {"ip": "192.0.2.1", "ip (2)": "192.0.2.2", "Column 4": "x"}


ANY = st.text(max_size=40) | st.sampled_from(["ada@example.org", "2024-01-01", "active", "", "1", "{}"])


@pytest.mark.parametrize(
    ("text", "value"), [("2134", "2134"), ("0", "0"), ("0.5", "0.5"), ("-3", "-3"), ("02134", None), ("00", None)]
)
def test_a_number_with_a_leading_zero_is_none(text: str, value: str | None) -> None:
    (row,) = read(["ada@example.org", text], targets=(field(FieldKind.NUMBER),))
    assert list(row.fields.values()) == ([] if value is None else [value])
    assert bool(row.detail) is (value is None)


#: The bidirectional classes of characters that change the direction of the text after them.
TURNS_TEXT = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}


@given(st.lists(ANY, max_size=12), st.sampled_from(["other", "ghost", "mailcoach", "own", "shopify", "beehiiv"]))
@settings(max_examples=100)
def test_any_row_is_read_or_refused(cells: list[str], preset: str) -> None:
    kinds = (K.STATE, K.FULL_NAME, K.TAGS, K.JOINED_AT, K.ENDED_AT, K.NOTE, K.TIME_ZONE, K.LANGUAGE, K.ATTRIBUTES)
    targets = (*map(Target, kinds), field(FieldKind.DATE))
    (row,) = read(cells, preset=preset, targets=targets)
    assert (row.refusal is None) == (row.state is not None)
    if row.refusal is None:
        assert row.canonical
        assert "\0" not in "".join(
            [row.address, row.first_name, *row.tags, *row.fields.values(), *row.evidence.values()]
        )
        # Not `isprintable`: letters of a newer Unicode are no letters to this Python, but fit into a greeting.
        assert {unicodedata.category(each) for each in row.first_name}.isdisjoint({"Cc", "Cs", "Zl", "Zp"})
        assert {unicodedata.bidirectional(each) for each in row.first_name}.isdisjoint(TURNS_TEXT)
        assert len(row.first_name) <= 60


LEFT_AT = (Target(K.JOINED_AT), Target(K.ENDED_AT))


@pytest.mark.parametrize("answer", [RowState.ACTIVE, RowState.PENDING, None])
@pytest.mark.parametrize(
    ("joined", "left", "has_left"),
    [
        ("2024-01-01", "2024-05-01", True),
        ("", "2024-05-01", True),
        # A date that cannot be read is still one of leaving.
        ("2024-01-01", "1st of May", True),
        # Came back later.
        ("2024-06-01", "2024-05-01", False),
        ("2024-01-01", "", False),
        ("2024-01-01", "0000-00-00 00:00:00", False),
        ("2024-01-01", "NULL", False),
        ("2024-01-01", "no", False),
    ],
)
def test_an_answer_for_rows_without_a_state_never_subscribes_who_left(
    joined: str, left: str, has_left: bool, answer: RowState | None
) -> None:
    row = read_one(joined, left, targets=LEFT_AT, answer=answer)
    assert (row.refusal or row.state) == (RowState.UNSUBSCRIBED if has_left else answer or RowRefusal.NO_STATE)
    # The same with a column of states that is empty.
    row = read_one("", joined, left, targets=(Target(K.STATE), *LEFT_AT), answer=answer)
    assert (row.refusal or row.state) == (RowState.UNSUBSCRIBED if has_left else answer or RowRefusal.NO_STATE)


def test_a_stronger_answer_and_a_state_of_the_file_itself_stay() -> None:
    row = read_one("", "2024-05-01", targets=LEFT_AT, answer=RowState.BOUNCED)
    assert row.state == RowState.BOUNCED
    row = read_one("", "2024-05-01", targets=LEFT_AT, answer=RowState.ACTIVE, file_state=RowState.ACTIVE)
    assert row.state == RowState.ACTIVE


@pytest.mark.parametrize("answer", [None, RowState.ACTIVE, RowState.UNSUBSCRIBED])
@pytest.mark.parametrize("preset", ["other", "beehiiv", "kit", "mailerlite"])
def test_active_with_a_later_date_of_leaving_does_not_make_a_row_active(preset: str, answer: RowState | None) -> None:
    """beehiiv writes such rows, and asks its editors about them. Elsewhere an answer is about empty states."""
    targets = (Target(K.STATE), *LEFT_AT)
    row = read_one("active", "2024-01-01", "2024-05-01", targets=targets, preset=preset, answer=answer)
    counts = answer == RowState.UNSUBSCRIBED or (preset == "beehiiv" and answer is not None)
    assert (row.refusal or row.state) == (answer if counts else RowRefusal.NO_STATE)


@pytest.mark.parametrize(
    "rows",
    [
        # The quote of another row closes it.
        'ada@example.org,"Ada,active,x\nben@example.org,Ben,unsubscribed,x\ncleo@example.org,Cleo",active,x\n',
        'ada@example.org,"Ada,active,x\ncleo@example.org,Cleo",active,x\n',
        'ada@example.org,Ada,"active,x\nben@example.org,Ben,unsubscribed,x\ncleo@example.org,Cleo,active",x\n',
        'ada@example.org,Ada,active,"x\nben@example.org,Ben,unsubscribed,x\ncleo@example.org,Cleo,active,x"\n',
        'ada@example.org,"Ada,active,x\r\nben@example.org,Ben,unsubscribed,x\r\ncleo@example.org,Cleo",active,x\r\n',
    ],
)
def test_a_row_that_an_unclosed_quote_makes_of_several_is_refused(rows: str, tmp_path: Path) -> None:
    found = rows_of(tmp_path, f"email,name,status,note\n{rows}dina@example.org,Dina,active,x\n")
    assert [row.refusal or row.state for row in found] == [RowRefusal.UNCLOSED_QUOTE, RowState.ACTIVE]
    assert "cleo@example.org" in "".join(found[0].cells)


@pytest.mark.parametrize(
    "note", ["a\nb", "a, b\nben@example.org, his brother", "a\nben@example.org", "a\nben@example.org,b,c,d,e"]
)
def test_a_note_of_several_lines_is_read(note: str, tmp_path: Path) -> None:
    data = f'email,name,status,note\nada@example.org,Ada,active,"{note}"\n'
    (row,) = rows_of(tmp_path, data)
    assert (row.state, row.note) == (RowState.ACTIVE, note)


def test_a_row_that_ends_before_its_state_is_refused(tmp_path: Path) -> None:
    """A line break in a name tore this row apart."""
    data = (
        "uuid,email,name,attributes,status,created_at,updated_at\n1,ada@example.org,Ada\nLindqvist,{},blocklisted,,\n"
    )
    rows = rows_of(tmp_path, data, answer=RowState.ACTIVE)
    assert [row.refusal for row in rows] == [RowRefusal.NO_STATE, RowRefusal.INVALID_ADDRESS]
    data = "email,first_name,last_name,tags,subscribed_at,unsubscribed_at\nada@example.org,,,,2024-05-01\n"
    assert rows_of(tmp_path, data)[0].refusal == RowRefusal.NO_STATE


def test_a_row_may_end_before_other_columns(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, "email,status,name,note\nada@example.org,active\n")
    assert [row.state for row in rows] == [RowState.ACTIVE]


@pytest.mark.parametrize(
    ("preset", "own", "words"),
    [
        ("substack", "email_disabled", {"false": RowState.ACTIVE, "true": RowState.UNSUBSCRIBED}),
        ("ghost", "subscribed_to_emails", {"true": RowState.ACTIVE, "false": RowState.UNSUBSCRIBED}),
        ("brevo", "EMAIL_BLACKLISTED", {"No": RowState.ACTIVE, "Yes": RowState.UNSUBSCRIBED}),
        ("shopify", "Accepts Email Marketing", {"yes": RowState.ACTIVE, "no": RowRefusal.NEVER_OPTED_IN}),
    ],
)
def test_yes_and_no_are_states_in_the_column_of_the_tool_only(
    preset: str, own: str, words: dict[str, RowState | RowRefusal], tmp_path: Path
) -> None:
    """An editor may choose a wrong tool, and a column that means the opposite."""
    for name in (own, "wants mail"):
        data = f"email,{name}\n" + "".join(f"{index}@example.org,{word}\n" for index, word in enumerate(words))
        table = table_of(tmp_path, data)
        plan = ImportPlan(preset, table.name, {0: Target(K.ADDRESS), 1: Target(K.STATE)})
        found = [row.refusal or row.state for row in read_rows(table, plan)]
        assert found == (list(words.values()) if name == own else [RowRefusal.UNKNOWN_STATE] * 2)
