"""Substack's export: a list of posts, and a file with the HTML of each. Pure.

Files with the subscribers' data, such as who opened a post, are left unread.
"""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from newsletter.config.translatable import translatable
from newsletter.content.archives.dates import read_time
from newsletter.content.archives.files import read_text
from newsletter.content.archives.item import ArchiveError, ArchiveFiles, ArchiveItem, UnreadItem, Visibility
from newsletter.content.archives.mail_html import (
    LeftOut,
    TooLongError,
    by_class,
    data_of,
    element,
    footnote_mark,
    footnote_text,
    has_class,
    host_of,
    link,
    on_one_line,
    picture,
    replace_with,
    tree_of,
    words_of,
)
from newsletter.content.archives.past_issue import PastIssue, built, too_long
from newsletter.content.archives.tables import columns_of, csv_rows, is_true

_TYPES = {"newsletter", "podcast", "thread", "video", "restacks", ""}
_CDN = re.compile(r"^https?://substackcdn\.com/image/(?:fetch|upload)/")
_OLD_STORE = re.compile(r"^https?://bucketeer-[\w-]+\.s3\.amazonaws\.com/")
_STORE = "https://substack-post-media.s3.amazonaws.com/"
_NOTE_ID = re.compile(r"footnote-(?:anchor-)?(\d+)")


@dataclass(slots=True)
class SubstackArchive:
    """`posts.csv` and `posts/<id>.<slug>.html`.

    `free_part_only`: posts for paying subscribers are cut where their free part ends, and are public. Otherwise they
    are whole and private.
    """

    code: str = field(default="substack", init=False)
    site_url: str = ""
    keeps_counters: bool = True
    free_part_only: bool = False

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether there is a `posts.csv` with Substack's columns."""
        return _list_of(files) is not None

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """The posts in the order of the list; then the HTML files that are not in it."""
        listed = _list_of(files)
        if listed is None:
            return
        pages = {path.stem: path for path in files.paths() if path.suffix.lower() == ".html"}
        seen: set[str] = set()
        try:
            for number, row in csv_rows(files, listed):
                seen.add(row.get("post_id", "").partition(".")[0])
                yield self._post(files, f"{listed}, row {number}", row, pages)
        except ArchiveError as error:
            yield UnreadItem(str(listed), error.args[0], True)
        for stem, path in pages.items():
            if stem.partition(".")[0] not in seen and re.match(r"\d+\.", stem):
                yield UnreadItem(str(path), translatable("This post is not in the list of posts."), True)

    def _post(
        self, files: ArchiveFiles, place: str, row: dict[str, str], pages: dict[str, PurePosixPath]
    ) -> ArchiveItem | UnreadItem:
        post_id, kind = row.get("post_id", "").strip(), row.get("type", "").strip().lower()
        title = html.unescape(row.get("title", ""))
        if kind not in _TYPES:
            return UnreadItem(place, translatable("“{title}” is a {kind} and no issue.", title=title, kind=kind), False)
        page = pages.get(post_id) or next(
            (path for stem, path in pages.items() if stem.startswith(f"{post_id}.")), None
        )
        if page is None:
            sentence = translatable(
                "The text of “{title}” is not in the export: the file posts/{name}.html is missing. Export again.",
                title=title,
                name=post_id,
            )
            return UnreadItem(place, sentence, True)
        slug = page.stem.partition(".")[2]
        published = is_true(row.get("is_published"))
        past = PastIssue(
            key=post_id,
            place=place,
            title=title,
            preheader=html.unescape(row.get("subtitle", "")),
            slug=slug,
            base_url=self.site_url,
            published_at=read_time(row.get("post_date")) or read_time(row.get("email_sent_at")),
            visibility=_visibility(published, row.get("audience", "")),
            old_paths=(f"/p/{slug}", f"/p/{slug}/comments") if slug and published else (),
            unknown={key: value for key, value in row.items() if key in {"type", "audience", "podcast_url"} and value},
        )
        try:
            past.tree = tree_of(read_text(files, page))
        except TooLongError:
            return too_long(place)
        except ArchiveError as error:
            return UnreadItem(place, error.args[0], True)
        if past.tree is not None:
            self._read_paywall(past)
            read_body(past.tree, past.left_out)
        return built(past, keeps_counters=self.keeps_counters)

    def _read_paywall(self, past: PastIssue) -> None:
        """Mark or cut the part that is for paying subscribers."""
        for jump in by_class(past.tree, "paywall-jump"):
            if self.free_part_only and past.visibility == Visibility.PRIVATE:
                words = _drop_after(jump)
                past.visibility = Visibility.PUBLIC
                past.note(translatable("The part for paying subscribers was left out ({count:,} words).", count=words))
            elif past.visibility == Visibility.PRIVATE:
                past.note(translatable("The free part of this post ends within the text; the whole is not public."))
            replace_with(jump)
            return


