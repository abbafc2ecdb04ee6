"""The brand on public pages: its stylesheet, and what the frame of every page shows of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django import template
from django.conf import settings
from django.http import HttpRequest, HttpResponse
from django.urls import reverse
from django.utils.safestring import SafeString, mark_safe
from django.views.decorators.http import require_safe

from newsletter.models import Brand, FooterLink, Newsletter
from newsletter.rendering import RenderingError
from newsletter.rendering.theme import PLAIN, Theme
from newsletter.rendering.web_style import stylesheet_hash, web_stylesheet
from newsletter.sending.source import theme_of
from newsletter.web.public_page import MAX_AGE, newsletter_page
from subscribers.models import MailingList

register = template.Library()
log = logging.getLogger(__name__)

#: In seconds: how long browsers keep a stylesheet, whose name changes with its content.
FOREVER = 365 * 24 * 60 * 60

#: The theme whose masthead has the writer's portrait.
WITH_PORTRAIT = "letter"


@dataclass(frozen=True, slots=True, kw_only=True)
class WebBrand:
    """What the frame of a page shows of a brand. Pictures are empty where the page may not load them."""

    stylesheet_url: str
    tagline: str
    logo_url: str
    logo_dark_url: str
    logo_alt: str
    portrait_url: str
    links: tuple[FooterLink, ...]
    share_picture_url: str


def web_brand_of(newsletter: Newsletter, *, loads_pictures: bool) -> WebBrand:
    """The brand of a newsletter. `loads_pictures` is whether the page may load those of other sites."""
    brand = Brand.of(newsletter)
    style = stylesheet_of(newsletter)

    def shown(url: str) -> str:
        return url if loads_pictures or url.startswith(f"{settings.SITE_URL}/") else ""

    return WebBrand(
        stylesheet_url=reverse("brand-style", args=[newsletter.slug, stylesheet_hash(style)]),
        tagline=brand.tagline,
        logo_url=shown(newsletter.logo_url),
        logo_dark_url=shown(brand.logo_dark_url),
        logo_alt=brand.logo_alt or newsletter.name,
        portrait_url=shown(brand.portrait_url) if newsletter.theme == WITH_PORTRAIT else "",
        links=brand.footer_links(),
        share_picture_url=brand.share_picture_url,
    )


def stylesheet_of(newsletter: Newsletter) -> str:
    """The stylesheet of its brand. Pages stay readable while the theme cannot be used: they get Plain's."""
    return web_stylesheet(_theme(newsletter))


def _theme(newsletter: Newsletter) -> Theme:
    try:
        return theme_of(newsletter)
    except RenderingError as error:
        log.error("Pages of %s are shown in the theme Plain: %s", newsletter.slug, error)
        return PLAIN


@require_safe
@newsletter_page
def brand_style(request: HttpRequest, newsletter: Newsletter, sha256: str) -> HttpResponse:
    """The stylesheet. A page that is still cached may ask for an earlier one: it gets the present one, for a while."""
    style = stylesheet_of(newsletter)
    response = HttpResponse(style, content_type="text/css; charset=utf-8")
    is_named = sha256 == stylesheet_hash(style)
    response["Cache-Control"] = f"public, max-age={FOREVER}, immutable" if is_named else f"public, max-age={MAX_AGE}"
    return response


@register.simple_tag(takes_context=True)
def brand_of(context: Mapping[str, Any], mailing_list: MailingList | str | None) -> WebBrand | None:
    """The brand of a page about this list; None for pages about none, and for a list without a newsletter.

    Only the public pages of newsletters load pictures of other sites: those behind a private link would tell them.
    """
    if isinstance(mailing_list, Newsletter):
        return web_brand_of(mailing_list, loads_pictures="newsletter" in context)
    if not isinstance(mailing_list, MailingList):
        return None
    newsletter = Newsletter.objects.select_related("brand").filter(pk=mailing_list.pk).first()
    return web_brand_of(newsletter, loads_pictures=False) if newsletter else None


@register.filter
def sponsored(html: SafeString) -> SafeString:
    """Sanitised HTML whose links are marked as paid (Google's `rel="sponsored"`)."""
    return mark_safe(str(html).replace("<a href=", '<a rel="sponsored" href='))  # noqa: S308  # only an attribute is added
