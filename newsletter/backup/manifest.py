"""The manifest of a backup: what is in it, and which installation it belongs to. It holds no secret."""

from __future__ import annotations

import datetime
import hashlib
import hmac
import json
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from django.conf import settings
from django.db import connection

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.models import Delivery, Event, Issue, Newsletter, Send
from newsletter.providers import get_route
from newsletter.providers.base import provider_account
from subscribers.models import Consent, Subscriber, Subscription, Suppression

#: The version of the format. A backup of a later one is refused.
FORMAT = 1

#: Tables that are counted.
COUNTED = (Newsletter, Issue, Send, Delivery, Event, Subscriber, Subscription, Consent, Suppression)


#: Runs a query without parameters; its rows.
Query = Callable[[str], Sequence[tuple[Any, ...]]]


class UnreadableManifest(ValueError):
    """The manifest is not one of ours."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One file of the backup."""

    bytes: int
    sha256: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What is in a backup."""

    made_at: datetime.datetime
    version: str
    """Of this program."""
    vendor: str
    """`sqlite` or `postgresql`."""
    migrations: list[str]
    """The applied migrations of every app, as `app.name`."""
    installation: dict[str, Any]
    """ENVIRONMENT, SITE_URL and PROVIDER, and fingerprints of the secrets and of the provider accounts."""
    counts: dict[str, int]
    """Rows by table."""
    parts: dict[str, Part] = field(default_factory=dict)
    format: int = FORMAT

    def as_json(self) -> str:
        """The text of `manifest.json`."""
        return json.dumps({**asdict(self), "made_at": self.made_at.isoformat()}, ensure_ascii=False, indent=2)

    @classmethod
    def from_json(cls, text: str) -> Manifest:
        """Raises UnreadableManifest."""
        try:
            values = json.loads(text)
            if values["format"] > FORMAT:
                raise UnreadableManifest(
                    f"It has format {values['format']}, which a later version of this program made. Use that version."
                )
            parts = {name: Part(**part) for name, part in values.pop("parts").items()}
            made_at = datetime.datetime.fromisoformat(values.pop("made_at"))
            return cls(made_at=made_at, parts=parts, **values)
        except UnreadableManifest:
            raise
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UnreadableManifest(f"manifest.json cannot be read ({type(error).__name__}).") from error


def manifest_of(query: Query, *, made_at: datetime.datetime) -> Manifest:
    """The manifest of the state that `query` reads, without parts."""
    return Manifest(
        made_at=made_at,
        version=version(),
        vendor=connection.vendor,
        migrations=sorted(f"{app}.{name}" for app, name in query("SELECT app, name FROM django_migrations")),
        installation=installation(),
        counts={model._meta.db_table: query(f"SELECT count(*) FROM {model._meta.db_table}")[0][0] for model in COUNTED},  # noqa: S608 - names of ours
    )


def version() -> str:
    """The version of this program."""
    project = tomllib.loads((PROJECT_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    return str(project["version"])


def installation() -> dict[str, Any]:
    """What tells this installation from others."""
    return {
        "ENVIRONMENT": settings.ENVIRONMENT,
        "SITE_URL": settings.SITE_URL,
        "PROVIDER": settings.PROVIDER,
        "SECRET_KEY": fingerprint(settings.SECRET_KEY),
        "SUPPRESSION_SECRET": fingerprint(settings.SUPPRESSION_SECRET),
        "provider_accounts": [provider_account(provider) for provider in get_route()],
    }


def fingerprint(secret: str) -> str:
    """Recognises a secret without revealing it: the secrets are random and too long to be guessed."""
    return hmac.digest(secret.encode(), b"fingerprint in a backup", hashlib.sha256).hex()[:16]
