"""Rich text pasted into the compose page, converted to Markdown as feeds and pages are."""

from __future__ import annotations

from collections import Counter
from http import HTTPStatus

from django.http import HttpRequest, JsonResponse
from django.utils.translation import gettext as _
from django.utils.translation import ngettext
from django.views.decorators.http import require_POST

from newsletter.content.html_markdown import html_as_markdown
from newsletter.content.html_tree import MAX_CHARACTERS


@require_POST
def convert_paste(request: HttpRequest) -> JsonResponse:
    """The HTML in the body of the request as Markdown, and sentences about what was left out.

    The status is 413, with a sentence, for HTML that is too long. Permissions are checked by the caller.
    """
    html = request.body.decode("utf-8", "replace")
    if len(html) > MAX_CHARACTERS:
        sentence = _("The text was pasted without formatting, because it is too long to be converted.")
        return JsonResponse({"notes": [sentence]}, status=HTTPStatus.REQUEST_ENTITY_TOO_LARGE)
    converted = html_as_markdown(html)
    return JsonResponse({"markdown": converted.markdown, "notes": _sentences(converted.dropped)})


def _sentences(dropped: Counter[str]) -> list[str]:
    """What was left out, in the active language."""
    counts = {
        "link": ngettext(
            "%(count)s link was left out and its text was kept: it has no address of the web.",
            "%(count)s links were left out and their text was kept: they have no address of the web.",
            dropped["link"],
        ),
        "picture": ngettext(
            "%(count)s picture was left out: it has no address of the web. Add an image block.",
            "%(count)s pictures were left out: they have no address of the web. Add image blocks.",
            dropped["picture"],
        ),
        "form": ngettext("%(count)s form field was left out.", "%(count)s form fields were left out.", dropped["form"]),
        "media": ngettext(
            "%(count)s embedded video, drawing or page was left out.",
            "%(count)s embedded videos, drawings or pages were left out.",
            dropped["media"],
        ),
    }
    return [sentence % {"count": dropped[name]} for name, sentence in counts.items() if dropped[name] > 0]
