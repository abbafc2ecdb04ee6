"""Import files: encodings, delimiters, quotes and headers are found out; files that cannot be read are refused."""

from __future__ import annotations

import csv
import datetime
import io
import os
import struct
import tempfile
import tracemalloc
import zipfile
from contextlib import suppress
from itertools import islice
from pathlib import Path

import openpyxl
import pytest
from django.utils import translation
from hypothesis import example, given, settings
from hypothesis import strategies as st

from subscribers.imports import archive, encoding, spreadsheet
from subscribers.imports.source import DELIMITERS, ENCODINGS, ImportFileError, Source, open_source
from tests.subscribers.imports.files import opened, table_of

PEOPLE = "Email,Name\nada@example.org,Ada\nben@example.org,Ben\n"


def read_all(folder: Path, data: str | bytes, name: str) -> None:
    """Open a file, and read all its rows."""
    for table in opened(folder, data, name).tables:
        list(table.rows())


def error_of(folder: Path, data: str | bytes, name: str = "people.csv") -> ImportFileError:
    """The error of a file that is opened and read."""
    with pytest.raises(ImportFileError) as refusal:
        read_all(folder, data, name)
    sentence = str(refusal.value)
    assert sentence.endswith(".")
    assert refusal.value.permanent
    return refusal.value


ENCODED = [
    ("utf-8", "utf-8", "utf-8"),
    ("utf-8-sig", "utf-8-bom", "utf-8"),
    ("utf-16", "utf-16-le", "utf-16"),
    ("utf-16-le", "utf-16-le", "without a mark"),
    ("utf-16-be", "utf-16-be", "without a mark"),
    ("windows-1252", "windows-1252", "windows-1252"),
]


@pytest.mark.parametrize(("codec", "code", "_why"), ENCODED)
@pytest.mark.parametrize(
    ("delimiter", "delimiter_code"), [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "pipe")]
)
@pytest.mark.parametrize("line_end", ["\n", "\r\n", "\r"])
def test_encoding_and_delimiter_are_found_out(
    codec: str, code: str, _why: str, delimiter: str, delimiter_code: str, line_end: str, tmp_path: Path
) -> None:
    lines = [("Email", "Náme", "Tags"), ("ada@example.org", "Ädä €", "a"), ("ben@example.org", "B", "")]
    data = "".join(delimiter.join(cells) + line_end for cells in lines).encode(codec)
    table = table_of(tmp_path, data)
    assert (table.encoding, table.delimiter, table.header) == (code, delimiter_code, lines[0])
    assert (table.encoding in ENCODINGS, table.delimiter in DELIMITERS) == (True, True)
    assert [tuple(row) for row in table.rows()] == [(2, list(lines[1])), (3, list(lines[2]))]


def test_latin_1_is_told_from_windows_1252_by_bytes_that_only_it_has(tmp_path: Path) -> None:
    assert table_of(tmp_path, "email,name\na@example.org,é\x81\n".encode("latin-1")).encoding == "iso-8859-1"


def test_a_spreadsheet_that_names_its_delimiter_in_the_first_line_is_read(tmp_path: Path) -> None:
    table = table_of(tmp_path, "sep=;\r\nEmail;Name, first\r\nada@example.org;Ada\r\n")
    assert (table.header, table.delimiter) == (("Email", "Name, first"), "semicolon")
    assert [row.line for row in table.rows()] == [3]


def test_a_comma_in_every_cell_does_not_hide_the_delimiter(tmp_path: Path) -> None:
    table = table_of(tmp_path, 'Email;Name;Tags\na@example.org;"L, Ada";x,y\nb@example.org;"L, Ben";x,z\n')
    assert (table.delimiter, table.width) == ("semicolon", 3)


def test_a_first_line_with_an_address_is_data(tmp_path: Path) -> None:
    table = table_of(tmp_path, "ada@example.org\nBen <ben@example.org>\n")
    assert (table.header, table.width) == ((), 1)
    assert [row.cells for row in table.rows()] == [["ada@example.org"], ["Ben <ben@example.org>"]]


