"""Exports of the seven tools: each person is read with the right state, name, tags, dates and evidence."""

from __future__ import annotations

import datetime
from collections.abc import Mapping
from pathlib import Path

import pytest

from subscribers.imports.plan import TargetKind, guess_mapping, problems
from subscribers.imports.presets import Certainty, StateSource, recognise
from subscribers.imports.rows import ImportRow, RowRefusal, RowState
from subscribers.imports.source import open_source
from tests.subscribers.imports.exports_of import WORDS, Export, export_of
from tests.subscribers.imports.files import rows_of


def read(export: Export, folder: Path) -> dict[str, ImportRow]:
    """The rows by canonical address."""
    return {row.canonical: row for row in rows_of(folder, export.data, export.name, answer=export.answer)}


@pytest.mark.parametrize("tool", WORDS)
def test_an_export_of_a_tool_is_recognised_and_everybody_has_the_right_state(tool: str, tmp_path: Path) -> None:
    export = export_of(tool, 320)
    path = export.written(tmp_path)
    for table in open_source(path, export.name).tables:
        preset = recognise(table, export.name)
        assert preset.name == tool
        assert preset.certainty == {"kit": Certainty.LOW, "beehiiv": Certainty.MIDDLE}.get(tool, Certainty.HIGH)
        assert preset.needs_state_answer == (tool == "listmonk")
    rows = read(export, tmp_path)
    assert {address: row.refusal or row.state for address, row in rows.items()} == export.expected


@pytest.mark.parametrize("tool", ["mailchimp", "kit", "beehiiv", "ghost", "listmonk"])
def test_names_tags_and_dates_are_read(tool: str, tmp_path: Path) -> None:
    export = export_of(tool, 60)
    rows = read(export, tmp_path)
    for person in export.people:
        row = rows[person.address.lower()]
        if row.refusal:
            continue
        assert row.address == person.address
        assert row.joined_at is not None
        assert row.joined_at.replace(microsecond=0) == person.joined
        if tool in ("mailchimp", "kit", "beehiiv"):
            assert row.first_name == person.first_name
            assert row.fields["last_name"] == person.last_name
        if tool in ("mailchimp", "kit", "ghost"):
            assert row.tags == person.tags
        if tool != "listmonk":
            assert row.fields["boat"] == f"Elster {person.number}"


def test_evidence_is_kept_as_the_file_has_it(tmp_path: Path) -> None:
    rows = read(export_of("mailchimp", 4), tmp_path)
    row = rows["reader+0@example.org"]
    assert row.evidence == {
        "OPTIN_TIME": "2021-01-01 06:30:15",
        "CONFIRM_TIME": "2021-01-01 06:30:15",
        "CONFIRM_IP": "192.0.2.7",
    }
    assert row.confirmed_at == datetime.datetime(2021, 1, 1, 6, 30, 15, tzinfo=datetime.UTC)
    assert (row.note, row.time_zone) == ("met at the quay", "Europe/Berlin")
    left = rows["reader.1@mail.example.org"]
    assert left.ended_at == datetime.datetime(2021, 1, 31, 13, 30, 15, tzinfo=datetime.UTC)
    assert left.evidence["UNSUB_TIME (2)"] == "2021-01-31 13:30:15"


def test_only_the_list_of_a_substack_export_is_read(tmp_path: Path) -> None:
    export = export_of("substack", 3)
    source = open_source(export.written(tmp_path), export.name)
    assert [table.name for table in source.tables] == ["email_list.harbour.csv"]
    assert source.ignored == ("posts.csv", "posts/1.hello.html", "posts/1.delivers.csv", "posts/1.opens.csv")


def test_a_broken_cell_of_attributes_keeps_the_person(tmp_path: Path) -> None:
    rows = list(read(export_of("listmonk", 10), tmp_path).values())
    assert (rows[7].refusal, rows[7].detail, rows[7].fields) == (None, "attributes", {"last_name": "Lindqvist"})
    assert rows[8].fields == {"boat": '{"name": "Elster"}', "berth": "8", "last_name": '"H" Okoye'}


