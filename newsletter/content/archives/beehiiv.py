"""beehiiv's export: a table of posts with the HTML of the whole mail. Pure.

The classes of its HTML are letters of a generator and change, so that the text is found by an id, and what is around
it is removed by what it is: hidden, or with links that are for one subscriber.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from newsletter.config.translatable import translatable
from newsletter.content.archives.dates import read_time
from newsletter.content.archives.item import ArchiveError, ArchiveFiles, ArchiveItem, UnreadItem, Visibility
from newsletter.content.archives.mail_html import LeftOut, TooLongError, by_class, replace_with, tree_of
from newsletter.content.archives.past_issue import PastIssue, built, path_of, too_long
from newsletter.content.archives.tables import columns_of, csv_rows, paths_with
from newsletter.content.archives.templates import without_tags

_KNOWN = {
    *("id", "web_title", "web_subtitle", "status", "audience", "web_audiences", "content_tags", "url", "content_html"),
    *("email_subject_line", "email_preview_text", "created_at", "slug"),
}


@dataclass(slots=True)
class BeehiivArchive:
    """A CSV file with `web_title` and `content_html`."""

    code: str = field(default="beehiiv", init=False)
    site_url: str = ""
    keeps_counters: bool = True

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether there is such a table."""
        return any(_is_table(files, path) for path in paths_with(files, ".csv"))

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """The posts in the order of the tables."""
        for path in paths_with(files, ".csv"):
            if not _is_table(files, path):
                continue
            try:
                for number, row in csv_rows(files, path):
                    yield self._post(f"{path}, row {number}", row)
            except ArchiveError as error:
                yield UnreadItem(str(path), error.args[0], True)

    def _post(self, place: str, row: dict[str, str]) -> ArchiveItem | UnreadItem:
        path = path_of(row.get("url", ""))
        text, notes = without_tags(row.get("content_html", ""))
        past = PastIssue(
            key=row.get("id", "") or path or place,
            place=place,
            title=row.get("web_title", ""),
            subject=row.get("email_subject_line", ""),
            preheader=row.get("email_preview_text", "") or row.get("web_subtitle", ""),
            slug=path.rstrip("/").rsplit("/", 1)[-1],
            base_url=row.get("url", "") or self.site_url,
            published_at=read_time(row.get("created_at")),
            visibility=_visibility(row),
            old_paths=(path,) if path else (),
            categories=tuple(row.get("content_tags", "").split(";")),
            unknown={name: value for name, value in row.items() if name not in _KNOWN},
            notes=notes,
        )
        subtitle = row.get("web_subtitle", "").strip()
        if subtitle and subtitle != past.preheader.strip():
            past.unknown = {**past.unknown, "web_subtitle": subtitle}
        if past.published_at:
            past.note(translatable("The date is that of the draft: the export does not have the date of publication."))
        try:
            past.tree = tree_of(text)
        except TooLongError:
            return too_long(place)
        if past.tree is not None:
            past.tree = text_in(past.tree, past.left_out)
        return built(past, keeps_counters=self.keeps_counters)


def text_in(tree: Any, left_out: LeftOut) -> Any:
    """The element with the text of a mail; the whole mail if there is none."""
    for node in list(tree.iter()):
        if node.get("data-open-tracking") is not None and node.getparent() is not None:
            node.drop_tree()
    for node in by_class(tree, "rec__content"):
        left_out.drop(node)
    blocks = next((node for node in tree.iter() if node.get("id") == "content-blocks"), None)
    if blocks is None or blocks is tree:
        return tree
    replace_with(blocks)
    left_out.add(tree)
    blocks.tag = "div"
    return blocks


def _is_table(files: ArchiveFiles, path: PurePosixPath) -> bool:
    return {"web_title", "content_html"} <= columns_of(files, path)


def _visibility(row: dict[str, str]) -> Visibility:
    if row.get("status", "").strip().lower() not in {"confirmed", "published"}:
        return Visibility.DRAFT
    audiences = re.split(r"[;,]\s*", (row.get("web_audiences") or row.get("audience") or "").strip().lower())
    return Visibility.PUBLIC if {"free", "both", "everyone", "all"} & {*audiences} else Visibility.PRIVATE
