"""Checks of what mail programs cannot show, as a difference against the shipped themes. Pure; reads its data once.

The data is Can I email's (`caniemail.json`, with licence and date). Even plain MJML uses features that some program
lacks, so only what the issue uses *beyond the baseline* is told: `client_baseline.toml` holds what the shipped themes
use with every block. It is stored, and not computed from the issue's own theme, because an operator's theme would
then never be told of what it brings in itself.
"""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from newsletter.preflight.client_features import features_used, image_feature
from newsletter.preflight.findings import Finding, Inspection, look_at
from newsletter.preflight.mail_page import MailPage, mail_page
from newsletter.preflight.places import THEME, placed_sections

FAMILY = "clients"
DATA = Path(__file__).parent
NOT_SUPPORTED = "n"


@dataclass(frozen=True, slots=True)
class ClientData:
    """Who supports what, who uses what, and what our own themes need."""

    families: Mapping[str, str]
    platforms: Mapping[str, str]
    clients: tuple[str, ...]
    titles: Mapping[str, str]
    support: Mapping[str, str]
    """A letter for each of `clients`, by feature."""
    shares: Mapping[str, float]
    """Per cent of opens, by family."""
    baseline: frozenset[str]
    date: str


@cache
def client_data() -> ClientData:
    """All data files, read once per process."""
    told = json.loads((DATA / "caniemail.json").read_text(encoding="utf-8"))
    shares = tomllib.loads((DATA / "client_shares.toml").read_text(encoding="utf-8"))
    baseline = tomllib.loads((DATA / "client_baseline.toml").read_text(encoding="utf-8"))
    features = told["features"]
    return ClientData(
        families=told["families"],
        platforms=told["platforms"],
        clients=tuple(told["clients"]),
        titles={slug: feature["title"] for slug, feature in features.items()},
        support={slug: feature["support"] for slug, feature in features.items()},
        shares=shares["shares"],
        baseline=frozenset(baseline["features"]),
        date=told["date"],
    )


def check_clients(inspection: Inspection) -> Iterator[Finding]:
    """To look at: features that a program which many readers have does not support."""
    if inspection.rendered is None:
        return
    data = client_data()
    images = _places_of_images(inspection)
    for feature in sorted(known_features(mail_page(inspection.rendered.html)) - data.baseline):
        if lacking := _without(feature, data):
            yield look_at(
                FAMILY,
                images.get(feature, THEME),
                f"“{data.titles[feature]}” is not supported in {_in_words(lacking, data)}. Make sure that the "
                "issue can be read there without it.",
            )


def known_features(page: MailPage) -> frozenset[str]:
    """What the mail uses, as far as Can I email knows it."""
    return features_used(page) & client_data().support.keys()


def _places_of_images(inspection: Inspection) -> dict[str, str]:
    return {
        feature: place
        for place, section in placed_sections(inspection.content)
        if section.image and (feature := image_feature(section.image))
    }


def _without(feature: str, data: ClientData) -> dict[str, list[str]]:
    """By family with a known share, the platforms on which its programs do not support the feature."""
    lacking: dict[str, list[str]] = defaultdict(list)
    for client, letter in zip(data.clients, data.support[feature], strict=True):
        family, _, platform = client.partition(".")
        if letter == NOT_SUPPORTED and family in data.shares:
            lacking[family].append(platform)
    return lacking


def _in_words(lacking: Mapping[str, list[str]], data: ClientData) -> str:
    """`Gmail (about 26 % of opens) and Outlook for Windows (Outlook: about 4 % of opens)`."""
    names = []
    for family in sorted(lacking, key=lambda family: -data.shares[family]):
        name, share = data.families[family], f"about {data.shares[family]:.0f} % of opens"
        everywhere = {client.partition(".")[2] for client in data.clients if client.startswith(f"{family}.")}
        if everywhere == set(lacking[family]):
            names.append(f"{name} ({share})")
        else:
            platforms = _joined([data.platforms[platform] for platform in lacking[family]])
            names.append(f"{name} for {platforms} ({name}: {share})")
    return _joined(names)


def _joined(names: list[str]) -> str:
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}"


def passed_clients(inspection: Inspection) -> str:
    """What to say where nothing was found."""
    if inspection.rendered is None:
        return ""
    return f"It asks no more of mail programs than our own themes do (Can I email, {client_data().date})"