def test_metadata_of_buttondown_is_read_from_a_python_dictionary(tmp_path: Path) -> None:
    rows = list(read(export_of("buttondown", 5), tmp_path).values())
    assert rows[3].fields == {"boat": "Elster 3", "staff": "true"}
    assert rows[1].tags == ("Blog",)
    assert rows[1].evidence["ip_address"] == "192.0.2.7"
    # The file does not say that this is the date of a confirmation.
    assert rows[1].confirmed_at is None


def test_the_answer_counts_for_words_that_do_not_tell_only(tmp_path: Path) -> None:
    export = export_of("buttondown", 16)
    rows = rows_of(tmp_path, export.data, export.name, answer=RowState.PENDING)
    states = {row.canonical: row.refusal or row.state for row in rows}
    unpaid = next(person for person in export.people if person.word == "unpaid")
    assert states == {**export.expected, unpaid.address.lower(): RowState.PENDING}


def mailchimp_table(
    folder: Path, file_name: str, own: str, merge: str = ""
) -> tuple[RowState | RowRefusal | None, str]:
    header = f"Email Address,First Name{merge},MEMBER_RATING,OPTIN_TIME,CC,REGION,{own},LEID,EUID,NOTES"
    cells = ",".join("" for _ in header.split(",")[1:])
    path = folder / "file"
    path.write_text(f"{header}\nada@example.org,{cells}\n")
    (table,) = open_source(path, file_name).tables
    preset = recognise(table, file_name)
    assert preset.name == "mailchimp"
    return preset.file_state, preset.state_source


UNSUB = ",UNSUB_TIME,UNSUB_REASON,UNSUB_CAMPAIGN_ID,UNSUB_CAMPAIGN_ID"


@pytest.mark.parametrize(
    ("file_name", "own", "merge", "state"),
    [
        ("subscribed_members_export_1a.csv", "LAST_CHANGED", "", RowState.ACTIVE),
        ("subscribed_segment_export_1a.csv", "LAST_CHANGED", "", RowState.ACTIVE),
        ("nonsubscribed_members_export.csv", "LAST_CHANGED", "", RowRefusal.NEVER_OPTED_IN),
        ("unsubscribed_members_export_1a.csv", "UNSUB_TIME", "", RowState.UNSUBSCRIBED),
        ("cleaned_members_export_1a.csv", "CLEAN_TIME", "", RowState.BOUNCED),
        # An unsubscribe file was imported as data once: its columns are merge fields, in front.
        ("subscribed_members_export_1a.csv", "LAST_CHANGED", UNSUB, RowState.ACTIVE),
        # Files that were renamed.
        ("subscribed_members_export_1a.csv", "UNSUB_TIME", "", RowState.UNSUBSCRIBED),
        ("subscribed_members_export_1a.csv", "CLEAN_TIME", "", RowState.BOUNCED),
        ("unsubscribed.csv", "LAST_CHANGED", "", RowState.UNSUBSCRIBED),
        ("list.csv", "UNSUB_TIME", "", RowState.UNSUBSCRIBED),
        ("list.csv", "LAST_CHANGED", "", None),
    ],
)
def test_the_name_and_the_last_columns_of_a_mailchimp_file_tell_the_state(
    file_name: str, own: str, merge: str, state: RowState | RowRefusal | None, tmp_path: Path
) -> None:
    assert mailchimp_table(tmp_path, file_name, own, merge)[0] == state


def test_the_address_column_of_mailchimp_is_found_in_any_language(tmp_path: Path) -> None:
    header = "Elektropost,Vorname,Nachname,MEMBER_RATING,OPTIN_TIME,CC,REGION,LAST_CHANGED,LEID,EUID,NOTES,TAGS"
    row = 'ada@example.org,Ada,Lindqvist,2,,de,be,,1,2,,"""VIP"",""Blog"""'
    (read_row,) = rows_of(tmp_path, f"{header}\n{row}\n", "subscribed_members_export_1.csv")
    assert (read_row.canonical, read_row.first_name, read_row.tags) == ("ada@example.org", "Ada", ("VIP", "Blog"))


