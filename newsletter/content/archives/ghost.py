"""Ghost's export: one JSON file with the tables of a site. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any

from newsletter.config.translatable import translatable
from newsletter.content.archives.dates import read_time
from newsletter.content.archives.ghost_cards import escaped, picture_html
from newsletter.content.archives.ghost_texts import GhostText, from_lexical, from_mobiledoc
from newsletter.content.archives.item import ArchiveFiles, ArchiveItem, ArchivePicture, UnreadItem, Visibility
from newsletter.content.archives.mail_html import (
    LeftOut,
    TooLongError,
    by_class,
    element,
    link,
    replace_with,
    tree_of,
    words_of,
)
from newsletter.content.archives.past_issue import PastIssue, built, too_long
from newsletter.content.archives.tables import is_true, json_of, paths_with, rows_of, text_of
from newsletter.content.html_text import html_to_line
from newsletter.content.markdown import markdown_to_html

SITE = "__GHOST_URL__"
#: Stands for the address of the site if it is not known, so that pictures of the archive have an address.
NO_SITE = "https://archive.invalid"

_KNOWN = {
    *("id", "uuid", "title", "slug", "html", "lexical", "mobiledoc", "markdown", "plaintext", "comment_id", "status"),
    *("type", "page", "visibility", "created_at", "updated_at", "published_at", "custom_excerpt", "feature_image"),
    *(
        "image",
        "language",
        "locale",
        "created_by",
        "updated_by",
        "published_by",
        "author_id",
        "featured",
        "newsletter_id",
    ),
    *("email_recipient_filter", "show_title_and_feature_image", "meta_title", "meta_description"),
}
_SIZES = re.compile(r"/content/images/size/w\d+(?:h\d+)?/")
_KG_COMMENT = re.compile(r"<!--\s*kg-card-(?:begin|end):[^>]*-->")
_PAYWALL = re.compile(r"<!--\s*members-only\s*-->")


@dataclass(slots=True)
class GhostArchive:
    """`{"db": [{"data": {"posts": […]}}]}`, or without `db`; in a ZIP file with the folder `content`, or alone.

    `site_url` takes the place of `__GHOST_URL__`. `free_part_only`: posts for members are cut at their paywall, and are
    public. Otherwise they are whole and private.
    """

    code: str = field(default="ghost", init=False)
    site_url: str = ""
    keeps_counters: bool = True
    free_part_only: bool = False

    def fits(self, files: ArchiveFiles) -> bool:
        """Whether there is such a file."""
        return any(_tables_in(files, path) is not None for path in paths_with(files, ".json"))

    def items(self, files: ArchiveFiles) -> Iterator[ArchiveItem | UnreadItem]:
        """The posts in the order of the files."""
        for path in paths_with(files, ".json"):
            tables = _tables_in(files, path)
            if tables is None:
                continue
            site = _Site(self, tables, files)
            for number, post in enumerate(rows_of(tables.get("posts")), start=1):
                yield site.post(f"{path}, post {number}", post)


class _Site:
    """The tables of a site, by what joins them."""

    def __init__(self, archive: GhostArchive, tables: Mapping[str, Any], files: ArchiveFiles) -> None:
        self._archive = archive
        self._url = archive.site_url.rstrip("/") or NO_SITE
        self._meta = {text_of(row, "post_id"): row for row in rows_of(tables.get("posts_meta"))}
        self._tags = _joined(tables, "tags", "posts_tags", "tag_id")
        self._authors = _joined(tables, "users", "posts_authors", "author_id")
        self._images = {
            f"/{path}"[f"/{path}".find("/content/images/") :]: path
            for path in files.paths()
            if "content/images" in str(path)
        }

    def post(self, place: str, post: dict[str, Any]) -> ArchiveItem | UnreadItem:
        """The item of one post."""
        title, meta = text_of(post, "title"), self._meta.get(text_of(post, "id"), {})
        if text_of(post, "type") == "page" or is_true(post.get("page")):
            return UnreadItem(place, translatable("“{title}” is a page and no issue.", title=title), False)
        found = _text_of_post(post)
        if found is None:
            return UnreadItem(place, translatable("The text of “{title}” cannot be read.", title=title), True)
        slug, published_at = text_of(post, "slug"), read_time(post.get("published_at"))
        past = PastIssue(
            key=text_of(post, "id", "uuid") or slug or place,
            place=place,
            title=title,
            subject=text_of(meta, "email_subject"),
            preheader=text_of(post, "custom_excerpt") or text_of(post, "meta_description"),
            slug=slug,
            base_url=f"{self._url}/{slug}/",
            published_at=published_at,
            visibility=_visibility(post, meta),
            language=text_of(post, "locale", "language"),
            categories=tuple(name for name in self._tags.get(text_of(post, "id"), []) if not name.startswith("#")),
            unknown=self._unknown(post, meta),
            notes=found.notes,
        )
        past.old_paths = _old_paths(post, past.visibility)
        return self._with_text(past, self._lead(post, meta) + found.html)

    def _with_text(self, past: PastIssue, html: str) -> ArchiveItem | UnreadItem:
        html = self._cut(past, _KG_COMMENT.sub("", html))
        html = _SIZES.sub("/content/images/", html.replace(SITE, self._url))
        try:
            past.tree = tree_of(html)
        except TooLongError:
            return too_long(past.place)
        if past.tree is not None:
            read_cards(past.tree, past.left_out)
            past.pictures = tuple(self._pictures_in(past.tree))
            if self._url == NO_SITE:
                _note_links_of_site(past)
        return built(past, keeps_counters=self._archive.keeps_counters)

    def _cut(self, past: PastIssue, html: str) -> str:
        """The HTML without its part for members, if that is wanted."""
        free, *rest = _PAYWALL.split(html, maxsplit=1)
        if not rest or past.visibility != Visibility.PRIVATE:
            return _PAYWALL.sub("", html)
        if self._archive.free_part_only:
            words = len(html_to_line(_PAYWALL.sub("", rest[0])).split())
            past.visibility = Visibility.PUBLIC
            past.note(translatable("The part for paying subscribers was left out ({count:,} words).", count=words))
            return free
        past.note(translatable("The free part of this post ends within the text; the whole is not public."))
        return f"{free}{_PAYWALL.sub('', rest[0])}"

    def _lead(self, post: Mapping[str, Any], meta: Mapping[str, Any]) -> str:
        src = text_of(dict(post), "feature_image", "image")
        caption, alt = text_of(dict(meta), "feature_image_caption"), text_of(dict(meta), "feature_image_alt")
        return picture_html({"src": src, "caption": caption, "alt": alt}) if src else ""

    def _pictures_in(self, tree: Any) -> Iterator[ArchivePicture]:
        for image in tree.iter("img"):
            src = str(image.get("src") or "")
            src = f"{self._url}{src}" if src.startswith("/content/images/") else src
            path = self._images.get(src.removeprefix(self._url))
            if path is not None:
                yield ArchivePicture(src, str(path))

    def _unknown(self, post: Mapping[str, Any], meta: Mapping[str, Any]) -> dict[str, object]:
        found = {name: value for name, value in post.items() if name not in _KNOWN}
        names = (
            "frontmatter",
            "og_title",
            "og_description",
            "og_image",
            "twitter_title",
            "twitter_description",
            "meta_title",
        )
        found |= {name: meta.get(name) for name in names}
        return found | {"authors": self._authors.get(text_of(dict(post), "id"), [])}


def read_cards(tree: Any, left_out: LeftOut) -> None:
    """Turn the cards in Ghost's HTML into plain HTML, in place."""
    for node in by_class(tree, "kg-signup-card", "kg-email-card", "kg-email-cta-card"):
        left_out.drop(node)
    for anchor in list(tree.iter("a")):
        if "#/portal" in (anchor.get("href") or "") and anchor.getparent() is not None:
            left_out.drop(anchor)
    for node in by_class(tree, "kg-bookmark-card"):
        _read_bookmark(node)
    for node in by_class(tree, "kg-audio-card", "kg-video-card", "kg-file-card"):
        _read_file(node)
    for node in by_class(tree, "kg-toggle-heading-text"):
        node.tag = "h4"
    for node in by_class(tree, "kg-callout-card"):
        node.tag = "blockquote"
    for node in by_class(tree, "kg-product-card-rating", "kg-toggle-card-icon"):
        node.drop_tree()
    for node in by_class(tree, "kg-gallery-card"):
        _read_gallery(node)