def test_a_name_twice_in_the_header_is_kept_by_position(tmp_path: Path) -> None:
    table = table_of(tmp_path, "Email,Tags,Tags,\na@example.org,one,two,\n")
    assert table.header == ("Email", "Tags", "Tags", "")
    assert next(table.rows()).cells == ["a@example.org", "one", "two", ""]


def test_line_numbers_are_those_of_the_file_whatever_line_breaks_are_in_cells(tmp_path: Path) -> None:
    table = table_of(tmp_path, 'Email,Note\n\na@example.org,"one\ntwo\n\nfour"\n,\n\nb@example.org,\n')
    assert [row.line for row in table.rows()] == [3, 9]
    assert next(table.rows()).cells[1] == "one\ntwo\n\nfour"
    assert [row.line for row in table.rows(start_line=3)] == [3, 9]
    assert [row.line for row in table.rows(start_line=4)] == [9]
    assert list(table.rows(start_line=10)) == []


@pytest.mark.parametrize(
    ("cell", "read"),
    [
        ("'=1+1", "=1+1"),
        ("'+49", "+49"),
        ("'-x", "-x"),
        ("'@x", "@x"),
        ("'\tx", "\tx"),
        ("''=x", "'=x"),
        ("'tis", "'tis"),
        ("'", "'"),
        ("=1+1", "=1+1"),
        ("O'=x", "O'=x"),
    ],
)
def test_the_guard_before_a_formula_is_taken_off_exactly_once(cell: str, read: str, tmp_path: Path) -> None:
    table = table_of(tmp_path, f'Email,Name\nada@example.org,"{cell}"\n')
    assert next(table.rows()).cells[1] == read


@pytest.mark.parametrize(
    "rows",
    [
        'c@example.org,"Cleo\n',
        'c@example.org,"Cleo\nd@example.org,Dina\n',
        'c@example.org,"Cleo\nd@example.org,"Dina"\n',
        'c@example.org,"Cleo\n' + "d@example.org,Dina\n" * 200_000,
        'c@example.org,"Cleo\n' + "d@example.org,\n" * 200_000 + '"',
    ],
    ids=["last row", "next row", "another quote", "long file", "closed at the end"],
)
def test_an_unclosed_quote_is_refused_with_its_row(rows: str, tmp_path: Path) -> None:
    error = error_of(tmp_path, PEOPLE + rows)
    assert (error.code, error.line) == ("unclosed_quote", 4)
    assert str(error) == "Row 4 has an unclosed quote. Fix it or choose another delimiter."


def test_a_quote_inside_a_line_spoils_no_other_row(tmp_path: Path) -> None:
    table = table_of(tmp_path, '"Ada "The Count" L","ada@example.org"\n"Ben","ben@example.org"\n')
    assert [row.cells[1] for row in table.rows()] == ["ada@example.org", "ben@example.org"]


def test_a_first_row_with_10_000_columns_is_refused(tmp_path: Path) -> None:
    error = error_of(tmp_path, ",".join(["x"] * 10_000))
    assert (error.code, error.line) == ("too_many_columns", 1)


def test_a_cell_that_is_too_long_is_refused_with_its_row(tmp_path: Path) -> None:
    error = error_of(tmp_path, PEOPLE + "c@example.org," + "x" * 200_000 + "\n")
    assert (error.code, error.line) == ("cell_too_long", 4)


@pytest.mark.parametrize("start", [b"", PEOPLE.encode()], ids=["from the beginning", "after some rows"])
def test_a_file_of_1_gb_without_a_line_break_is_refused_in_little_memory(start: bytes, tmp_path: Path) -> None:
    path = tmp_path / "huge.csv"
    with path.open("wb") as file:
        file.write(start + b"a" * 4_000_000)
        # The rest of the gigabyte takes no room on the disk.
        file.truncate(1 << 30)
    tracemalloc.start()
    try:
        with pytest.raises(ImportFileError) as refusal:
            open_source(path, path.name)
        _now, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert (refusal.value.code, refusal.value.line) == ("line_too_long", 4 if start else 1)
    assert peak < 20_000_000