def read_body(tree: Any, left_out: LeftOut) -> None:
    """Turn Substack's elements into plain HTML, in place."""
    _drop_widgets(tree, left_out)
    _read_galleries(tree)
    _read_cards(tree)
    _read_pictures(tree)
    _read_footnotes(tree)


def _list_of(files: ArchiveFiles) -> PurePosixPath | None:
    lists = (path for path in files.paths() if path.name.lower() == "posts.csv")
    return next((path for path in lists if {"post_id", "post_date"} <= columns_of(files, path)), None)


def _visibility(published: bool, audience: str) -> Visibility:
    if not published:
        return Visibility.DRAFT
    return Visibility.PUBLIC if audience.strip().lower() in {"everyone", ""} else Visibility.PRIVATE


def _drop_after(jump: Any) -> int:
    """Remove everything after an element; the number of words in it."""
    words, node = 0, jump
    while node is not None and node.getparent() is not None:
        words += len((node.tail or "").split())
        node.tail = None
        for later in list(node.itersiblings()):
            words += len(words_of(later).split()) + len((later.tail or "").split())
            node.getparent().remove(later)
        node = node.getparent()
    return words


def _drop_widgets(tree: Any, left_out: LeftOut) -> None:
    names = ("subscription-widget-wrap", "subscription-widget-wrap-editor", "subscription-widget", "subscribe-widget")
    for node in by_class(tree, *names, "poll-embed", "install-substack-app-embed", "community-chat", "directMessage"):
        left_out.drop(node)
    for node in by_class(tree, "button-wrapper", "captioned-button-wrap"):
        anchors = list(node.iter("a"))
        if all(_is_own_button(anchor.get("href") or "", data_of(node)) for anchor in anchors):
            left_out.drop(node)


def _is_own_button(href: str, data: dict[str, Any]) -> bool:
    """Whether a button is about Substack: to subscribe, share, comment or give."""
    parts = urlsplit(href if href.startswith(("http", "/", "%%")) else "")
    url = f"{href} {data.get('url', '')}"
    host = (parts.hostname or "").lower()
    is_action = re.search(r"action=share|gift=true|/comments\b|/subscribe\b|%%\w+%%|/leaderboard|/survey/", url)
    return bool(is_action) or host == "substack.com" or (host.endswith(".substack.com") and parts.path in {"", "/"})


def _read_galleries(tree: Any) -> None:
    for node in by_class(tree, "image-gallery-embed"):
        found = data_of(node).get("gallery")
        gallery = found if isinstance(found, dict) else {}
        images = [one for one in gallery.get("images") or [] if _has(one, "src")]
        made = [picture(original(str(one["src"])), str(gallery.get("alt") or "")) for one in images]
        caption = str(gallery.get("caption") or "")
        if made:
            replace_with(node, *made, *([element("p", caption)] if caption else []))


def _has(value: Any, name: str) -> bool:
    return isinstance(value, dict) and bool(value.get(name))