def _read_bookmark(node: Any) -> None:
    anchor = next((one for one in by_class(node, "kg-bookmark-container")), None)
    url = str(anchor.get("href") or "") if anchor is not None else ""
    title = " ".join(words_of(one) for one in by_class(node, "kg-bookmark-title"))
    texts = [words_of(one) for one in by_class(node, "kg-bookmark-description", "kg-bookmark-metadata")]
    captions = [words_of(one) for one in node.iter("figcaption")]
    if url:
        replace_with(node, link(url, title), *(element("p", text) for text in (*texts, *captions) if text))


def _read_file(node: Any) -> None:
    sources = [str(one.get(name) or "") for one in node.iter() for name in ("src", "href")]
    files = [one for one in sources if "/content/media/" in one or "/content/files/" in one] or [
        one for one in sources if one
    ]
    titles = by_class(node, "kg-audio-title", "kg-file-card-title", "kg-file-card-filename")
    texts = [words_of(one) for one in (*by_class(node, "kg-file-card-caption"), *node.iter("figcaption"))]
    if files:
        title = words_of(titles[0]) if titles else ""
        replace_with(node, link(files[0], title), *(element("p", text) for text in texts if text))


def _read_gallery(node: Any) -> None:
    captions = [words_of(one) for one in node.iter("figcaption")]
    images = [element("figure") for _ in node.iter("img")]
    for figure, image in zip(images, list(node.iter("img")), strict=True):
        image.tail = None
        figure.append(image)
    replace_with(node, *images, *(element("p", caption) for caption in captions if caption))