OTHER_TOOLS: Mapping[str, tuple[str, str, list[RowState | RowRefusal]]] = {
    "keila": (
        "contacts.csv",
        "Email,First name,Last name,Data,Status,External ID\n"
        'a@example.org,Ada,L,"{""boat"": ""Elster""}",active,\n'
        "b@example.org,,,,unsubscribed,\nc@example.org,,,,unreachable,\nd@example.org,,,,inactive,\n",
        [RowState.ACTIVE, RowState.UNSUBSCRIBED, RowState.BOUNCED, RowRefusal.UNKNOWN_STATE],
    ),
    "mailcoach": (
        "list.csv",
        "email,first_name,last_name,tags,subscribed_at,unsubscribed_at\n"
        "a@example.org,Ada,L,VIP;Blog,2024-05-01 10:00:00,\n"
        "b@example.org,,,,2024-05-01 10:00:00,2024-06-01 10:00:00\nc@example.org,,,,,\n",
        [RowState.ACTIVE, RowState.UNSUBSCRIBED, RowState.PENDING],
    ),
    "brevo": (
        "contacts.csv",
        "EMAIL;LASTNAME;FIRSTNAME;SMS;EMAIL_BLACKLISTED;SMS_BLACKLISTED;ADDED_TIME;MODIFIED_TIME\n"
        "a@example.org;L;Ada;;No;No;12-04-2022 09:30;\nb@example.org;;;;Yes;No;31-12-2022 09:30;\n",
        [RowState.ACTIVE, RowState.UNSUBSCRIBED],
    ),
    "shopify": (
        "customers.csv",
        "Customer ID,First Name,Last Name,Email,Accepts Email Marketing,Phone,Tags,Note\n"
        "1,Ada,L,a@example.org,yes,1,VIP,\n2,,,b@example.org,no,,,\n3,,,c@example.org,,,,\n4,,,d@example.org,maybe,,,\n",
        [RowState.ACTIVE, RowRefusal.NEVER_OPTED_IN, RowRefusal.NEVER_OPTED_IN, RowRefusal.UNKNOWN_STATE],
    ),
    "sendy": (
        "harbour-marked-as-spam.csv",
        '"Ada "The Count" L","a@example.org","Elster"\n"","b@example.org",""',
        [RowState.COMPLAINED, RowState.COMPLAINED],
    ),
}


@pytest.mark.parametrize("tool", OTHER_TOOLS)
def test_exports_of_other_tools_tell_their_states(tool: str, tmp_path: Path) -> None:
    name, data, states = OTHER_TOOLS[tool]
    path = tmp_path / "file"
    path.write_text(data)
    (table,) = open_source(path, name).tables
    assert recognise(table, name).name == tool
    rows = rows_of(tmp_path, data, name)
    assert [row.refusal or row.state for row in rows] == states
    assert rows[0].first_name.startswith("Ada")


WITHOUT_STATE = {
    "emailoctopus": "Identifier,Email address,First name,Last name,Tags,Created,Last changed\n1,a@example.org,,,,,\n",
    "curated": "Email Address,Subscribed at,UTM Source,UTM Last Path\na@example.org,2021-02-04 07:55:20 +0000,,\n",
    "mailerlite": "Subscriber,Name,Last name,Subscribed,Groups\na@example.org,Ada,L,2021-02-04,VIP;Blog\n",
    "substack": "Email,Name,Stripe plan,Cancel date,Start date,Emails opened (6mo)\na@example.org,Ada,,,2021-02-04,3\n",
    "other": "address\na@example.org\n",
}


@pytest.mark.parametrize("tool", WITHOUT_STATE)
def test_a_file_without_a_state_needs_an_answer_before_a_row_is_active(tool: str, tmp_path: Path) -> None:
    path = tmp_path / "people.csv"
    path.write_text(WITHOUT_STATE[tool])
    (table,) = open_source(path, path.name).tables
    preset = recognise(table, path.name)
    plan = guess_mapping(table, preset)
    assert (preset.name, plan.needs_state_answer, plan.default_state) == (tool, True, None)
    assert "default_state" in dict(problems(plan, table))
    (row,) = rows_of(tmp_path, WITHOUT_STATE[tool], answer=RowState.UNSUBSCRIBED)
    assert row.state == RowState.UNSUBSCRIBED


