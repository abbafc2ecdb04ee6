"""Which kind of archive some files are."""

from __future__ import annotations

import pytest

from newsletter.content.archives.choose import READERS, reader_for
from newsletter.content.archives.item import ArchiveError
from tests.newsletter.content.archives.exports import MemoryFiles


@pytest.mark.parametrize(
    "files",
    [
        {},
        {"a.json": "{"},
        {"a.json": "[1, 2]"},
        {"a.json": '{"db": []}', "b.json": '{"data": null}', "c.json": "null", "d.json": '{"broadcasts": 3}'},
        {"a.csv": "name,address\nx,y\n"},
        {"posts.csv": "", "emails.csv": "\0"},
        {"a.xml": "<html></html>"},
        {"a.html": "<p>Any page</p>"},
        {"subscribers.csv": "email,status\nada@quay.example,active\n"},
    ],
)  # fmt: skip
def test_other_files_are_refused_with_what_is_understood(files: dict[str, str]) -> None:
    with pytest.raises(ArchiveError) as error:
        reader_for(MemoryFiles(files))
    for name in (
        "Ghost",
        "Substack",
        "Buttondown",
        "beehiiv",
        "listmonk",
        "Kit",
        "Mailchimp",
        "TinyLetter",
        "Markdown",
    ):
        assert name in error.value.args[0]


def test_options_reach_the_kinds_that_know_them() -> None:
    files = MemoryFiles({"g.json": '{"data": {"posts": []}}'})
    archive = reader_for(files, site_url="https://log.example", free_part_only=True, other=1)
    assert archive.code == "ghost"
    assert archive.site_url == "https://log.example"  # type: ignore[attr-defined]
    assert READERS[0].site_url == ""  # type: ignore[attr-defined]


def test_each_kind_has_its_own_code() -> None:
    assert len({archive.code for archive in READERS}) == len(READERS)