def _read_cards(tree: Any) -> None:
    """Cards of other posts, tweets and files as links."""
    for node in by_class(tree, "embedded-post-wrap", "digest-post-embed", "embedded-publication-wrap"):
        data = data_of(node)
        url = str(data.get("canonical_url") or data.get("url") or data.get("base_url") or "")
        title = str(data.get("title") or data.get("name") or "")
        own = words_of(node)
        if url:
            texts = [str(data.get(name) or "") for name in ("caption", "truncated_body_text")]
            paragraphs = [element("p", text) for text in (own, *texts) if text and text != title]
            replace_with(node, link(url, title), *paragraphs[:2])
    for node in by_class(tree, "tweet", "twitter-embed", "instagram", "comment", "file-embed-wrapper", "bluesky-wrap"):
        data = data_of(node)
        url = str(data.get("url") or data.get("href") or data.get("postUrl") or "")
        if not url and isinstance(data.get("instagram_id"), str):
            url = f"https://www.instagram.com/p/{data['instagram_id']}/"
        text = str(data.get("full_text") or data.get("title") or "")
        if url and next(node.iter("a"), None) is None:
            quote = element("blockquote")
            quote.append(element("p", text or words_of(node)))
            replace_with(node, *([quote] if text or words_of(node) else []), link(url, str(data.get("name") or "")))
    for node in by_class(tree, "youtube-wrap", "vimeo-wrap", "spotify-wrap", "apple-podcast-container"):
        data = data_of(node)
        url = str(data.get("url") or "")
        if not url and data.get("videoId"):
            start = "https://www.youtube.com/watch?v=" if has_class(node, "youtube-wrap") else "https://vimeo.com/"
            url = f"{start}{data['videoId']}"
        if url:
            replace_with(node, link(url, str(data.get("title") or host_of(url))))
    for node in by_class(tree, "latex-rendered"):
        formula = str(data_of(node).get("persistentExpression") or words_of(node))
        code = element("pre")
        code.append(element("code", formula))
        replace_with(node, code)
    for node in by_class(tree, "mention-wrap"):
        data = data_of(node)
        if data.get("name") and not words_of(node):
            replace_with(node, element("span", str(data["name"])))


def _read_pictures(tree: Any) -> None:
    for image in list(tree.iter("img")):
        data = data_of(image)
        src = str(image.get("src") or data.get("src") or "")
        image.set("src", original(src))
        if not image.get("alt") and isinstance(data.get("alt"), str):
            image.set("alt", data["alt"])
        for name in ("width", "height"):
            image.attrib.pop(name, None)
        anchor = next((one for one in image.iterancestors("a") if has_class(one, "image-link", "image2")), None)
        if anchor is None:
            continue
        if original(anchor.get("href") or "") == image.get("src") or not anchor.get("href"):
            anchor.attrib.pop("href", None)
    for node in list(tree.iter("picture", "source")):
        node.drop_tag()
    for node in by_class(tree, "image-link-expand", "image3"):
        data = data_of(node)
        if has_class(node, "image3") and next(node.iter("img"), None) is None and data.get("src"):
            replace_with(node, picture(original(str(data["src"])), str(data.get("alt") or "")))
    for node in by_class(tree, "captioned-image-container"):
        node.tag = "div"


def original(src: str) -> str:
    """The address of a picture without the network around it."""
    if _CDN.match(src):
        last = unquote(src.rsplit("/", 1)[-1])
        src = last if last.startswith("http") else src
    return _OLD_STORE.sub(_STORE, src)


def _read_footnotes(tree: Any) -> None:
    """Write footnotes as Markdown does."""
    for anchor in by_class(tree, "footnote-anchor"):
        number = _number_of(anchor)
        if number:
            replace_with(anchor, footnote_mark(number))
    for note in by_class(tree, "footnote"):
        number = _number_of(note)
        contents = by_class(note, "footnote-content")
        if not number or not contents:
            continue
        made = footnote_text(number)
        made.append(on_one_line(contents[0]))
        replace_with(note, made)


def _number_of(node: Any) -> str:
    for one in node.iter():
        for name in ("id", "href"):
            if found := _NOTE_ID.search(one.get(name) or ""):
                return found[1]
    words = words_of(node)
    return words if words.isdigit() else ""
