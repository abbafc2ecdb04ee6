"""reStructuredText as Markdown, as far as posts use it: headings, lists, links, images, code, quotes. Pure.

Directives and roles without a meaning in Markdown keep their words, and a note names them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from newsletter.config.translatable import translatable
from newsletter.content.archives.item import ArchiveNote
from newsletter.content.heads import Head, HeadEntry

_RULE = re.compile(r"([=\-`:.'\"~^_*+#<>])\1{2,}[ \t]*")
_FIELD = re.compile(r":(?P<key>[A-Za-z][\w -]{0,40}):[ \t]*(?P<value>.*)")
_TARGET = re.compile(r"^\.\. _(?P<name>`[^`]+`|[^:`]+):[ \t]+(?P<url>\S+)[ \t]*$")
_DIRECTIVE = re.compile(r"^\.\.[ \t]+(?P<name>[\w:-]+)::[ \t]*(?P<words>.*)$")
_OPTION = re.compile(r"^[ \t]+:(?P<key>[\w-]+):[ \t]*(?P<value>.*)$")
_LINK = re.compile(r"`(?P<words>[^`<>]{1,500}?)[ \t\n]*<(?P<url>[^<>`]{1,2000})>`_{1,2}")
_NAMED = re.compile(
    r"`(?P<words>[^`]{1,300})`_(?!_)|(?<![\w`])(?P<word>[A-Za-z0-9][\w.-]{0,60}[A-Za-z0-9]|\w)_(?![\w`])"
)
_LITERAL = re.compile(r"``(?P<words>[^`\n]{1,500}|[^\n]{1,200}?)``")
_ROLE = re.compile(r":(?P<role>[\w:-]{1,40}):`(?P<words>[^`]{1,500})`")
_CODE = frozenset({"code", "code-block", "sourcecode", "highlight"})
_QUOTES = frozenset({"epigraph", "pull-quote", "highlights"})


def rst_as_markdown(text: str) -> tuple[Head, str, list[ArchiveNote]]:
    """The fields and the Markdown of a post, and notes. The title is the first heading, if it has any. Never raises."""
    lines = text.split("\n")
    targets = {
        " ".join(found["name"].strip("`").lower().split()): found["url"]
        for line in lines
        if (found := _TARGET.match(line))
    }
    head, notes = Head(form="rst"), list[ArchiveNote]()
    made = list(_blocks(lines, head, notes, []))
    return head, _inline("\n".join(made), targets), notes


def _blocks(lines: Sequence[str], head: Head, notes: list[ArchiveNote], levels: list[str]) -> Iterator[str]:
    at = 0
    while at < len(lines):
        line = lines[at]
        over = _RULE.fullmatch(line) and at + 2 < len(lines) and lines[at + 1].strip()
        if over and _RULE.fullmatch(lines[at + 2]) and lines[at + 2].strip()[0] == line.strip()[0]:
            yield _heading(lines[at + 1], line.strip()[0] * 2, levels)
            yield ""
            at += 3
        elif _is_title(lines, at):
            yield _heading(line, lines[at + 1].strip()[0], levels)
            yield ""
            at += 2
        elif (found := _FIELD.fullmatch(line)) and len(levels) < 2 and not found["key"].startswith(" "):
            head.entries.append(HeadEntry(found["key"], found["value"].strip(), at + 1))
            yield ""
            at += 1
        elif _TARGET.match(line):
            yield ""
            at += 1
        elif found := _DIRECTIVE.match(line):
            end = _end_of_block(lines, at)
            yield from _directive(found["name"].lower(), found["words"], lines[at + 1 : end], at, head, notes)
            at = end
        elif line.startswith(".. ") or line.strip() == "..":
            end = _end_of_block(lines, at)
            notes.append(ArchiveNote(translatable("One comment was left out."), at + 1))
            yield ""
            at = end
        elif line.rstrip().endswith("::"):
            shown = line.rstrip()[:-2] if line.strip() == "::" or line.rstrip().endswith(" ::") else line.rstrip()[:-1]
            end = _end_of_block(lines, at)
            yield shown.rstrip()
            if any(one.strip() for one in lines[at + 1 : end]):
                yield from ("", "```", *_dedented(lines[at + 1 : end]), "```", "")
            at = max(end, at + 1)
        elif re.match(r"\s*\|[ \t]", line):
            yield line.replace("|", "", 1).strip() + "\\"
            at += 1
        elif re.match(r"\s*#\.[ \t]", line):
            yield line.replace("#.", "1.", 1)
            at += 1
        else:
            is_quote = line.startswith((" ", "\t")) and line.strip() and (at == 0 or not lines[at - 1].strip())
            if is_quote and not _in_list(lines, at):
                end = at
                while end < len(lines) and lines[end].strip() and lines[end].startswith((" ", "\t")):
                    yield f"> {lines[end].strip()}"
                    end += 1
                at = end
            else:
                yield line
                at += 1


def _is_title(lines: Sequence[str], at: int) -> bool:
    line = lines[at]
    below = at + 1 < len(lines) and _RULE.fullmatch(lines[at + 1])
    is_text = line.strip() and not line.startswith((" ", "\t", "..")) and not _RULE.fullmatch(line)
    return bool(below and is_text and (at == 0 or not lines[at - 1].strip()))


def _heading(words: str, mark: str, levels: list[str]) -> str:
    if mark not in levels:
        levels.append(mark)
    return f"{'#' * min(6, levels.index(mark) + 1)} {words.strip()}"


def _end_of_block(lines: Sequence[str], at: int) -> int:
    end = at + 1
    while end < len(lines) and (not lines[end].strip() or lines[end].startswith((" ", "\t"))):
        end += 1
    while end > at + 1 and not lines[end - 1].strip():
        end -= 1
    return end


def _directive(
    name: str, words: str, block: Sequence[str], at: int, head: Head, notes: list[ArchiveNote]
) -> Iterator[str]:
    options = {found["key"]: found["value"] for line in block if (found := _OPTION.match(line))}
    inner = _dedented([line for line in block if not _OPTION.match(line)])
    yield ""
    if name in {"image", "figure"}:
        alt = re.sub(r"[\[\]]", " ", options.get("alt", ""))
        image = f"![{alt}]({words.strip()})"
        yield f"[{image}]({options['target']})" if options.get("target") else image
        yield ""
        yield from inner
    elif name in _CODE:
        yield from (f"```{words.strip()}", *inner, "```")
    elif name in _QUOTES:
        yield from (f"> {line}" for line in inner)
    elif name == "meta":
        head.entries += [HeadEntry(key, value, at + 1) for key, value in options.items()]
    elif name == "raw":
        notes.append(
            ArchiveNote(translatable("Code of the old site was left out: {code}", code=" ".join(inner)[:300]), at + 1)
        )
    elif name in {"contents", "sectnum", "default-role"}:
        pass
    else:
        if name not in {"note", "warning", "tip", "important", "hint", "admonition", "caution", "topic", "sidebar"}:
            sentence = translatable("The directive “{name}” is shown as its text.", name=name)
            notes.append(ArchiveNote(sentence, at + 1))
        yield f"**{words.strip()}**" if words.strip() else ""
        yield ""
        yield from inner
    yield ""


def _dedented(lines: Sequence[str]) -> list[str]:
    filled = [line.expandtabs(4) for line in lines]
    margin = min((len(line) - len(line.lstrip()) for line in filled if line.strip()), default=0)
    made = [line[margin:].rstrip() for line in filled]
    while made and not made[0]:
        made.pop(0)
    return made


def _in_list(lines: Sequence[str], at: int) -> bool:
    """Whether the indented line belongs to a list item above it."""
    for before in reversed(lines[max(0, at - 60) : at]):
        if re.match(r"[ \t]*(?:[-*+•]|\d+[.)]|#\.)[ \t]", before):
            return True
        if before.strip() and not before.startswith((" ", "\t")):
            return False
    return False


def _inline(text: str, targets: dict[str, str]) -> str:
    kept: list[str] = []

    def literal(found: re.Match[str]) -> str:
        kept.append(f"`{found['words']}`")
        return f"\ue012{len(kept) - 1}\ue013"

    def named(found: re.Match[str]) -> str:
        words = found["words"] or found["word"]
        url = targets.get(" ".join(words.lower().split()))
        return f"[{words}]({url})" if url else (found[0] if found["word"] else f"*{words}*")

    text = _LITERAL.sub(literal, text)
    text = _LINK.sub(lambda found: f"[{' '.join(found['words'].split())}]({found['url'].strip()})", text)
    text = _ROLE.sub(lambda found: f"`{found['words']}`" if found["role"] == "code" else found["words"], text)
    text = _NAMED.sub(named, text)
    return re.sub("\ue012(\\d+)\ue013", lambda found: kept[int(found[1])], text)
