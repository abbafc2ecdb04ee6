"""Where the pages of a site generator were: its settings, and the paths of posts that they give. Pure."""

from __future__ import annotations

import datetime
import re
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import urljoin, urlsplit

from newsletter.content.archives.files import read_text
from newsletter.content.archives.item import ArchiveError, ArchiveFiles
from newsletter.content.archives.name_dates import date_in_name, name_of
from newsletter.content.fields import slug_from
from newsletter.content.heads import plain, read_head

#: Files of settings, the first of which counts; `code` files are read by their constants only.
_SETTINGS = (
    ("_config.yml", "jekyll"),
    ("_config.yaml", "jekyll"),
    ("hugo.toml", "hugo"),
    ("hugo.yaml", "hugo"),
    ("pelicanconf.py", "pelican"),
    ("astro.config.mjs", "astro"),
    ("astro.config.ts", "astro"),
    ("astro.config.js", "astro"),
    ("eleventy.config.js", "eleventy"),
    ("eleventy.config.mjs", "eleventy"),
    ("config.toml", "toml"),
    ("config.yaml", "hugo"),
)
_MAX_SETTINGS = 200_000
_STYLES = {
    "date": "/:categories/:year/:month/:day/:title.html",
    "pretty": "/:categories/:year/:month/:day/:title/",
    "ordinal": "/:categories/:year/:y_day/:title.html",
    "none": "/:categories/:title.html",
}
_CONSTANT = re.compile(r"(?m)^(?P<key>[A-Z_]+)\s*=\s*(?P<mark>[\"'])(?P<value>[^\"'\n]*)(?P=mark)")
_SITE = re.compile(r"(?m)^\s*site\s*:\s*[\"']([^\"'\n]+)[\"']")
_TOKEN = re.compile(r":(\w+)")
_FORMAT = re.compile(r"\{(\w+)(?::([^{}]*))?\}")
_ROOTS: Mapping[str, tuple[str, ...]] = {
    "hugo": ("content",),
    "zola": ("content",),
    "pelican": ("content",),
    "astro": ("src/content", "src/pages"),
    "eleventy": ("src", "content", "site"),
    "jekyll": (),
}
#: Folders whose files are at the root of a site.
_PUBLIC = ("", "static", "public", "content", "assets", "src", "source")


@dataclass(frozen=True, slots=True)
class Site:
    """A generator with its settings. `root` is the folder of the settings, `url` that of the site with its path."""

    generator: str = ""
    root: PurePosixPath = field(default_factory=PurePosixPath)
    url: str = ""
    base: str = ""
    """The path that all paths begin with, without a slash at its end."""
    settings: Mapping[str, Any] = field(default_factory=dict)

    def values(self) -> dict[str, str]:
        """What templates call the settings: `site.url`, `site.baseurl`, `site.title`."""
        texts = {f"site.{key.lower()}": value for key, value in self.settings.items() if isinstance(value, str)}
        return texts | {"site.url": self.url, "site.baseurl": self.base}


@dataclass(frozen=True, slots=True)
class Post:
    """What paths are made of."""

    path: PurePosixPath
    day: datetime.date | None
    title: str
    slug: str = ""
    categories: Sequence[str] = ()
    language: str = ""


def site_of(files: ArchiveFiles) -> Site:
    """The site whose settings are in the archive, nearest to its root. Never raises ArchiveError."""
    paths = files.paths()
    for name, generator in _SETTINGS:
        found = sorted((path for path in paths if path.name == name), key=lambda path: len(path.parts))
        for path in found[:1] if len(found[:1]) and len(found[0].parts) <= 3 else ():
            return _site(files, path, generator)
    return Site()


def old_paths(site: Site, post: Post, explicit: Sequence[str] = (), redirects: Sequence[str] = ()) -> tuple[str, ...]:
    """The paths of a post at the old site: those that its head names, else those that the settings give."""
    made = [path for path in explicit if _is_path(path)] or list(_from_settings(site, post))
    found = [f"{site.base}{path}" if site.base and not path.startswith(f"{site.base}/") else path for path in made]
    return tuple(dict.fromkeys([*found, *(path for path in redirects if _is_path(path))]))


def address_in(site: Site, path: str, relative: str) -> str:
    """The full address of a relative one, on the page at `path`; empty if the address of the site is unknown."""
    if relative.startswith("//"):
        return f"https:{relative}"
    if not site.url or relative.startswith("#"):
        return ""
    return urljoin(f"{site.url}{path or '/'}", relative)


def file_named(paths: frozenset[PurePosixPath], folder: PurePosixPath, root: PurePosixPath, name: str) -> str:
    """The path in the archive of a file that a text in `folder` names; empty if there is none."""
    name = name.partition("?")[0].partition("#")[0]
    if name.startswith("/"):
        places = [root / public / name.lstrip("/") for public in _PUBLIC]
    else:
        places = [folder / name, *(root / public / name for public in _PUBLIC)]
    return next((str(place) for one in places if (place := _flat(one)) is not None and place in paths), "")


def _flat(path: PurePosixPath) -> PurePosixPath | None:
    parts: list[str] = []
    for part in path.parts:
        if part == ".." and not parts:
            return None
        if part == "..":
            parts.pop()
        elif part != ".":
            parts.append(part)
    return PurePosixPath(*parts)