def test_a_line_without_an_end_is_refused_in_utf_16_too(tmp_path: Path) -> None:
    assert error_of(tmp_path, ("Email\tName\n" + "x" * 2_000_000).encode("utf-16")).code == "line_too_long"


def test_mixed_encodings_are_refused_with_the_line(tmp_path: Path) -> None:
    first, second = "a@example.org,Zoë\n".encode(), "b@example.org,Zoë\n".encode("windows-1252")
    header = b"Email,Name\n"
    error = error_of(tmp_path, header + first * 3 + second)
    assert (error.code, error.line) == ("mixed_encodings", 5)
    assert error_of(tmp_path, header + second * 2 + first).line == 4
    assert error_of(tmp_path, b"\xef\xbb\xbf" + header + second).line == 2
    far = b"x@example.org,X\n" * 60_000
    assert error_of(tmp_path, header + first + far + second).line == 60_003


def test_bytes_that_are_not_utf_16_are_refused_with_the_line(tmp_path: Path) -> None:
    data = "Email\tName\na@example.org\tA\n".encode("utf-16") + b"\x00\xdc\x00\xdc"
    error = error_of(tmp_path, data)
    assert (error.code, error.line) == ("bad_encoding", 3)


def test_a_nul_character_does_not_stop_the_file(tmp_path: Path) -> None:
    rows = list(table_of(tmp_path, "Email,Name\na@example.org,A\x00B\nb@example.org,B\n").rows())
    assert [row.cells[1] for row in rows] == ["A\x00B", "B"]


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "empty"),
        (b"\xef\xbb\xbf\r\n", "empty"),
        (b"\n \n,,\n", "empty"),
        (b"%PDF-1.7 and more", "not_text"),
        (b"\x89PNG\r\n\x1a\n", "not_text"),
        (b"\x1f\x8b\x08\x00", "not_text"),
        (bytes(range(256)) * 50, "not_text"),
        (b"\xff\xfe\x00\x00E\x00\x00\x00", "not_text"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "old_spreadsheet"),
    ],
)
def test_a_file_that_is_not_a_list_is_refused(data: bytes, code: str, tmp_path: Path) -> None:
    error = error_of(tmp_path, data)
    assert error.code == code


def test_an_error_is_in_the_language_that_is_active_when_it_is_shown() -> None:
    error = ImportFileError("x", "Enter an email address.")
    assert str(error) == "Enter an email address."
    with translation.override("de"):
        assert str(error) != "Enter an email address."


CELL = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"], exclude_characters="\ufeff")
    | st.sampled_from("\n\t"),
    max_size=12,
)


@given(
    st.lists(st.lists(CELL, min_size=3, max_size=3), min_size=1, max_size=8),
    st.sampled_from([",", ";", "\t", "|"]),
    st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]),
    st.sampled_from(["\n", "\r\n"]),
    st.booleans(),
)
@example([["a", "", "'"]], ";", "utf-16", "\n", False)
@settings(max_examples=60)
def test_what_a_csv_writer_writes_is_read_back(
    people: list[list[str]], delimiter: str, codec: str, line_end: str, quotes_all: bool
) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(
        text,
        delimiter=delimiter,
        lineterminator=line_end,
        quoting=csv.QUOTE_ALL if quotes_all else csv.QUOTE_MINIMAL,
    )
    header = ["Email", "Name", "Note"]
    # Enough rows to tell the delimiter, whatever characters the cells have.
    usual = [[f"reader{number}@example.org", "Ada", ""] for number in range(50)]
    writer.writerows([header, *usual, *people])
    with tempfile.TemporaryDirectory() as folder:
        table = table_of(Path(folder), text.getvalue().encode(codec))
        read = [row.cells for row in islice(table.rows(), 50, None)]
    assert table.header == tuple(header)
    assert read == [[_guard_off(cell) for cell in cells] for cells in people if any(map(str.strip, cells))]


