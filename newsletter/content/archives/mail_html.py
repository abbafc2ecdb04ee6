"""HTML of mails and pages of other tools, made ready for the one converter: its links, pictures and embeds. Pure.

Functions change a tree of `parsed_html` in place. What is left out is collected in `LeftOut`, which becomes notes.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urljoin, urlsplit

import orjson
from lxml import html as lxml_html  # type: ignore[import-untyped]

from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveNote
from newsletter.content.archives.templates import MERGE_LINK
from newsletter.content.archives.unwrap import Fate, is_pixel, unwrap_link
from newsletter.content.html_markdown import tree_as_markdown
from newsletter.content.html_text import one_line
from newsletter.content.html_tree import MAX_CHARACTERS, is_data_table, name_of, parsed_html
from newsletter.content.links import is_allowed_in_text

#: Characters of the reference to a footnote, such as `[12]`.
MAX_REFERENCE = 6
_HIDDEN = re.compile(r"display:\s*none|mso-hide:\s*all")
_TINY = re.compile(r"[0-3](?:px)?")
_EMBEDS = ("iframe", "video", "audio", "embed", "object")
_SOURCES = ("src", "data", "data-src", "data-url")
_SCHEME = re.compile(r"[a-zA-Z][a-zA-Z0-9+.-]*:")
_CAPTIONS = ("figcaption",)
# Characters for private use mark footnotes until the text is Markdown.
_PRIVATE_USE = re.compile("[\ue000-\ue02f]")
_NOTE_MARK = re.compile("\ue021(\\d+)\ue022")
_NOTE_TEXT = re.compile("\ue023(\\d+)\ue024\\s*")
_SMALL = ("p", "td", "li", "div", "small", "h4", "h5", "h6", "center", "span")
_MOST_CHROME_WORDS = 60


@dataclass(slots=True)
class LeftOut:
    """What a public page does not need, by its words; and links that were lost."""

    chrome: list[str] = field(default_factory=list)
    links: list[str] = field(default_factory=list)
    goals: list[str] = field(default_factory=list)
    """Words and hosts of tracked links without their goal."""
    notes: list[ArchiveNote] = field(default_factory=list)

    def drop(self, node: Any) -> None:
        """Remove an element; its words and addresses are noted."""
        self.add(node)
        node.drop_tree()

    def add(self, node: Any) -> None:
        """Note the words and addresses of an element."""
        addresses = [anchor.get("href", "") for anchor in node.iter("a")]
        urls = [unwrap_link(url).url for url in addresses if not url.startswith((MERGE_LINK, "#"))]
        if shown := " ".join(filter(None, [words_of(node), *urls])):
            self.chrome.append(shown)

    def as_notes(self) -> list[ArchiveNote]:
        """The notes."""
        notes = list(self.notes)
        if self.chrome:
            words = ", ".join(f"“{words}”" for words in dict.fromkeys(self.chrome))
            sentence = translatable("Left out, as it belongs to the mail and not to the text: {words}", words=words)
            notes.append(ArchiveNote(sentence))
        if self.goals:
            sentence = translatable(
                "The goal of these tracked links is not in them, so that only their words were kept: {links}",
                links=", ".join(dict.fromkeys(self.goals)),
            )
            notes.append(ArchiveNote(sentence))
        if self.links:
            sentence = translatable(
                "These links were left out, as they lead to no address of the web: {links}",
                links=", ".join(dict.fromkeys(self.links)),
            )
            notes.append(ArchiveNote(sentence))
        return notes


class TooLongError(ValueError):
    """The HTML is longer than what is converted."""

    permanent = True


def tree_of(html: str) -> Any:
    """The tree of `html`; None if it is empty. Raises TooLongError, so that nothing is cut off in silence."""
    html = _PRIVATE_USE.sub("", html)
    text = re.sub(r"data:[a-z]+/[\w.+-]+;base64,[\w+/=\s]+", "data:,", html) if ";base64," in html else html
    if len(text) > MAX_CHARACTERS:
        raise TooLongError
    return parsed_html(text)


def markdown_of(tree: Any, left_out: LeftOut, *, base_url: str = "", keeps_counters: bool = True) -> str:
    """The tree as Markdown with headings at their levels. The tree is changed."""
    footnotes_as_markdown(tree)
    drop_hidden(tree, left_out)
    embeds_as_links(tree)
    flatten_layout(tree)
    clean_links(tree, left_out, base_url=base_url, keeps_counters=keeps_counters)
    clean_pictures(tree, left_out, base_url=base_url)
    captions_below_pictures(tree)
    converted = tree_as_markdown(tree, base_url=base_url)
    if forms := converted.dropped["form"]:
        left_out.notes.append(ArchiveNote(translatable("Forms were left out ({count}).", count=forms)))
    return _NOTE_TEXT.sub(r"\n\n[^\1]: ", _NOTE_MARK.sub(r"[^\1]", converted.markdown))


def footnote_mark(number: str) -> Any:
    """A reference to a footnote; Markdown writes it as `[^1]`."""
    return element("span", f"\ue021{number}\ue022")


def footnote_text(number: str) -> Any:
    """The paragraph of a footnote, without its text."""
    return element("p", f"\ue023{number}\ue024")


def footnotes_as_markdown(tree: Any) -> None:
    """Write footnotes as Markdown does: references to an element that refers back to them."""
    places = {str(node.get("id")): node for node in tree.iter() if node.get("id")}
    notes: dict[Any, str] = {}
    for anchor in list(tree.iter("a")):
        href = anchor.get("href") or ""
        note = places.get(href[1:]) if href.startswith("#") else None
        if note is None or name_of(note) not in {"li", "p", "div"} or note in anchor.iterancestors():
            continue
        own = anchor.get("id") or anchor.getparent().get("id") or ""
        backs = [one for one in note.iter("a") if own and one.get("href") == f"#{own}"]
        if len(words_of(anchor)) > MAX_REFERENCE or not (backs or note in notes):
            continue
        number = notes.setdefault(note, str(len(notes) + 1))
        parent = anchor.getparent()
        is_alone = name_of(parent) == "sup" and words_of(parent) == words_of(anchor)
        replace_with(parent if is_alone else anchor, footnote_mark(number))
        for back in backs:
            replace_with(back)
    for note, number in notes.items():
        made = footnote_text(number)
        replace_with(note)
        made.append(on_one_line(note))
        tree.append(made)
    for listing in list(tree.iter("ol", "ul")) if notes else ():
        if not len(listing) and not words_of(listing):
            replace_with(listing)


def on_one_line(content: Any) -> Any:
    """The blocks in an element as running text, in place."""
    content.tail = None
    for node in list(content.iter("p", "div", "li", "ul", "ol", "blockquote")):
        if node is not content:
            if node.getprevious() is None and (node.getparent().text or "").strip():
                node.text = f" {node.text or ''}"
            node.tail = f" {node.tail or ''}"
            node.tag = "span"
    content.tag = "span"
    return content


def has_class(node: Any, *names: str) -> bool:
    """Whether an element has one of the classes."""
    return not {*names}.isdisjoint((node.get("class") or "").split())


def by_class(tree: Any, *names: str) -> list[Any]:
    """The elements with one of the classes, outermost first, none within another."""
    found: list[Any] = []
    taken: set[Any] = set()
    for node in tree.iter():
        if isinstance(node.tag, str) and has_class(node, *names) and taken.isdisjoint(node.iterancestors()):
            found.append(node)
            taken.add(node)
    return found


def words_of(node: Any) -> str:
    """The words of an element on one line, and the descriptions of pictures in it."""
    return one_line(node.text_content())


def data_of(node: Any, name: str = "data-attrs") -> dict[str, Any]:
    """The JSON object in an attribute, which may be encoded twice; empty if there is none."""
    value: Any = node.get(name) or ""
    for _ in range(2):
        if isinstance(value, str):
            try:
                value = orjson.loads(value)
            except orjson.JSONDecodeError:
                return {}
    return value if isinstance(value, dict) else {}


def replace_with(node: Any, *made: Any) -> None:
    """Put elements in the place of another one."""
    for one in made:
        node.addprevious(one)
    tail, node.tail = node.tail, None
    parent = node.getparent()
    parent.remove(node)
    if tail:
        if made:
            made[-1].tail = (made[-1].tail or "") + tail
        elif len(parent):
            parent[-1].tail = (parent[-1].tail or "") + tail
        else:
            parent.text = (parent.text or "") + tail


def element(name: str, words: str = "", **attributes: str) -> Any:
    """A new element."""
    made = lxml_html.Element(name)
    made.text = words or None
    for key, value in attributes.items():
        made.set(key, value)
    return made


def link(url: str, words: str) -> Any:
    """A paragraph with a link."""
    made = element("p")
    made.append(element("a", words or host_of(url), href=url))
    return made


def picture(src: str, alt: str = "", caption: str = "", href: str = "") -> Any:
    """A figure."""
    made = element("figure")
    parent = element("a", href=href) if href else made
    if href:
        made.append(parent)
    parent.append(element("img", src=src, alt=alt))
    if caption:
        made.append(element("figcaption", caption))
    return made


def host_of(url: str) -> str:
    """The host of an address without www; the address if it has none."""
    try:
        return (urlsplit(url).hostname or url).removeprefix("www.")
    except ValueError:
        return url


def drop_hidden(tree: Any, left_out: LeftOut) -> None:
    """Remove what mails hide, such as the preheader."""
    for node in list(tree.iter()):
        if _HIDDEN.search((node.get("style") or "").lower()) and node.getparent() is not None:
            left_out.drop(node)


def embeds_as_links(tree: Any) -> None:
    """Replace players and frames by links to them; their own words stay."""
    for node in list(tree.iter(*_EMBEDS)):
        sources = [node.get(name) or "" for name in _SOURCES] + [one.get("src") or "" for one in node.iter("source")]
        src = next((one for one in sources if one), "")
        if node.getparent() is None:
            continue
        made = [link(src if not src.startswith("//") else f"https:{src}", node.get("title") or "")] if src else []
        words = words_of(node)
        replace_with(node, *made, *([element("p", words)] if words else []))


def flatten_layout(tree: Any) -> None:
    """Undo tables that only place things: deep nesting would cost their links."""
    for table in list(tree.iter("table")):
        is_layout = table.get("role") == "presentation" or next(table.iter("img"), None) is not None
        if is_layout or not is_data_table(table):
            for node in list(table.iter("table", "tbody", "thead", "tfoot", "tr", "td", "th")):
                if next((one for one in node.iterancestors("table")), table) is table or node is table:
                    node.tag = "div"
    for node in list(tree.iter("div", "center", "section", "article", "main")):
        parent = node.getparent()
        is_only = parent is not None and len(parent) == 1 and not (parent.text or "").strip()
        if is_only and not (node.tail or "").strip() and name_of(parent) in {"div", "center", "section", "article"}:
            node.drop_tag()


def clean_links(tree: Any, left_out: LeftOut, *, base_url: str = "", keeps_counters: bool = True) -> None:
    """Unwrap the links, and remove those that are for one subscriber only."""
    for node in list(tree.iter("a")):
        href = (node.get("href") or "").strip()
        if node.getparent() is None or not href:
            continue
        has_words = bool(words_of(node)) or next(node.iter("img"), None) is not None
        if href.startswith(MERGE_LINK):
            left_out.drop(_chrome_around(node))
        elif href.startswith("#"):
            node.drop_tag()
        elif (problem := _clean_link(node, href, left_out, base_url, keeps_counters)) is not None:
            left_out.links.append(problem)
            node.drop_tag()
        elif not has_words and node.getparent() is not None and node.get("href"):
            node.text = host_of(node.get("href"))


def _clean_link(node: Any, href: str, left_out: LeftOut, base_url: str, keeps_counters: bool) -> str | None:
    """Change the link; the address if it must be left out."""
    try:
        url = urljoin(base_url, href)
    except ValueError:
        return href
    unwrapped = unwrap_link(url, keeps_counters=keeps_counters)
    if unwrapped.fate == Fate.CHROME:
        left_out.drop(_chrome_around(node))
    elif unwrapped.fate == Fate.UNKNOWN:
        left_out.goals.append(f"“{words_of(node)}” ({host_of(url)})")
        node.drop_tag()
    elif not is_allowed_in_text(unwrapped.url) and not is_allowed_in_text(unwrapped.url.replace(" ", "%20")):
        return href
    else:
        node.set("href", unwrapped.url.replace(" ", "%20"))
    return None


def _chrome_around(node: Any) -> Any:
    """The paragraph of a link to unsubscribe or the like, if it is short and has no other links."""
    block = next((one for one in node.iterancestors() if name_of(one) in _SMALL and name_of(one) != "span"), None)
    if block is None or block.getparent() is None or len(words_of(block).split()) > _MOST_CHROME_WORDS:
        return node
    is_chrome = all(_is_for_one(one.get("href") or "") for one in block.iter("a"))
    return block if is_chrome and next(block.iter("img", "h1", "h2", "h3", "table"), None) is None else node


def _is_for_one(href: str) -> bool:
    return not href or href.startswith((MERGE_LINK, "mailto:", "#")) or unwrap_link(href).fate == Fate.CHROME


def clean_pictures(tree: Any, left_out: LeftOut, *, base_url: str = "") -> None:
    """Remove pixels, and make addresses of pictures absolute."""
    for node in list(tree.iter("img")):
        src = (node.get("src") or node.get("data-src") or "").strip()
        is_tiny = any(_TINY.fullmatch((node.get(side) or "").strip()) for side in ("width", "height"))
        if is_tiny or not src or src.startswith(MERGE_LINK) or is_pixel(src):
            node.drop_tree()
            continue
        try:
            url = urljoin(base_url, src)
        except ValueError:
            url = src
        clean = unwrap_link(url).url or url
        node.set("src", f"https:{clean}" if clean.startswith("//") else clean.replace(" ", "%20"))
        if not is_allowed_in_text(node.get("src")):
            words = one_line(node.get("alt") or "")
            left_out.links.append(" ".join(filter(None, [words, src[:200]])))
            node.drop_tree()


def captions_below_pictures(tree: Any) -> None:
    """Write each figure of one picture as a paragraph: the picture, a line break, the caption."""
    for figure in list(tree.iter("figure")):
        pictures = list(figure.iter("img"))
        captions = [one for one in figure.iter(*_CAPTIONS) if words_of(one)]
        if (
            len(pictures) != 1
            or len(captions) > 1
            or next(figure.iter("table", "pre", "blockquote", "ul"), None) is not None
        ):
            continue
        others = words_of(figure) != (words_of(captions[0]) if captions else "")
        if others or figure.getparent() is None:
            continue
        made = element("p")
        anchor = next((one for one in pictures[0].iterancestors("a")), None)
        image = element("img", src=pictures[0].get("src") or "", alt=pictures[0].get("alt") or "")
        if anchor is not None and anchor.get("href"):
            wrapper = element("a", href=anchor.get("href"))
            wrapper.append(image)
            made.append(wrapper)
        else:
            made.append(image)
        if captions:
            made.append(element("br"))
            for child in _inline_of(captions[0]):
                made.append(child)
        replace_with(figure, made)


def _inline_of(caption: Any) -> Iterator[Any]:
    caption.tail = None
    caption.tag = "span"
    for node in list(caption.iter("p", "div", "figcaption")):
        if node is not caption:
            node.tag = "span"
            node.tail = f" {node.tail or ''}"
    yield caption
