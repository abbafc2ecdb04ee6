"""Renew the catalogues: Django's own command, which also collects `translatable` and `translatable_plural`."""

from django.core.management.commands.makemessages import Command as MakeMessages


class Command(MakeMessages):
    """As Django's, with the two keywords of `newsletter.config.translatable`."""

    xgettext_options = [
        *MakeMessages.xgettext_options,
        "--keyword=translatable:1",
        "--keyword=translatable_plural:1,2",
    ]
