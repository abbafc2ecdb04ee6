"""Checks of HTML and CSS features that mail clients do not support. Pure; reads its data files once.

The data is from Can I email (`caniemail.json`, with licence and date). Even plain MJML uses features that some client
lacks, so only features *beyond the baseline* are reported: `client_baseline.toml` lists those that the shipped themes
use with every block. It is a file, and not computed from the theme of the issue, so that the features of an operator's
own theme are reported, too.
"""

from __future__ import annotations

import json
import tomllib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from newsletter.config.translatable import translatable
from newsletter.preflight.client_features import features_used, image_feature
from newsletter.preflight.findings import Finding, Inspection, warning
from newsletter.preflight.mail_page import MailPage, mail_page
from newsletter.preflight.places import THEME, placed_pictures

FAMILY = "clients"
DATA = Path(__file__).parent
NOT_SUPPORTED = "n"


@dataclass(frozen=True, slots=True)
class ClientData:
    """Features, the clients that support them, and the shares of the clients."""

    families: Mapping[str, str]
    platforms: Mapping[str, str]
    clients: tuple[str, ...]
    titles: Mapping[str, str]
    support: Mapping[str, str]
    """A letter for each of `clients`, by feature."""
    shares: Mapping[str, float]
    """Percentages of opens, by family."""
    baseline: frozenset[str]
    date: str


@cache
def client_data() -> ClientData:
    """All data files, read once per process."""
    data = json.loads((DATA / "caniemail.json").read_text(encoding="utf-8"))
    shares = tomllib.loads((DATA / "client_shares.toml").read_text(encoding="utf-8"))
    baseline = tomllib.loads((DATA / "client_baseline.toml").read_text(encoding="utf-8"))
    features = data["features"]
    return ClientData(
        families=data["families"],
        platforms=data["platforms"],
        clients=tuple(data["clients"]),
        titles={slug: feature["title"] for slug, feature in features.items()},
        support={slug: feature["support"] for slug, feature in features.items()},
        shares=shares["shares"],
        baseline=frozenset(baseline["features"]),
        date=data["date"],
    )


def check_clients(inspection: Inspection) -> Iterator[Finding]:
    """Warnings: features that a mail client with a known share does not support."""
    if inspection.rendered is None:
        return
    data = client_data()
    images = _places_of_images(inspection)
    for feature in sorted(known_features(mail_page(inspection.rendered.html)) - data.baseline):
        if unsupported := _unsupported(feature, data):
            yield warning(
                FAMILY,
                "unsupported_feature",
                images.get(feature, THEME),
                translatable(
                    "These mail clients do not support “{feature}”: {clients}. Make sure that the issue is readable "
                    "without it.",
                    feature=data.titles[feature],
                    clients=_client_list(unsupported, data),
                ),
            )


def known_features(page: MailPage) -> frozenset[str]:
    """The features that the mail uses, as far as Can I email knows them."""
    return features_used(page) & client_data().support.keys()


def _places_of_images(inspection: Inspection) -> dict[str, str]:
    return {
        feature: place for place, part in placed_pictures(inspection.content) if (feature := image_feature(part.image))
    }


def _unsupported(feature: str, data: ClientData) -> dict[str, list[str]]:
    """The platforms whose clients do not support the feature, by family with a known share."""
    unsupported: dict[str, list[str]] = defaultdict(list)
    for client, letter in zip(data.clients, data.support[feature], strict=True):
        family, _, platform = client.partition(".")
        if letter == NOT_SUPPORTED and family in data.shares:
            unsupported[family].append(platform)
    return unsupported


def _client_list(unsupported: Mapping[str, list[str]], data: ClientData) -> str:
    """`Gmail (26 % of opens), Outlook [Windows, macOS] (4 % of opens)`: largest share first."""
    names = []
    for family in sorted(unsupported, key=lambda family: -data.shares[family]):
        all_platforms = {client.partition(".")[2] for client in data.clients if client.startswith(f"{family}.")}
        platforms = ", ".join(data.platforms[platform] for platform in unsupported[family])
        name = data.families[family]
        names.append(
            translatable(
                "{client} ({share} % of opens)",
                client=name if all_platforms == set(unsupported[family]) else f"{name} [{platforms}]",
                share=round(data.shares[family]),
            )
        )
    listed, *others = names
    for other in others:
        listed = translatable("{clients}, {client}", clients=listed, client=other)
    return listed


def passed_clients(inspection: Inspection) -> str:
    """The sentence to show if there are no findings."""
    if inspection.rendered is None:
        return ""
    return translatable(
        "The mail uses no features that the shipped themes do not use (data of Can I email, {date}).",
        date=client_data().date,
    )