def _guard_off(cell: str) -> str:
    rest = cell.lstrip("'")
    return cell[1:] if rest != cell and rest[:1] in ("=", "+", "-", "@", "\t", "\r") and rest else cell


@given(st.binary(max_size=300), st.sampled_from(["people.csv", "people.zip", "people.xlsx"]))
@settings(max_examples=80)
def test_any_bytes_are_read_or_refused(data: bytes, name: str) -> None:
    for start in (b"", b"PK\x03\x04", b"Email,Name\n"):
        with tempfile.TemporaryDirectory() as folder, suppress(ImportFileError):
            read_all(Path(folder), start + data, name)


def zipped(files: dict[str, str | bytes], compression: int = zipfile.ZIP_DEFLATED) -> bytes:
    data = io.BytesIO()
    with zipfile.ZipFile(data, "w", compression) as made:
        for name, content in files.items():
            made.writestr(name, content)
    return data.getvalue()


def test_each_csv_file_of_a_zip_is_a_table_and_other_files_are_listed(tmp_path: Path) -> None:
    files: dict[str, str | bytes] = {
        "lists/a.csv": PEOPLE,
        "lists/b.TSV": PEOPLE.replace(",", "\t"),
        "readme.md": "#",
        "__MACOSX/lists/._a.csv": "x",
        ".hidden.csv": PEOPLE,
    }
    source = opened(tmp_path, zipped(files), "export.zip")
    assert (source.kind, source.name) == ("zip", "export.zip")
    assert [(table.name, table.delimiter) for table in source.tables] == [
        ("lists/a.csv", "comma"),
        ("lists/b.TSV", "tab"),
    ]
    assert source.ignored == ("readme.md", "__MACOSX/lists/._a.csv", ".hidden.csv")
    assert [row.cells[1] for table in source.tables for row in table.rows()] == ["Ada", "Ben", "Ada", "Ben"]


@pytest.mark.parametrize(
    ("names", "read"),
    [
        (
            ["subscribed_members.csv", "Cleaned_members_export_1a.csv", "nonsubscribed_segment_export_1.csv", "x.csv"],
            ["subscribed_members.csv", "Cleaned_members_export_1a.csv", "nonsubscribed_segment_export_1.csv"],
        ),
        (["email_list.harbour.csv", "subscribers.csv"], ["email_list.harbour.csv"]),
        # Names that could be of any tool: those who left are not left out.
        (["subscribed_2024.csv", "left.csv"], ["subscribed_2024.csv", "left.csv"]),
        (["a.csv", "posts.csv", "posts/1.opens.csv"], ["a.csv"]),
    ],
)
def test_of_the_exports_of_known_tools_only_the_lists_are_read(
    names: list[str], read: list[str], tmp_path: Path
) -> None:
    source = opened(tmp_path, zipped(dict.fromkeys(names, PEOPLE)), "export.zip")
    assert [table.name for table in source.tables] == read
    assert set(source.ignored) == set(names) - set(read)


def test_an_error_in_a_zip_names_the_file(tmp_path: Path) -> None:
    error = error_of(tmp_path, zipped({"a.csv": PEOPLE, "b.csv": ""}), "export.zip")
    assert str(error) == "b.csv: The file is empty."


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (zipped({"readme.md": "#"}), "zip_without_tables"),
        (zipped({}), "zip_without_tables"),
        (zipped({"a.csv": b"a" * 30_000_000}), "zip_too_large"),
        (zipped({"a.csv": PEOPLE})[:60], "zip_damaged"),
        (b"PK\x03\x04", "zip_damaged"),
    ],
    ids=["no table", "nothing", "bomb", "cut", "only a beginning"],
)
def test_a_zip_that_cannot_be_imported_is_refused(data: bytes, code: str, tmp_path: Path) -> None:
    assert error_of(tmp_path, data, "export.zip").code == code