@pytest.mark.parametrize(
    ("suffix", "state"),
    [
        ("active", RowState.ACTIVE),
        ("unconfirmed", RowState.PENDING),
        ("unsubscribed", RowState.UNSUBSCRIBED),
        ("bounced", RowState.BOUNCED),
        ("marked-as-spam", RowState.COMPLAINED),
        ("all", RowRefusal.NO_STATE),
    ],
)
def test_the_name_of_a_sendy_file_tells_the_state(suffix: str, state: RowState | RowRefusal, tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text('"Ada","a@example.org"\n')
    name = f"harbour-{suffix}.csv"
    (table,) = open_source(path, name).tables
    preset = recognise(table, name)
    assert (preset.name, preset.file_state, preset.state_source) == ("sendy", state, StateSource.FILE_NAME)
    plan = guess_mapping(table, preset)
    assert plan.columns(TargetKind.ADDRESS) == [1]


SUPPRESSIONS = {
    "EmailAddress,SuppressionReason,Origin,CreatedAt\n"
    "a@example.org,HardBounce,Recipient,2024-01-01\n"
    "b@example.org,SpamComplaint,,\nc@example.org,ManualSuppression,,\n": [
        RowState.BOUNCED,
        RowState.COMPLAINED,
        RowState.UNSUBSCRIBED,
    ],
    "status,reason,email,created\n5.1.1,550 no such user,a@example.org,1700000000\n": [RowState.BOUNCED],
    "address,code,error,created_at\na@example.org,550,no such user,\n": [RowState.BOUNCED],
    "id,email,origin,source_id,created_at\n1,a@example.org,complaint,2,\n": [RowState.COMPLAINED],
}


@pytest.mark.parametrize("data", SUPPRESSIONS)
def test_suppression_lists_of_mail_providers_are_recognised(data: str, tmp_path: Path) -> None:
    rows = rows_of(tmp_path, data, "export.csv")
    assert [row.state for row in rows] == SUPPRESSIONS[data]


OWN = (
    "address,first_name,state,tags,joined_at,confirmed_at,ended_at,source,language,time_zone,field:boat,field:last_name,"
    "frequency,paused_until,topics_off,suppression_reason,proof\n"
    'Ada@example.org,Ada,active,"VIP, Blog",2024-05-01T10:00:00Z,2024-05-01T11:00:00Z,2023-01-01T00:00:00Z,form,de,'
    "Europe/Berlin,'=Elster,Lindqvist,each,,,,confirmed\n"
    "b@example.org,,suppressed,,,,,,,,,,,,,complaint,\nc@example.org,,suppressed,,,,,,,,,,,,,hard_bounce,\n"
    "d@example.org,,unsubscribed,,,,,,,,,,,,,,\ne@example.org,,pending,,,,,,,,,,,,,,\n"
    "f@example.org,,suppressed,,,,,,,,,,,,,erased,\n"
)


def test_an_export_of_this_system_is_read_with_all_that_it_holds(tmp_path: Path) -> None:
    rows = rows_of(tmp_path, OWN)
    ada = rows[0]
    assert (ada.first_name, ada.state, ada.tags) == ("Ada", RowState.ACTIVE, ("VIP", "Blog"))
    assert ada.fields == {"boat": "=Elster", "last_name": "Lindqvist"}
    assert (ada.language, ada.time_zone, ada.evidence["proof"]) == ("de", "Europe/Berlin", "confirmed")
    assert [row.refusal or row.state for row in rows[1:]] == [
        RowState.COMPLAINED,
        RowState.BOUNCED,
        RowState.UNSUBSCRIBED,
        RowState.PENDING,
        RowRefusal.ERASED_THERE,
    ]


def test_readers_that_substack_erased_are_refused(tmp_path: Path) -> None:
    header = "email,active_subscription,expiry,plan,email_disabled,created_at,first_payment_at"
    (row,) = rows_of(tmp_path, f"{header}\nx1@deletion-request.substack.com,false,,other,false,,\n", "email_list.a.csv")
    assert row.refusal == RowRefusal.ERASED_THERE
