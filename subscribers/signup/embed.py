"""The sign-up form for pages of other sites: as plain HTML, as a frame, and for programs."""

from __future__ import annotations

import hashlib

from django.conf import settings
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import translation
from django.utils.html import format_html

from subscribers.consent.texts import signup_text
from subscribers.models import MailingList
from subscribers.signup.forms import SignupForm

#: In pixels: the height of the frame without custom fields, and of each of them.
FRAME_HEIGHT, FIELD_HEIGHT = 420, 110


def text_mark(text: str) -> str:
    """What identifies the consent text in a copied form: 16 hexadecimal digits."""
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def embed_url(mailing_list: MailingList) -> str:
    """The absolute URL that copied forms post to; a GET shows the form for a frame."""
    return f"{settings.SITE_URL}{reverse('embed', args=[mailing_list.slug])}"


def form_html(mailing_list: MailingList, source: str = "website") -> str:
    """The form as HTML to copy: without styles, scripts and a stamp, in the language of the list."""
    text = signup_text(mailing_list)
    context = {
        "mailing_list": mailing_list,
        "custom": SignupForm(mailing_list).custom,
        "action": embed_url(mailing_list),
        "source": source,
        "consent_text": text,
        "text_mark": text_mark(text),
    }
    with translation.override(mailing_list.page_language):
        html = render_to_string("subscribers/embed_form.html", context)
    return "\n".join(line.rstrip() for line in html.splitlines() if line.strip()) + "\n"


def frame_html(mailing_list: MailingList, source: str = "website") -> str:
    """The frame as HTML to copy."""
    height = FRAME_HEIGHT + FIELD_HEIGHT * len(SignupForm(mailing_list).custom.fields)
    return str(
        format_html(
            '<iframe src="{}?source={}" title="{}" width="100%" height="{}" loading="lazy" style="border:0">'
            "</iframe>\n",
            embed_url(mailing_list),
            source,
            mailing_list.name,
            height,
        )
    )


def request_example(mailing_list: MailingList) -> str:
    """A request of a program, for a shell."""
    return (
        f"curl -H 'Accept: application/json' \\\n"
        f"  --data-urlencode 'email=name@example.org' \\\n"
        f"  --data-urlencode 'source=app' \\\n"
        f"  {embed_url(mailing_list)}\n"
    )
