"""Paths that issues had at their former home, and the issues that they lead to now."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import unquote

from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from newsletter.models.issue import Issue

MAX_PATH = 500

_FILE_NAME = re.compile(r"(?:/index)?\.html?$|/index\.php$", re.IGNORECASE)
_SLASHES = re.compile(r"//+")


def redirect_path(path: str, *, is_decoded: bool = False) -> str:
    """The one form of a path in which redirects are stored and looked up; empty if it is the root or no path of a page.

    Percent-encoding is decoded once, letters are composed (NFC), and a final slash, `index.html`, `.html`, a query and
    a fragment are left out. Case stays: the slugs of most tools differ by it. `is_decoded` says that the path is that
    of a request, which Django has decoded.
    """
    decoded = path if is_decoded else unquote(path.partition("?")[0].partition("#")[0])
    plain = unicodedata.normalize("NFC", decoded)
    plain = _FILE_NAME.sub("", _SLASHES.sub("/", f"/{plain}"))
    plain = plain.rstrip("/")
    return plain if plain.isprintable() and len(plain) <= MAX_PATH else ""


class WebRedirectQuerySet(models.QuerySet["WebRedirect"]):
    def add(self, issue: Issue, path: str) -> WebRedirect:
        """The redirect from a path to the issue, made unless it is there. ValueError if the path cannot be one.

        A path that leads to another issue keeps its first one: the caller sees it in the answer.
        """
        stored = redirect_path(path)
        if not stored:
            raise ValueError(f"{path!r} is not the path of a page.")
        return self.get_or_create(path=stored, defaults={"issue": issue})[0]


class WebRedirect(models.Model):
    """An old path of an issue. It is asked for only where this site has no page at the path."""

    path = models.CharField(
        _("path"), max_length=MAX_PATH, unique=True, help_text=_("Decoded, without final slash or .html.")
    )
    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, related_name="web_redirects")
    created_at = models.DateTimeField(default=timezone.now)

    objects = WebRedirectQuerySet.as_manager()

    class Meta:
        verbose_name = _("redirect")
        verbose_name_plural = _("redirects")
        default_permissions = ()

    def __str__(self) -> str:
        return self.path
