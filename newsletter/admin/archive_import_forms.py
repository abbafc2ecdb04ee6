"""The forms of the import of an archive: the file, and what becomes of its issues."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from newsletter.archive_import.files import MAX_FILE_SIZE
from newsletter.models import Newsletter

#: Where archives come from, and what to export there. All are recognised by their content.
SOURCES = {
    "": (
        gettext_lazy("Recognise the file"),
        gettext_lazy("The archive is recognised by its content. Nothing is written before you have reviewed it."),
    ),
    "markdown": (
        gettext_lazy("Markdown files"),
        gettext_lazy(
            "upload a ZIP of the folder or repository: Jekyll, Hugo, Zola, Astro, Eleventy, Pelican or plain files. On "
            "GitHub it is Code → Download ZIP."
        ),
    ),
    "ghost": (
        gettext_lazy("Ghost"),
        gettext_lazy("upload the JSON file from Settings → Import/Export → Export content."),
    ),
    "substack": (
        gettext_lazy("Substack"),
        gettext_lazy("upload the ZIP from Settings → Export. Its lists of subscribers are not read."),
    ),
    "buttondown": (
        gettext_lazy("Buttondown"),
        gettext_lazy("upload the ZIP from Settings → Export emails."),
    ),
    "mailchimp": (
        gettext_lazy("Mailchimp"),
        gettext_lazy("upload the ZIP of an account export that contains the campaigns, or a ZIP of their HTML files."),
    ),
    "beehiiv": (
        gettext_lazy("beehiiv"),
        gettext_lazy("upload the CSV file of posts. It has no publishing dates: the dates of creation are used."),
    ),
    "listmonk": (
        gettext_lazy("listmonk"),
        gettext_lazy("save the answer of /api/campaigns?per_page=all as a JSON file, and upload that."),
    ),
    "kit": (gettext_lazy("Kit"), gettext_lazy("save the broadcasts of the API, with their content, as a JSON file.")),
    "tinyletter": (gettext_lazy("TinyLetter"), gettext_lazy("upload the CSV file of your issues.")),
    "feed": (
        gettext_lazy("RSS or Atom feed"),
        gettext_lazy("save the feed as a file. It needs the whole texts, and usually has only the newest issues."),
    ),
}


class UploadForm(forms.Form):
    """Where the issues come from, and the file."""

    newsletter = forms.ModelChoiceField(
        Newsletter.objects.order_by("name"), empty_label=None, label=gettext_lazy("Newsletter")
    )
    source = forms.ChoiceField(
        required=False, label=gettext_lazy("Where do the issues come from?"), widget=forms.RadioSelect
    )
    file = forms.FileField(
        label=gettext_lazy("File"),
        help_text=gettext_lazy(
            "ZIP, JSON, CSV or XML. For a folder, or a file of more than 16 MB, run “manage.py import_archive PATH” on "
            "the server."
        ),
    )

    site_url = forms.URLField(
        required=False,
        assume_scheme="https",
        max_length=300,
        label=gettext_lazy("Address of the old site"),
        help_text=gettext_lazy("Such as https://news.example.org. Links without a host lead there. May be left empty."),
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        choices = [(code, str(label)) for code, (label, _hint) in SOURCES.items()]
        self.fields["source"].choices = choices  # type: ignore[attr-defined]

    def clean_file(self) -> UploadedFile[Any]:
        """Refuse a file that is too large."""
        file: UploadedFile[Any] = self.cleaned_data["file"]
        if (file.size or 0) > MAX_FILE_SIZE:
            raise forms.ValidationError(_("The file is larger than %(limit)d MB.") % {"limit": MAX_FILE_SIZE // 10**6})
        return file


class ChoicesForm(forms.Form):
    """What becomes of the issues that were found."""

    PUBLISH, DRAFTS = "publish", "drafts"

    where = forms.ChoiceField(label=gettext_lazy("What do public issues become?"), widget=forms.RadioSelect)
    keeps_tracking = forms.BooleanField(
        required=False,
        label=gettext_lazy("Keep the utm parameters of links"),
        help_text=gettext_lazy("Off: utm_source and the like are removed from links."),
    )

    def __init__(self, *args: Any, may_publish: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        publish = (self.PUBLISH, _("Pages on the web, with their old dates. They are never mailed."))
        drafts = (self.DRAFTS, _("Drafts, which you can publish by importing the archive again."))
        self.fields["where"].choices = [publish, drafts] if may_publish else [drafts]  # type: ignore[attr-defined]
        self.fields["where"].initial = self.PUBLISH if may_publish else self.DRAFTS