def _site(files: ArchiveFiles, path: PurePosixPath, generator: str) -> Site:
    try:
        text = read_text(files, path)[:_MAX_SETTINGS]
    except ArchiveError:
        text = ""
    settings = _settings(text, path)
    if generator == "toml":
        generator = "zola" if "base_url" in settings else "hugo"
    keys = ("url", "baseURL", "baseurl", "base_url", "SITEURL", "site")
    address = next((str(settings[key]) for key in keys if str(settings.get(key) or "").startswith("http")), "")
    base = str(settings.get("baseurl") or "") if generator == "jekyll" else urlsplit(address).path
    parts = urlsplit(address)
    root = f"{parts.scheme}://{parts.netloc}" if parts.netloc else _from_cname(files, path.parent)
    return Site(generator, path.parent, root, base.rstrip("/") if base.startswith("/") else "", settings)


def _from_cname(files: ArchiveFiles, root: PurePosixPath) -> str:
    path = root / "CNAME"
    if path not in files.paths():
        return ""
    try:
        host = read_text(files, path).strip()
    except ArchiveError:
        return ""
    return f"https://{host}" if re.fullmatch(r"[\w.-]{4,253}", host) else ""


def _settings(text: str, path: PurePosixPath) -> dict[str, Any]:
    if path.suffix == ".toml":
        try:
            return dict(plain(tomllib.loads(text)))
        except (ValueError, RecursionError):
            return {}
    if path.suffix in {".yml", ".yaml"}:
        lines = [line for line in text.split("\n") if line.rstrip() not in {"---", "..."}]
        return {entry.key: entry.value for entry in read_head(["---", *lines, "---"]).entries}
    constants = {found["key"]: found["value"] for found in _CONSTANT.finditer(text)}
    named = _SITE.search(text)
    return constants | ({"site": named[1]} if named else {})


def _from_settings(site: Site, post: Post) -> Iterator[str]:
    name = name_of(post.path)
    dated = date_in_name(PurePosixPath(name))
    short = (dated.rest if dated and dated.rest else name).strip("-_ ")
    folder = _folder(site, post.path)
    match site.generator:
        case "jekyll" if "_posts" in post.path.parts:
            pattern = str(site.settings.get("permalink") or "date")
            yield from _filled(_STYLES.get(pattern, pattern), post, post.slug or short, folder)
        case "hugo":
            section = folder.partition("/")[0]
            patterns = site.settings.get("permalinks")
            named = patterns.get(section) if isinstance(patterns, dict) else None
            own = f"/{folder}/{post.slug or name}/" if folder else f"/{post.slug or name}/"
            slug = post.slug or slug_from(post.title) or name
            yield from _filled(named, post, slug, folder) if isinstance(named, str) else [own]
        case "zola" | "eleventy":
            slug = (post.slug if site.generator == "zola" else "") or short
            yield f"/{folder}/{slug}/" if folder else f"/{slug}/"
        case "astro":
            yield f"/{folder}/{post.slug or name}" if folder else f"/{post.slug or name}"
        case "pelican":
            pattern = str(site.settings.get("ARTICLE_URL") or "{slug}.html")
            yield from _formatted(pattern, post, post.slug or slug_from(post.title) or name)


def _folder(site: Site, path: PurePosixPath) -> str:
    """The folder of a post below the root of the contents, without that of a bundle."""
    parent = path.parent.parent if path.stem.lower() == "index" else path.parent
    try:
        folder = str(parent.relative_to(site.root))
    except ValueError:
        folder = str(parent)
    for root in _ROOTS.get(site.generator, ()):
        if folder == root or folder.startswith(f"{root}/"):
            folder = folder[len(root) :].strip("/")
            break
    return "" if folder == "." else folder


def _filled(pattern: str, post: Post, slug: str, folder: str) -> Iterator[str]:
    day = post.day
    if day is None and re.search(r":(?:year|month|day|y_day|i_|short_)", pattern):
        return
    values = {"title": slug, "slug": slug, "filename": name_of(post.path), "name": name_of(post.path)}
    values |= {"contentbasename": name_of(post.path), "slugorfilename": slug, "section": folder.partition("/")[0]}
    values |= {
        "sections": folder,
        "categories": "/".join(slug_from(one) for one in post.categories),
        "output_ext": ".html",
    }
    if day:
        values |= {"year": f"{day:%Y}", "month": f"{day:%m}", "day": f"{day:%d}", "y_day": f"{day:%j}"}
        values |= {"short_year": f"{day:%y}", "i_month": str(day.month), "i_day": str(day.day)}
    if all(token in values for token in _TOKEN.findall(pattern)):
        path = re.sub("/{2,}", "/", "/" + _TOKEN.sub(lambda found: values[found[1]], pattern))
        yield path


def _formatted(pattern: str, post: Post, slug: str) -> Iterator[str]:
    values = {
        "slug": slug,
        "lang": post.language or "en",
        "category": slug_from(post.categories[0]) if post.categories else "",
    }
    made = []
    end = 0
    for found in _FORMAT.finditer(pattern):
        value = values.get(found[1])
        if found[1] == "date":
            value = post.day.strftime(found[2] or "%Y-%m-%d") if post.day else None
        if not value:
            return
        made += [pattern[end : found.start()], value]
        end = found.end()
    yield re.sub("/{2,}", "/", "/" + "".join([*made, pattern[end:]]))


def _is_path(path: str) -> bool:
    return path.startswith("/") and len(path) <= 500 and ":" not in path and path != "/"
