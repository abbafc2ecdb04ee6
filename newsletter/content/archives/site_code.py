"""Code of site generators in Markdown – Liquid, shortcodes, MDX, kramdown, scripts – as Markdown, or left out. Pure.

What has a meaning in Markdown is turned into it: figures, embedded videos, highlighted code. Everything else is left
out with a note that names it, since shown raw it would be a fault. Code blocks stay as they are.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from newsletter.config.translatable import translatable, translatable_plural
from newsletter.content.archives.item import ArchiveNote
from newsletter.content.lines import scan_lines

MAX_SHOWN = 5_000
"""Characters of left-out code in a note."""

_RAW = re.compile(r"\{%-?\s*raw\s*-?%\}|\{\{<\s*raw\s*>\}\}")
_END_RAW = re.compile(r"\{%-?\s*endraw\s*-?%\}|\{\{<\s*/\s*raw\s*>\}\}")
_HIGHLIGHT = re.compile(
    r"\{%-?\s*highlight\s+(?P<language>[\w+#.-]+)[^%}]{0,100}%\}|\{\{<\s*highlight\s+\"?(?P<word>[\w+#.-]+)[^>}]{0,100}>\}\}"
)
_END_HIGHLIGHT = re.compile(r"\{%-?\s*endhighlight\s*-?%\}|\{\{<\s*/\s*highlight\s*>\}\}")
_COMMENT = re.compile(r"\{%-?\s*comment\s*-?%\}|\{::comment\}|\{/\*|\{#(?![\w-]+\})")
_END_COMMENT = re.compile(r"\{%-?\s*endcomment\s*-?%\}|\{:/comment\}|\{:/\}|\*/\}|#\}")
_SCRIPT = re.compile(r"<(?P<name>script|style|svg|canvas|form|noscript)\b[^>]{0,2000}>", re.IGNORECASE)
_ENDS_OF = {
    name: re.compile(rf"</{name}\s*>", re.IGNORECASE)
    for name in ("script", "style", "svg", "canvas", "form", "noscript")
}
_SHORTCODE = re.compile(r"\{\{(?P<mark>[<%])(?P<words>[^{}]{0,2000}?)[>%]\}\}")
_LIQUID = re.compile(r"\{%-?(?P<code>[^{}]{0,2000}?)-?%\}")
_VALUE = re.compile(r"\{\{-?(?P<value>[^{}]{0,1000}?)-?\}\}")
_KRAMDOWN = re.compile(
    r"(?m)^[ \t]*\{:[^{}\n]{0,300}\}[ \t]*$|\{::[^{}\n]{0,300}/?\}"
    r"|(?<=[\])*_`>\w.!?\"”])[ \t]*\{:[^{}\n]{0,300}\}"
    r"|(?<=\))\{(?=[ \t]*[.#\w])[^{}\n|]{0,200}=[^{}\n|]{0,200}\}"
)
_HEADING_ID = re.compile(r"(?m)^(#{1,6}[ \t].*?)[ \t]*\{#[\w:.-]{1,100}\}[ \t]*$")
_TOC = re.compile(
    r"(?m)^[ \t]*(?:[-*+]|\d\.)[ \t]+TOC[ \t]*\n(?=[ \t]*\{:[ \t]*toc)|^[ \t]*\[\[?(?:TOC|_TOC_)\]\]?[ \t]*$",
    re.IGNORECASE,
)
_IMPORT = re.compile(r"(?m)^(?:import|export)\s[^\n]{0,500}$")
_COMPONENT = re.compile(r"</?(?P<name>[A-Z][\w.]{0,60})(?P<attributes>(?:\s[^<>]{0,1500}?)?)/?>")
_EMBED = re.compile(
    r"<(?P<name>iframe|embed|video|audio|source|object)\b(?P<attributes>[^>]{0,2000})>(?:\s{0,20}</(?P=name)\s*>)?",
    re.IGNORECASE,
)
_END_EMBED = re.compile(r"</(?:iframe|embed|video|audio|source|object)\s*>", re.IGNORECASE)
_ATTRIBUTE = re.compile(r"([\w:-]+)\s*[=:]\s*(?:\"([^\"]*)\"|'([^']*)'|\{[\"'`]([^\"'`]*)[\"'`]\}|([^\s\"'<>{}]+))")
_WORDS = re.compile(r"\"([^\"]*)\"|'([^']*)'|(\S+)")
_IMAGE_TAG = re.compile(
    r"(?m)^[ \t]*(?:<p[^>\n]{0,100}>|<center>|<div[^>\n]{0,100}>)?[ \t]*"
    r"<img\b(?P<attributes>[^>\n]{0,2000})>[ \t]*(?:</p>|</center>|</div>)?[ \t]*$",
    re.IGNORECASE,
)
_YOUTUBE = re.compile(r"(?:youtube(?:-nocookie)?\.com/embed/|youtu\.be/)([\w-]{5,20})")
_VIMEO = re.compile(r"player\.vimeo\.com/video/(\d+)")
_SILENT = re.compile(r"\s*(?:excerpt|more|truncate|readmore|read more|end excerpt|toc|summary)\s*", re.IGNORECASE)
_BARE_TAG = re.compile(r"^\s*/?\s*(?:end\w*|raw|if\b.*|else|elsif\b.*|unless\b.*|for\b.*|assign\b.*|capture\b.*)\s*$")
_FRAGMENTS = "\ue010\ue011"


@dataclass(frozen=True, slots=True)
class SiteValues:
    """What templates know: `values` such as `site.url`, and the address of a file or post named in a link tag."""

    values: Mapping[str, str] = field(default_factory=dict)
    address_of: Callable[[str], str] = lambda _name: ""


@dataclass(slots=True)
class _Cleaner:
    site: SiteValues
    is_mdx: bool
    notes: list[ArchiveNote] = field(default_factory=list)
    kept: list[str] = field(default_factory=list)
    """Texts that nothing changes, by number."""
    comments: int = 0

    def left_out(self, text: str, at: int, words: str) -> str:
        shown = " ".join(words.split())
        short = shown if len(shown) <= MAX_SHOWN else f"{shown[:MAX_SHOWN]}…"
        sentence = translatable("Code of the old site was left out: {code}", code=short)
        self.notes.append(ArchiveNote(sentence, text.count("\n", 0, at) + 1))
        return "\n" * words.count("\n")

    def keep(self, words: str) -> str:
        self.kept.append(words)
        return f"\ue010{len(self.kept) - 1}\ue011"


def site_code_as_markdown(
    text: str, site: SiteValues | None = None, *, is_mdx: bool = False
) -> tuple[str, list[ArchiveNote]]:
    """The text without code of generators, with about as many lines, and a note for everything left out."""
    cleaner = _Cleaner(site or SiteValues(), is_mdx)
    if any(letter in text for letter in _FRAGMENTS):
        text = text.translate(dict.fromkeys(map(ord, _FRAGMENTS), " "))
    text = _paired(text, _HIGHLIGHT, lambda _: _END_HIGHLIGHT, lambda tag, inner, _at: _fence(tag, inner))
    text = _paired(text, _RAW, lambda _: _END_RAW, lambda _tag, inner, _at: cleaner.keep(inner))
    text = _fences_kept(text, cleaner)
    text = _without_comments(text, cleaner)
    text = _paired(
        text,
        _SCRIPT,
        lambda tag: _ENDS_OF[tag["name"].lower()],
        lambda tag, inner, at: cleaner.left_out(text, at, f"{tag[0]}{inner}</{tag['name']}>"),
    )
    text = _IMAGE_TAG.sub(_image_of_tag, text)
    text = _EMBED.sub(lambda found: _embedded(found, text, cleaner), text)
    text = _END_EMBED.sub("", text)
    text = _SHORTCODE.sub(lambda found: _shortcode(found, text, cleaner), text)
    text = _LIQUID.sub(lambda found: _liquid(found, text, cleaner), text)
    text = _VALUE.sub(lambda found: _value(found, text, cleaner), text)
    text = _KRAMDOWN.sub("", _HEADING_ID.sub(r"\1", _TOC.sub(lambda found: "\n" * found[0].count("\n"), text)))
    if is_mdx:
        text = _IMPORT.sub(lambda found: cleaner.left_out(text, found.start(), found[0]), text)
    text = _COMPONENT.sub(lambda found: _component(found, text, cleaner), text)
    if cleaner.comments:
        sentence = translatable_plural(
            "One comment was left out.", "{count} comments were left out.", count=cleaner.comments
        )
        cleaner.notes.append(ArchiveNote(sentence))
    return re.sub("\ue010(\\d+)\ue011", lambda found: cleaner.kept[int(found[1])], text), cleaner.notes


def attributes_of(words: str) -> dict[str, str]:
    """The `name="value"` pairs of a tag or shortcode."""
    return {
        found[1].lower(): html.unescape(next((value for value in found.groups()[1:] if value is not None), ""))
        for found in _ATTRIBUTE.finditer(words)
    }


def _paired(
    text: str,
    opening: re.Pattern[str],
    closing: Callable[[re.Match[str]], re.Pattern[str]],
    make: Callable[[re.Match[str], str, int], str],
) -> str:
    """`text` with each pair of tags, and what is between them, replaced. Takes linear time."""
    made: list[str] = []
    at = 0
    without_end: set[str] = set()
    while tag := opening.search(text, at):
        pattern = closing(tag)
        end = None if pattern.pattern in without_end else pattern.search(text, tag.end())
        if end is None:
            without_end.add(pattern.pattern)
            made.append(text[at : tag.end()])
            at = tag.end()
            continue
        made += [text[at : tag.start()], make(tag, text[tag.end() : end.start()], tag.start())]
        at = end.end()
    return "".join([*made, text[at:]])


def _fence(tag: re.Match[str], inner: str) -> str:
    mark = "```" if "```" not in inner else "~~~~"
    return f"{mark}{tag['language'] or tag['word'] or ''}\n{inner.strip(chr(10))}\n{mark}"


def _fences_kept(text: str, cleaner: _Cleaner) -> str:
    """The text with code, in fences and between backquotes, put aside."""
    lines = text.split("\n")
    fenced = scan_lines(lines).fenced
    made = [cleaner.keep(line) if is_code and line else line for line, is_code in zip(lines, fenced, strict=True)]
    return re.sub(r"(?<!`)(`{1,3})(?!`)([^`\n]{1,500})\1(?!`)", lambda found: cleaner.keep(found[0]), "\n".join(made))


def _without_comments(text: str, cleaner: _Cleaner) -> str:
    def dropped(_tag: re.Match[str], inner: str, _at: int) -> str:
        if not _SILENT.fullmatch(inner):
            cleaner.comments += 1
        return "\n" * inner.count("\n")

    html_comment, its_end = re.compile("<!--"), re.compile("-->")
    text = _paired(text, html_comment, lambda _: its_end, dropped)
    return _paired(text, _COMMENT, lambda _: _END_COMMENT, dropped) if "{" in text else text


def _image_of_tag(found: re.Match[str]) -> str:
    given = attributes_of(found["attributes"])
    return _image(given) or found[0]


def _image(given: Mapping[str, str]) -> str:
    address = (given.get("src") or given.get("link") or "").strip()
    if not address:
        return ""
    words = re.sub(r"[\[\]\n]", " ", given.get("alt") or given.get("title") or given.get("caption") or "")
    target = f"<{address}>" if re.search(r"[\s()]", address) else address
    caption = given.get("caption") or ""
    return f"\n![{words.strip()}]({target})\n" + (f"{caption}\n" if caption and caption != words else "")


def _embedded(found: re.Match[str], text: str, cleaner: _Cleaner) -> str:
    given = attributes_of(found["attributes"])
    address = given.get("src") or given.get("data") or ""
    if address.startswith("//"):
        address = f"https:{address}"
    if not address.startswith(("http://", "https://")):
        return cleaner.left_out(text, found.start(), found[0]) if address else "\n" * found[0].count("\n")
    if video := _YOUTUBE.search(address):
        address = f"https://www.youtube.com/watch?v={video[1]}"
    elif video := _VIMEO.search(address):
        address = f"https://vimeo.com/{video[1]}"
    return f"<{address}>" + "\n" * found[0].count("\n")


def _shortcode(found: re.Match[str], text: str, cleaner: _Cleaner) -> str:
    words = found["words"].strip().rstrip("/").strip()
    name, _, rest = words.partition(" ")
    name, given = name.lower(), attributes_of(rest)
    first = next((next(filter(None, one.groups()), "") for one in _WORDS.finditer(rest)), "")
    if name in {"figure", "img", "image"} and (image := _image(given)):
        return image
    if name in {"youtube", "vimeo", "gist", "tweet", "x"} and (first or given):
        return _site_link(name, first, given, rest) or cleaner.left_out(text, found.start(), found[0])
    if name in {"ref", "relref"} and first:
        return cleaner.site.address_of(first) or cleaner.left_out(text, found.start(), found[0])
    if name.startswith("/") or not rest:
        return cleaner.left_out(text, found.start(), found[0]) if not name.startswith("/") else ""
    return cleaner.left_out(text, found.start(), found[0])


def _site_link(name: str, first: str, given: Mapping[str, str], rest: str) -> str:
    key = given.get("id") or first
    if name == "youtube":
        return f"<https://www.youtube.com/watch?v={key}>"
    if name == "vimeo":
        return f"<https://vimeo.com/{key}>"
    words = [next(filter(None, one.groups()), "") for one in _WORDS.finditer(rest)]
    if name == "gist" and len(words) > 1:
        return f"<https://gist.github.com/{words[0]}/{words[1]}>"
    if name in {"tweet", "x"} and given.get("user") and given.get("id"):
        return f"<https://twitter.com/{given['user']}/status/{given['id']}>"
    return f"<https://twitter.com/i/status/{key}>" if name in {"tweet", "x"} and key.isdigit() else ""


def _liquid(found: re.Match[str], text: str, cleaner: _Cleaner) -> str:
    name, _, rest = found["code"].strip().partition(" ")
    if name in {"link", "post_url"}:
        return cleaner.site.address_of(rest.strip().strip("\"'")) or cleaner.left_out(text, found.start(), found[0])
    if name == "youtube" and rest.strip():
        return f"<https://www.youtube.com/watch?v={rest.split()[0]}>"
    if _BARE_TAG.match(found["code"]) and not rest.strip():
        return ""
    given = attributes_of(rest)
    if (
        name in {"include", "figure", "image", "img"}
        and (given.get("src") or given.get("link"))
        and (image := _image(given))
    ):
        return image
    return cleaner.left_out(text, found.start(), found[0])


def _value(found: re.Match[str], text: str, cleaner: _Cleaner) -> str:
    words, *filters = (part.strip() for part in found["value"].split("|"))
    quoted = re.fullmatch(r"[\"']([^\"']*)[\"']", words)
    if quoted:
        root = cleaner.site.values.get("site.url", "") + cleaner.site.values.get("site.baseurl", "")
        return (
            f"{root}{quoted[1]}"
            if any(one in {"relative_url", "absolute_url", "url"} for one in filters)
            else quoted[1]
        )
    if words.lower() in cleaner.site.values:
        return cleaner.site.values[words.lower()]
    return cleaner.left_out(text, found.start(), found[0])


def _component(found: re.Match[str], text: str, cleaner: _Cleaner) -> str:
    given = attributes_of(found["attributes"])
    if found["name"] in {"Image", "Img", "Figure", "Picture"} and (image := _image(given)):
        return image
    if not cleaner.is_mdx:
        return found[0]
    if found[0].startswith("</"):
        return ""
    if found["name"].lower() in {"youtube", "vimeo", "tweet"} and (
        address := _site_link(found["name"].lower(), "", given, "")
    ):
        return address
    return cleaner.left_out(text, found.start(), found[0])