def _note_links_of_site(past: PastIssue) -> None:
    """Links to pages of a site whose address is not known are left out, with a note."""
    names = {picture.address for picture in past.pictures}
    for anchor in list(past.tree.iter("a")):
        href = str(anchor.get("href") or "")
        if href.startswith((NO_SITE, "/")) and not href.startswith("//"):
            past.left_out.links.append(href.removeprefix(NO_SITE) or "/")
            anchor.drop_tag()
    for image in list(past.tree.iter("img")):
        src = str(image.get("src") or "")
        if (
            src.startswith((NO_SITE, "/"))
            and not src.startswith("//")
            and f"{NO_SITE}{src.removeprefix(NO_SITE)}" not in names
        ):
            past.left_out.links.append(src.removeprefix(NO_SITE))
            image.drop_tree()


def _tables_in(files: ArchiveFiles, path: PurePosixPath) -> Mapping[str, Any] | None:
    value = json_of(files, path)
    if isinstance(value, dict) and "db" in value:
        value = value["db"][0] if isinstance(value["db"], list) and value["db"] else value["db"]
    if not isinstance(value, dict):
        return None
    tables = value.get("data", value)
    is_ghost = isinstance(tables, dict) and isinstance(tables.get("posts"), list)
    return tables if is_ghost and ("data" in value or "posts_meta" in tables or "posts_tags" in tables) else None


def _joined(tables: Mapping[str, Any], things: str, joins: str, key: str) -> dict[str, list[str]]:
    """The names of tags or authors of each post, in their order."""
    names = {text_of(row, "id"): text_of(row, "name") for row in rows_of(tables.get(things))}
    found: dict[str, list[str]] = {}
    rows = rows_of(tables.get(joins))
    for row in sorted(rows, key=lambda row: row["sort_order"] if isinstance(row.get("sort_order"), int) else 0):
        name = names.get(text_of(row, key))
        if name:
            found.setdefault(text_of(row, "post_id"), []).append(name)
    return found


def _text_of_post(post: dict[str, Any]) -> GhostText | None:
    """The text of a post in the form that it has; None if it has one that cannot be read."""
    html = text_of(post, "html")
    if html.strip():
        return GhostText(html)
    for name, read in (("lexical", from_lexical), ("mobiledoc", from_mobiledoc)):
        if text := text_of(post, name):
            return read(text)
    if text := text_of(post, "markdown"):
        return GhostText(markdown_to_html(text, under="section"))
    plain = text_of(post, "plaintext")
    return GhostText("".join(f"<p>{escaped(part)}</p>" for part in plain.split("\n\n") if part.strip()))


def _visibility(post: dict[str, Any], meta: dict[str, Any]) -> Visibility:
    status = text_of(post, "status")
    if status == "sent" or is_true(meta.get("email_only")) or is_true(post.get("email_only")):
        return Visibility.MAIL_ONLY
    if status != "published":
        return Visibility.DRAFT
    return Visibility.PUBLIC if text_of(post, "visibility") in {"public", ""} else Visibility.PRIVATE


def _old_paths(post: dict[str, Any], visibility: Visibility) -> tuple[str, ...]:
    """The page of a post, and that of its preview."""
    slug, uuid = text_of(post, "slug"), text_of(post, "uuid")
    if visibility in (Visibility.DRAFT, Visibility.MAIL_ONLY) or not slug:
        return (f"/p/{uuid}/",) if uuid and visibility == Visibility.MAIL_ONLY else ()
    return (f"/{slug}/", *((f"/p/{uuid}/",) if uuid else ()))