def test_a_zip_with_a_wrong_checksum_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.csv": PEOPLE}, zipfile.ZIP_STORED))
    data[data.index(b"Ada")] = ord("E")
    assert error_of(tmp_path, bytes(data), "export.zip").code == "zip_damaged"


def test_a_zip_that_lies_about_its_size_unpacks_no_more_than_it_says(tmp_path: Path) -> None:
    """The size in the directory is checked, and reading stops there."""
    data = bytearray(zipped({"a.csv": PEOPLE * 100_000}))
    directory = data.index(b"PK\x01\x02")
    struct.pack_into("<L", data, directory + 24, 60)
    assert error_of(tmp_path, bytes(data), "export.zip").code == "zip_damaged"


def test_a_zip_whose_files_begin_outside_of_it_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.csv": PEOPLE}))
    struct.pack_into("<L", data, data.index(b"PK\x01\x02") + 42, 1 << 30)
    assert error_of(tmp_path, bytes(data), "export.zip").code == "zip_damaged"


def test_an_encrypted_zip_is_refused(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.csv": PEOPLE}))
    for mark, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(mark) + offset] |= 1
    assert error_of(tmp_path, bytes(data), "export.zip").code == "zip_encrypted"


def test_a_zip_with_a_huge_directory_is_refused_before_it_is_read(tmp_path: Path) -> None:
    data = bytearray(zipped({"a.csv": PEOPLE}))
    struct.pack_into("<L", data, data.index(b"PK\x05\x06") + 12, archive.MAX_DIRECTORY + 1)
    assert error_of(tmp_path, bytes(data), "export.zip").code == "zip_too_large"


def workbook(*sheets: list[list[object]], hidden: bool = False) -> bytes:
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets, 1):
        sheet = book.create_sheet(f"Sheet {number}")
        for row in rows:
            sheet.append(row)
    if hidden:
        book.worksheets[-1].sheet_state = "hidden"
    data = io.BytesIO()
    book.save(data)
    return data.getvalue()


def test_each_sheet_with_rows_is_a_table(tmp_path: Path) -> None:
    rows: list[list[object]] = [["Email", "Age", "Fee", "Joined", "VIP"], ["a@example.org", 30.0, 1.5, None, True]]
    source = opened(tmp_path, workbook(rows, [], rows, rows, hidden=True), "people.xlsx")
    assert (source.kind, [table.name for table in source.tables]) == ("xlsx", ["Sheet 1", "Sheet 3"])
    assert source.ignored == ("Sheet 4", "Sheet 2")
    table = source.tables[0]
    assert (table.header, table.encoding, table.delimiter) == (("Email", "Age", "Fee", "Joined", "VIP"), "", "")
    assert [tuple(row) for row in table.rows()] == [(2, ["a@example.org", "30", "1.5", "", "TRUE"])]


def test_of_a_formula_the_stored_value_is_read_and_never_the_formula(tmp_path: Path) -> None:
    data = workbook(
        [["Email", "Name"], ["a@example.org", '=HYPERLINK("https://example.org")'], ["b@example.org", "=1+1"]]
    )
    inside = io.BytesIO(data)
    with zipfile.ZipFile(inside) as old:
        files = {info.filename: old.read(info) for info in old.infolist()}
    sheet = files["xl/worksheets/sheet1.xml"]
    files["xl/worksheets/sheet1.xml"] = sheet.replace(b"<f>1+1</f><v></v>", b"<f>1+1</f><v>2</v>").replace(
        b"<f>1+1</f><v />", b"<f>1+1</f><v>2</v>"
    )
    rows = list(table_of(tmp_path, zipped({**files}), "people.xlsx").rows())
    assert [row.cells for row in rows] == [["a@example.org", ""], ["b@example.org", "2"]]


