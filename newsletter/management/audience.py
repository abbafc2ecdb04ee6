"""The options of commands that choose the audience of an issue."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from django.core.management.base import CommandError, CommandParser
from django.db import transaction

from newsletter.content.document import AudienceContent
from newsletter.content.store import ContentError, load_content, save_content
from newsletter.models import Issue


def add_audience_options(parser: CommandParser) -> None:
    """Add --list, --segment, --exclude, --topic and --everybody."""
    group = parser.add_argument_group("audience", "Any of these replaces the audience that is saved with the issue.")
    group.add_argument("--list", action="append", metavar="SLUG", dest="lists", help="also send to this list")
    group.add_argument(
        "--segment",
        action="append",
        metavar="NAME",
        dest="segments",
        help="send only to subscribers in this segment; of another list: 'slug: name'. Repeat it for several segments",
    )
    group.add_argument("--exclude", action="append", metavar="NAME", help="do not send to subscribers in this segment")
    group.add_argument("--topic", metavar="SLUG", help="do not send to subscribers who opted out of this topic")
    group.add_argument("--everybody", action="store_true", help="send to all active subscribers of the newsletter")


def chosen_audience(options: Mapping[str, Any]) -> AudienceContent | None:
    """The audience of the options; None if none of them was given. Raises CommandError."""
    names = {name: tuple(options[name] or ()) for name in ("lists", "segments", "exclude")}
    chosen = AudienceContent(topic=options["topic"] or "", **names)
    if options["everybody"]:
        if chosen != AudienceContent():
            raise CommandError("--everybody cannot be combined with other options of the audience.")
        return chosen
    return chosen if chosen != AudienceContent() else None


@contextmanager
def with_audience(issue: Issue, audience: AudienceContent | None, *, by: str, keep: bool) -> Iterator[None]:
    """Inside, the issue has this audience, if one is given. It is saved only if `keep`, and if nothing is raised.

    Raises CommandError.
    """
    if audience is None:
        yield
        return
    with transaction.atomic():
        try:
            save_content(issue, replace(load_content(issue), audience=audience), by=by)
        except ContentError as error:
            raise CommandError(str(error)) from error
        yield
        if not keep:
            transaction.set_rollback(True)


def audience_arguments(audience: AudienceContent | None) -> str:
    """The options that choose this audience, for a command line; empty for none."""
    if audience is None:
        return ""
    if audience == AudienceContent():
        return " --everybody"
    named = [
        *(("--list", name) for name in audience.lists),
        *(("--segment", name) for name in audience.segments),
        *(("--exclude", name) for name in audience.exclude),
        *(("--topic", name) for name in (audience.topic,) if name),
    ]
    return "".join(f" {option} {shlex.quote(name)}" for option, name in named)
