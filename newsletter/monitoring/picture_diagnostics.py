"""Whether the storage of pictures works: mails that were sent load their pictures from it."""

from __future__ import annotations

import os
from collections.abc import Iterator

from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.utils.translation import gettext as _

from newsletter.models import PictureFile
from newsletter.monitoring.diagnostic import Diagnostic, Severity


def picture_diagnostics() -> Iterator[Diagnostic]:
    """Whether files can be written and removed, and whether the newest picture is there."""
    try:
        name = default_storage.save(f"doctor-{os.getpid()}.txt", ContentFile(b"written by manage.py doctor\n"))
        default_storage.delete(name)
        newest = PictureFile.objects.order_by("-pk").first()
        is_missing = newest is not None and not default_storage.exists(newest.path)
    except Exception as error:  # storages have errors of their own
        yield Diagnostic(
            name="pictures",
            severity=Severity.ERROR,
            sentence=_("The storage of pictures cannot be written (%(error)s): no picture can be uploaded.")
            % {"error": type(error).__name__},
            advice=_(
                "Check that the account of the web server may write to MEDIA_ROOT, or the settings MEDIA_S3_… and the "
                "rights of the key."
            ),
        )
        return
    if is_missing and newest is not None:
        yield Diagnostic(
            name="pictures",
            severity=Severity.ERROR,
            sentence=_("The file %(path)s of a picture is missing in the storage: mails and pages show a gap.")
            % {"path": newest.path},
            advice=_(
                "Check that MEDIA_ROOT is the directory of the web servers, and shared by all of them. If files were "
                "lost, restore them from a backup: they are in its folder media/."
            ),
        )