def test_dates_of_a_spreadsheet_are_iso_dates(tmp_path: Path) -> None:
    instants: list[object] = [datetime.datetime(2024, 5, 31), datetime.datetime(2024, 5, 31, 18, 30), datetime.time(9)]
    (row,) = table_of(tmp_path, workbook([["Email", "A", "B", "C"], ["a@example.org", *instants]]), "a.xlsx").rows()
    assert row.cells[1:] == ["2024-05-31", "2024-05-31 18:30:00", "09:00:00"]


def test_a_spreadsheet_that_would_fill_the_memory_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = workbook([["Email"], ["a@example.org"]])
    monkeypatch.setattr(spreadsheet, "MAX_REST", 100)
    assert error_of(tmp_path, data, "people.xlsx").code == "xlsx_too_large"
    monkeypatch.undo()
    monkeypatch.setattr(spreadsheet, "MAX_SHEETS", 100)
    assert error_of(tmp_path, data, "people.xlsx").code == "zip_too_large"


def test_a_forged_row_number_does_not_make_a_billion_rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(spreadsheet, "MAX_ROWS", 1000)
    with zipfile.ZipFile(io.BytesIO(workbook([["Email"], ["a@example.org"]]))) as old:
        files: dict[str, str | bytes] = {info.filename: old.read(info) for info in old.infolist()}
    sheet = files["xl/worksheets/sheet1.xml"]
    assert isinstance(sheet, bytes)
    files["xl/worksheets/sheet1.xml"] = sheet.replace(b'r="2"', b'r="999999999"').replace(b"A2", b"A999999999")
    assert list(table_of(tmp_path, zipped(files), "people.xlsx").rows()) == []


@pytest.mark.parametrize(
    "part", ["xl/workbook.xml", "xl/worksheets/sheet1.xml", "xl/styles.xml", "[Content_Types].xml"]
)
@pytest.mark.parametrize("content", [b"", b"<broken", b"<a/>"])
def test_a_damaged_spreadsheet_is_refused(part: str, content: bytes, tmp_path: Path) -> None:
    with zipfile.ZipFile(io.BytesIO(workbook([["Email"], ["a@example.org"]]))) as old:
        files: dict[str, str | bytes] = {info.filename: old.read(info) for info in old.infolist()}
    files[part] = content
    if part == "xl/styles.xml" and content == b"<a/>":
        return
    assert error_of(tmp_path, zipped(files), "people.xlsx").code in ("xlsx_damaged", "empty")


def test_memory_stays_the_same_whatever_the_size_of_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def peak(count: int) -> int:
        path = tmp_path / "people.csv"
        path.write_text("Email,Name\n" + "".join(f"reader{number}@example.org,Ada\n" for number in range(count)))
        tracemalloc.start()
        try:
            (table,) = open_source(path, path.name).tables
            assert sum(1 for _row in table.rows()) == count
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    monkeypatch.setattr(encoding, "CHUNK", 4096)
    small, large = peak(2000), peak(6000)
    assert large < small * 1.3


def test_the_file_is_closed_when_the_rows_are_not_read_to_the_end(tmp_path: Path) -> None:
    before = len(os.listdir("/proc/self/fd"))
    source: Source = opened(tmp_path, zipped({"a.csv": PEOPLE}), "a.zip")
    assert len(source.tables[0].samples(1)) == 1
    assert len(os.listdir("/proc/self/fd")) == before


def test_the_names_of_columns_have_no_invisible_characters(tmp_path: Path) -> None:
    table = opened(tmp_path, "email,na\0me,\u200bjoined\u00a0 at\nada@example.org,Ada,2024-01-01\n").tables[0]
    assert table.header == ("email", "name", "joined at")


def test_a_spreadsheet_with_many_sheets_is_refused(tmp_path: Path) -> None:
    workbook = openpyxl.Workbook()
    for _ in range(50):
        workbook.create_sheet()
    data = io.BytesIO()
    workbook.save(data)
    with pytest.raises(ImportFileError, match="contains 51 tables"):
        opened(tmp_path, data.getvalue(), "people.xlsx")
