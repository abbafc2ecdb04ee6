"""Every text that people read is marked for translation, and the catalogues are complete and true to the sources.

The admin speaks English and German; what subscribers read also French and Spanish. Settings, commands, metrics and the
log are for operators, in English.
"""

from __future__ import annotations

import os
import re
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.contrib import admin
from django.contrib.admin.utils import flatten, flatten_fieldsets
from django.core.exceptions import FieldDoesNotExist
from django.utils.functional import Promise

from newsletter.config.configuration import PROJECT_ROOT
from tests.house.catalogues import LANGUAGES, Entry, catalogue, compiled, extracted, read_po
from tests.house.unmarked import (
    Text,
    in_django_template,
    in_jinja_template,
    in_python,
    in_script,
    in_style,
    keys_in_script,
)

#: Modules whose texts are not translated, with the reason.
IN_ENGLISH = {
    "newsletter/backup/": "backups, in the terminal",
    "newsletter/apps.py": "checks of the settings, in the terminal",
    "newsletter/celery.py": "the start of a process, in the terminal",
    "newsletter/config/": "settings and their errors, in the terminal",
    "newsletter/demo/": "the demo, in the terminal",
    "newsletter/management/": "commands, in the terminal",
    "newsletter/monitoring/metrics.py": "for Prometheus",
    "newsletter/monitoring/outgoing_metrics.py": "for Prometheus",
    "newsletter/monitoring/probes.py": "for load balancers",
    "newsletter/monitoring/status.py": "manage.py status, in the terminal",
    "newsletter/rendering/sample_issue.py": "the content of a mail that is rendered to check a theme",
    "newsletter/sandbox/": "for developers",
    "newsletter/web/webhooks.py": "for providers",
    "newsletter/models/heartbeat.py": "rows that no page shows",
    "newsletter/models/preflight.py": "rows that pages show by sentences of their own",
    "newsletter/models/throttle.py": "rows that no page shows",
    "newsletter/models/sunset.py": "rows that no page shows",
    "newsletter/models/weekly_plan.py": "rows that no page shows",
    "subscribers/models/link_request.py": "rows that no page shows",
    "subscribers/models/address_change.py": "rows that no page shows",
    "subscribers/models/data_request.py": "rows that no page shows",
    "subscribers/models/signup.py": "rows that no page shows",
    "subscribers/models/signup_limits.py": "rows that no page shows",
}
#: Single texts that are not translated, with the reason.
ALLOWED = {
    "categories": "rows without a page of their own",
    "stories": "rows without a page of their own",
    "From the feed itself.": "a column without a form field",
    "Why the last fetch failed, as a code.": "a column without a form field",
    "The values of the problem.": "a column without a form field",
    "Links that the last fetch added.": "a column without a form field",
    "Entries without a web link in the last document.": "a column without a form field",
    "What it is one link by, see `saved_link_sha256`.": "a column without a form field",
    "Of the page, by which stories with it are found.": "a column without a form field",
    "Empty until the page was fetched.": "a column without a form field",
    "When an open link leaves the list.": "a column without a form field",
    "User name; empty for a feed.": "a column without a form field",
    "The number of its sightings.": "a column without a form field",
    "Why the page was not fetched, as a sentence in parts.": "a column without a form field",
    "When the page may be fetched; only while it waits for that.": "a column without a form field",
    "The feed's id of the entry.": "a column without a form field",
    "User name of who saved it; empty for a feed.": "a column without a form field",
    "When the minute began whose requests are counted.": "a column without a form field",
    "An issue is not published in the future.": "a programming error",
    "A page is not made as {}.": "a programming error",
    "{} is not the path of a page.": "a programming error",
    "A web version cannot be changed ({}).": "a programming error",
    "A web version cannot be changed; correct the page again.": "a programming error",
    "Send the token as “Authorization: Bearer …”.": "for the programs that use the API",
    "This token is unknown or revoked, or its user may not change issues.": "for the programs that use the API",
    "Too many requests with this token.": "for the programs that use the API",
    "The body is too long.": "for the programs that use the API",
    "The body is not JSON.": "for the programs that use the API",
    "The body is not a JSON object.": "for the programs that use the API",
    "Unknown field “{}”.": "for the programs that use the API",
    "“url” is required; “url”, “title” and “note” are texts.": "for the programs that use the API",
    "“tags” is a list of texts.": "for the programs that use the API",
    "unknown value of 'state' or 'sort'": "for the log",
    "not a key": "for the log",
    "no action": "for the log",
    "The import of the archive was undone.": "kept like the reason that an editor writes",
    "provider search {} of batch {}": "rows that no page shows",
    "An edition cannot be changed ({}).": "a programming error",
    "An edition cannot be changed; freeze the issue again.": "a programming error",
    "A file of a picture cannot be changed ({}).": "a programming error",
    "A file of a picture cannot be changed; a new file has a new address.": "a programming error",
    "A revision cannot be changed ({}).": "a programming error",
    "A revision cannot be changed; save the issue again.": "a programming error",
    "A version of a snippet cannot be changed ({}).": "a programming error",
    "A version of a snippet cannot be changed; save the snippet again.": "a programming error",
    "template": "the title of a template’s content, which is not shown",
    "A send is not made as {}.": "a programming error",
    "A pause lasts {} weeks, not {}.": "a programming error",
    "No transition leads from {} to {}.": "a programming error",
    "{} is not a type of the MJML tables.": "a programming error",
    "unknown filter {}": "for the log",
    "unknown parameter {}": "for the log",
    "unknown value of 'by' or 'list'": "for the log",
    "unknown value of 'newsletter' or 'period'": "for the log",
    "there is no such newsletter": "for the log",
    "no key in {}": "for the log",
    "repeated parameter {}": "for the log",
    "unknown value of the filter {}": "for the log",
    "invalid key of a selected row": "for the log",
    "field without completion": "for the log",
    "data is not an object": "for the log",
    "Batch {} changed after it was selected.": "for the log",
    "Deliveries of batch {} changed after they were read.": "for the log",
    "created_at is in the year {}": "for the log",
    "{} ids for {} mails": "for the log",
    "an id is longer than any that Resend documents": "for the log",
    "A network has reached {} sign-ups an hour.": "for the log; the page has its own text",
    "The stamp was used before.": "for the log; the page shows the form again",
    "The stamp is not genuine.": "for the log; the page shows the form again",
    "The stamp has no nonce.": "for the log; the page shows the form again",
    "The list takes no sign-ups from other sites.": "for the log; the page is the one of status 404",
    "A network has asked for {} links in an hour.": "for the log; the page has its own text",
    "in use": "a programming error; the admin shows a sentence",
    "unknown order": "for the log",
    "no JSON in the filter 'rules'": "for the log",
    "no rules in the filter 'rules'": "for the log",
    "no rule in the filter 'rules'": "for the log",
    "unknown action": "for the log",
    "no list": "for the log",
    "no key in 'before'": "for the log",
    "unknown value of the filter 'show'": "for the log",
    "no number in 'entries'": "for the log",
    "unknown value of the filter 'state'": "for the log",
    "too many keys": "for the log",
    "a NUL in the filter {}": "for the log",
    "no key in the filter {}": "for the log",
    "[A-Za-z0-9]++(?:-[A-Za-z0-9]++)*+": "a pattern",
    "Lifting a suppression needs a reason.": "a programming error",
    "Not a plan of an import: {}": "a programming error",
    "not canonical": "for an auditor, in the terminal",
    "two kinds of rules have the code {}": "a programming error",
    "Only two different tags of one list can be merged.": "a programming error",
    "Issue {} has not been published.": "for the log; the page is the one of status 404",
    "The frozen content of issue {} cannot be read: {}": "for the log; the page is the one of status 404",
    "No public issue is dated with this year.": "for developers; the page is the one of status 404",
    "The archive does not have this page.": "for developers; the page is the one of status 404",
    "escaping cannot be switched off": "Jinja's own errors, beside which it stands, are in English",
    "functions and methods cannot be called": "Jinja's own errors, beside which it stands, are in English",
    "The report responded with status ${answer.status}.": "for the browser's console",
    "The preview responded with status ${answer.status}.": "for the browser's console",
}

#: What subscribers read: pages, mails, the errors of their forms, and what they agree to.
PUBLIC = (
    "templates/django/400.html",
    "templates/django/404.html",
    "templates/django/500.html",
    "templates/django/503.html",
    "templates/django/base.html",
    "templates/django/newsletter/",
    "templates/django/subscribers/",
    "newsletter/rendering/words.py",
    "newsletter/sending/source.py",
    "newsletter/web/",
    "subscribers/addresses.py",
    "subscribers/consent/",
    "subscribers/signup/",
    "subscribers/transactional/",
    "subscribers/web/",
)

#: What is counted: a number before one of these needs a singular and a plural.
NOUNS = (
    "addresses|batches|bytes|characters|days|deliveries|headings|hours|ids|issues|links|mails|minutes|pages|recipients|"
    "results|rows|seconds|stories|subscribers|times|waves|weeks|words|workers"
)
COUNTED = re.compile(rf"(?:%\(\w+\)[sd]|%d|\{{\w+[^}}]*\}})\s(?:(?:more|other|held|failed) )?(?:{NOUNS})\b")
#: Sentences whose number is never 1, or that cannot be counted by one number; by their start.
NEVER_ONE = {
    "in %(count)s issues": "from two on",
    "The bin is empty. Deleted drafts stay here for %(days)s days.": "a constant",
    "These are %(count)s links. Keep at most five.": "from six on",
    "linked %(times)s times": "from two on",
    "“{field}” was shortened to {limit} characters.": "a constant",
    "The part for paying subscribers was left out ({count:,} words).": "the number stands in brackets",
    "The file has more than {limit} bytes.": "a constant",
    "The note is longer than {limit} characters.": "a constant",
    "At most {most} links can be saved at once": "a constant",
    "A link is longer than {most} characters.": "a constant",
    "Enter at most {most} tags of {length} characters.": "constants",
    "The name is longer than %(limit)d characters.": "a constant",
    "The email address is longer than {limit} characters.": "a constant",
    "The part before the @ is longer than {limit} characters.": "a constant",
    "“%(option)s” cannot be an option: use at most %(limit)d characters": "a constant",
    "Row {line} has a cell with more than {limit} characters.": "a constant",
    "Row {line} is longer than {limit} characters.": "a constant",
    "Enter at most {limit} characters.": "a constant",
    "Enter at most %(limit_value)d characters.": "a constant",
    "“{label}” has a name with more than {limit} characters.": "a constant",
    "{count} words": "the script has another text for one word",
    "{count} stories": "the script has another text for one story",
    "{count} rows ": "the script has another text for one row",
    "%(count)d links of this issue work. Revoke one first.": "a constant",
    "%(count)d days": "choices of a week and more",
    "Human clicks of the first %(first_hours)s hours": "constants",
    "This text has {length:,} characters; the maximum": "more than a constant",
    "%(count)s mails were refused because of what is in them": "three and more",
    "The last sends of %(days)s days.": "a constant",
    "DMARC reports of %(report_days)s days": "a constant",
    "Messages are signed with the former secret, too, for %(hours)s hours.": "a constant",
    "Complaints, %(days)s days": "a constant",
    "DMARC aligned, %(days)s days": "a constant",
    "%(count)s of %(mails)s mails not aligned": "reports of one mail have no share to show",
    "%(change)s in %(days)s days": "a constant",
    "The report is about {first}, and reports are kept for {days} days.": "at least 30",
    "The report has more than {limit} rows.": "a constant",
    "Every attempt since %(since_at)s has failed, for more than %(days)s days.": "a constant",
    "Its page shows the answers. It is disabled after %(days)s days of failures.": "a constant",
    "%(rate)s mails per second.": "a rate has decimals",
    "%(number)s bytes": "a mail has more",
    "about %(days)s days": "from two days on",
    "Daily limits of the first week: %(limits)s mails.": "a list of constants",
    "Day %(day)s of %(days)s: %(sent)s of %(limit)s mails": "the limits of a warm-up are constants",
    "All remaining recipients use %(providers)s": "the limits of a warm-up are constants",
    "The warm-up limit of %(newsletter)s is used up": "the limits of a warm-up are constants",
    "“{field}” has {length} characters; the maximum": "more than a constant",
    "The subject has {length} characters.": "more than a constant",
    "%(count)s of %(sample)s mails": "a sample has a least size",
    "The outcome of %(count)s of %(sample)s mails": "a sample has a least size",
    "%(count)s mails of the last %(minutes)s minutes": "more than a constant, in a constant time",
    "The occurrence on %(occurrence_at)s was found %(minutes)s minutes late": "OVERDUE_MINUTES is 5 or more",
    "The server redirects more than {limit} times.": "a constant",
    "{host} did not complete its response within {seconds} seconds.": "a constant",
    "{suppressed:,} of {total:,} subscribers": "a list that is checked has more",
    "“{issue}” was sent to this mailing list at {time}": "a constant",
    "The story “{story}” has {words:,} words.": "more than a constant",
    "The issue has {words:,} words, about {minutes} minutes": "more than a constant",
    "None of the {count} links could be reached": "from two links on",
    "The HTML part has {size:,} bytes.": "more than a constant",
    "The largest part is “{section}” with {bytes:,} bytes": "a mail that is too large has more",
    "The content or the design changed: the HTML had {before:,} bytes": "a mail has more",
    "A test mail can be sent to at most %(limit)s addresses": "a constant",
    "Sending: %(rate)s mails per second.": "a rate, with one decimal",
}

PLACEHOLDER = re.compile(r"%\(\w+\)[a-z]|%[sd%]|\{\w*[^{}\s]*\}|</?\w[^>]*>|&\w+;")


# --- Texts are marked


def modules() -> Iterator[Path]:
    for package in ("newsletter", "subscribers"):
        for path in sorted((PROJECT_ROOT / package).rglob("*.py")):
            if "migrations" not in path.parts and not _relative(path).startswith(tuple(IN_ENGLISH)):
                yield path


def files(suffix: str, *folders: str) -> list[Path]:
    return sorted(path for folder in folders for path in (PROJECT_ROOT / folder).rglob(f"*{suffix}"))


def _relative(path: Path) -> str:
    return path.relative_to(PROJECT_ROOT).as_posix()


def _found(paths: list[Path], finder: Callable[[str], list[Text]]) -> list[str]:
    texts = ((path, text) for path in paths for text in finder(path.read_text(encoding="utf-8")))
    return [f"{_relative(path)}:{text.line}: {text.text}" for path, text in texts if text.text not in ALLOWED]


def test_texts_in_modules_are_marked() -> None:
    assert not _found(list(modules()), in_python), "Wrap these in gettext, or in translatable where there is no Django."


def test_texts_in_pages_are_marked() -> None:
    pages = [path for path in files("", "templates/django") if path.is_file()]
    assert not _found(pages, in_django_template), "Put these into {% translate %} or {% blocktranslate %}."


def test_texts_in_templates_of_mails_come_from_words() -> None:
    templates = files(".mjml", "templates/mjml") + files(".txt", "templates/mjml")
    assert not _found(templates, in_jinja_template), "Add these to newsletter/rendering/words.py."


def test_texts_in_scripts_come_from_attributes() -> None:
    scripts = files(".js", "newsletter", "subscribers")
    assert not _found(scripts, in_script), "Give these to the script in a data-text-… attribute, translated."
    pages = (
        "newsletter/issue/compose.html",
        "newsletter/picture_dialog.html",
        "newsletter/pictures.html",
        "subscribers/segment/page.html",
    )
    texts = [(PROJECT_ROOT / "templates/django/admin" / page).read_text(encoding="utf-8") for page in pages]
    given = set(re.findall(r'(data-text-[a-z-]+)="\{% translate ', "".join(texts)))
    assert {key for path in scripts for key in keys_in_script(path.read_text(encoding="utf-8"))} == given


def test_styles_have_no_texts() -> None:
    assert not _found(files(".css", "newsletter", "subscribers", "templates"), in_style)


def test_what_is_allowed_to_be_unmarked_is_still_there() -> None:
    texts = {text.text for path in modules() for text in in_python(path.read_text(encoding="utf-8"))}
    scripts = files(".js", "newsletter", "subscribers")
    texts |= {text.text for path in scripts for text in in_script(path.read_text(encoding="utf-8"))}
    assert ALLOWED.keys() <= texts
    assert all((PROJECT_ROOT / path).exists() for path in IN_ENGLISH)


def test_columns_that_the_admin_shows_have_translated_labels() -> None:
    unlabelled = [f"{page}.{name}" for page, name, label in _shown_columns() if not isinstance(label, Promise)]
    assert not unlabelled, "Give these a verbose_name or @admin.display(description=…) with gettext_lazy."


def _shown_columns() -> Iterator[tuple[str, str, object]]:
    """The name of a page, and each of its columns or fields with its label."""
    for model, page in admin.site._registry.items():
        if model._meta.app_label not in {"newsletter", "subscribers"}:
            continue
        for part in (page, *(inline(model, admin.site) for inline in page.inlines)):
            fields = part.fields or flatten_fieldsets(part.fieldsets or ())
            names = [*flatten(list(fields)), *part.readonly_fields]
            names += [*getattr(part, "list_display", ()), *getattr(part, "list_filter", ())]
            for name in dict.fromkeys(name for name in names if isinstance(name, str)):
                label = _label_of(part, name)
                if label is not None:
                    yield type(part).__name__, name, label


def _label_of(page: admin.options.BaseModelAdmin[Any], name: str) -> object:
    """Its label; None for a row's name, a checkbox, and what the page's form or a related model names."""
    if name in {"__str__", "action_checkbox"}:
        return None
    try:
        return getattr(page.model._meta.get_field(name), "verbose_name", None)
    except FieldDoesNotExist:
        shown = getattr(page, name, None)
        return getattr(shown, "short_description", "") if callable(shown) else None


def test_fields_of_forms_in_the_admin_have_translated_labels() -> None:
    """The templates of public pages write the labels themselves."""
    unlabelled = [
        f"{form.__module__}.{form.__qualname__}.{name}"
        for form in _forms(forms.BaseForm)
        for name, field in getattr(form, "base_fields", {}).items()
        if not field.widget.is_hidden and not isinstance(field.label, Promise)
    ]
    assert not unlabelled, "Give these a label with gettext_lazy."


def _forms(base: type[forms.BaseForm]) -> Iterator[type[forms.BaseForm]]:
    for form in base.__subclasses__():
        if form.__module__.startswith(("newsletter.admin.", "subscribers.admin.")):
            yield form
        yield from _forms(form)


# --- Numbers have plurals


def lacks_plural(entry: Entry) -> bool:
    """Whether a number stands before a noun in the plural, and there is no text for one."""
    return not entry.plural and bool(COUNTED.search(entry.msgid)) and not entry.msgid.startswith(tuple(NEVER_ONE))


def test_a_number_before_a_noun_has_a_singular_and_a_plural() -> None:
    messages = catalogue("de")
    lacking = [entry.msgid for entry in messages if lacks_plural(entry)]
    assert not lacking, "Use ngettext, or {% blocktranslate count %}."
    unused = [start for start in NEVER_ONE if not any(entry.msgid.startswith(start) for entry in messages)]
    assert not unused, "These sentences are gone."


# --- Translations fit


def differing_placeholders(entry: Entry) -> bool:
    """Whether a form of the translation has other placeholders, tags or entities than the English one."""
    for number, form in enumerate(entry.forms):
        english = entry.plural if entry.plural and number else entry.msgid
        if form and placeholders(form) != placeholders(english):
            return True
    return False


def placeholders(text: str) -> Counter[str]:
    """Each with how often it stands there; `%%` counts as it is shown."""
    return Counter(PLACEHOLDER.findall(text))


@pytest.mark.parametrize("language", LANGUAGES)
def test_placeholders_are_the_same_in_every_language(language: str) -> None:
    assert not [entry for entry in catalogue(language) if differing_placeholders(entry)]


@pytest.mark.parametrize("language", LANGUAGES)
def test_every_form_of_a_plural_is_translated(language: str) -> None:
    begun = [entry for entry in catalogue(language) if any(entry.forms) and not entry.is_translated]
    assert not begun
    rule = compiled(language).info()["plural-forms"]
    assert {f"nplurals={len(entry.forms)}" for entry in catalogue(language) if entry.plural and any(entry.forms)} == {
        rule.split(";")[0]
    }


@pytest.mark.parametrize("language", LANGUAGES)
def test_no_translation_is_guessed(language: str) -> None:
    assert not [entry.msgid for entry in catalogue(language) if "fuzzy" in entry.flags]


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_compiled_catalogue_holds_what_the_text_says(language: str) -> None:
    translations = compiled(language)
    expected: dict[Any, str] = {}
    for entry in catalogue(language):
        if entry.is_translated:
            key = f"{entry.context}\x04{entry.msgid}" if entry.context else entry.msgid
            forms = {(key, number): form for number, form in enumerate(entry.forms)}
            expected |= forms if entry.plural else {key: entry.forms[0]}
    held = {key: text for key, text in vars(translations)["_catalog"].items() if key}
    assert held == expected, "Run make messages."


# --- Translations are complete


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Entry]:
    if shutil.which("xgettext") is None:
        if os.environ.get("CI"):
            pytest.fail("Install gettext.")
        pytest.skip("gettext is not installed")
    return list(extracted(tmp_path_factory.mktemp("sources")))


@pytest.mark.parametrize("language", LANGUAGES)
def test_the_catalogue_holds_the_texts_of_the_sources(language: str, sources: list[Entry]) -> None:
    here = {(entry.key, entry.plural) for entry in sources}
    assert {(entry.key, entry.plural) for entry in catalogue(language)} == here, "Run make messages."


def test_german_has_every_text() -> None:
    assert not [entry.msgid for entry in catalogue("de") if not entry.is_translated]


@pytest.mark.parametrize("language", ["fr", "es"])
def test_french_and_spanish_have_every_text_that_subscribers_read(language: str, sources: list[Entry]) -> None:
    translated = {entry.key for entry in catalogue(language) if entry.is_translated}
    public = {entry.key for entry in sources if any(place.startswith(PUBLIC) for place in entry.places)}
    assert len(public) > 100
    assert not public - translated


# --- The finders find


@pytest.mark.parametrize(
    "source",
    [
        'forms.CharField(label="Sender name")',
        'models.CharField(help_text="one line")',
        'forms.CharField(error_messages={"required": "Enter a name"})',
        'class Meta:\n    verbose_name = "send"',
        'shown.short_description = "Sent by"',
        '@admin.display(description="State")\ndef state(self): ...',
        'class State(models.TextChoices):\n    SENT = "sent", "Sent"',
        'class State(models.TextChoices):\n    SENT = "sent"',
        'messages.success(request, f"{count} sent")',
        'raise forms.ValidationError("Enter" + " a date")',
        'form.add_error("date", "too late" if late else _("too early"))',
        'raise IssueRefused("the issue has no story")',
        'issue_page(request, title="Schedule")',
        'def __str__(self):\n    return f"batch {self.pk}"',
        'sentence = make("The batch is held. Decide about it.")',
        'raise Refused("The batch %s is held" % number)',
    ],
)
def test_an_unmarked_text_in_a_module_is_found(source: str) -> None:
    assert in_python(source)


@pytest.mark.parametrize(
    "source",
    [
        'forms.CharField(label=_("Sender name"))',
        'class State(models.TextChoices):\n    SENT = "sent", pgettext_lazy("mail", "Sent")',
        'raise EventRejected("event_unreadable")',
        'raise Refused(_("The batch %(number)s is held.") % {"number": number})',
        'def reason():\n    """A sentence for those who read the code."""',
        'log.warning("The worker has no connection to the database.")',
        'translatable("The issue has {count} stories.", count=3)',
    ],
)
def test_a_marked_text_in_a_module_is_not_found(source: str) -> None:
    assert not in_python(source)


@pytest.mark.parametrize(
    "source",
    [
        "<p>Sent</p>",
        '<a title="Open {{ title }}">{% translate "Open" %}</a>',
        '<img alt="A ship">',
        '<input type="submit" value="Save">',
        '<nav aria-label="Pages">',
        "{% blocktranslate %}Sent{% endblocktranslate %} by {{ name }}",
        '{{ name|default:"No name" }}',
        "{{ count }}{{ count|pluralize }}",
        '{% include "row.html" with label="Send now" %}',
        "{% if sent %}sent{% endif %}",
    ],
)
def test_an_unmarked_text_in_a_page_is_found(source: str) -> None:
    assert in_django_template(source)


@pytest.mark.parametrize(
    "source",
    [
        '<p class="sent">{% translate "Sent" %} · {{ date }}</p>',
        "{% comment %}Not shown{% endcomment %}{# neither #}",
        '<p class="{{ is_bad|yesno:"bad,good" }}">{% translate "Sent" %}</p>',
        "{% blocktranslate count counter=count %}one story{% plural %}many stories{% endblocktranslate %}",
        "<style>p { color: red }</style>",
        '<button name="action" value="pause">{% translate "Pause" %}</button>',
    ],
)
def test_a_marked_text_in_a_page_is_not_found(source: str) -> None:
    assert not in_django_template(source)


@pytest.mark.parametrize(
    "source", ["<mj-text>Unsubscribe</mj-text>", '<mj-image alt="A logo" />', '{{ words.view or "View" }}']
)
def test_a_text_in_a_template_of_mails_is_found(source: str) -> None:
    assert in_jinja_template(source)
    assert not in_jinja_template(
        '<mj-text css-class="footer">{% if kind == "quote" %}{{ words.view }}{% endif %}</mj-text>'
    )


@pytest.mark.parametrize(
    "source", ['row.textContent = "moved up";', 'announce("The row was moved");', "alert(`${n} rows`)"]
)
def test_a_text_in_a_script_is_found(source: str) -> None:
    assert in_script(source)
    assert not in_script('// Moves a row.\nrow.textContent = text("Moved", { count });')


def test_the_texts_that_a_script_asks_for_are_found() -> None:
    source = 'announce("AtTop"); row.textContent = text(box.checked ? "Keep" : "WillBeKept");'
    assert keys_in_script(source) == {"data-text-at-top", "data-text-keep", "data-text-will-be-kept"}


def test_a_text_in_a_style_is_found() -> None:
    assert in_style('p::before { content: "New: "; }')
    assert not in_style('p::before { content: "\\2192 "; }')


@pytest.mark.parametrize("msgid", ["%(count)s mails", "In %d days", "{count:,} held batches wait."])
def test_a_missing_plural_is_found(msgid: str) -> None:
    assert lacks_plural(Entry(msgid=msgid))
    assert not lacks_plural(Entry(msgid=msgid, plural=msgid))


@pytest.mark.parametrize(
    ("english", "translation"),
    [
        ("%(name)s is sent", "%(nam)s ist versandt"),
        ("%d mails", "%s Mails"),
        ("{count:,} stories", "{count} Meldungen"),
        ("<b>now</b>", "<b>jetzt"),
        ('<a href="%(url)s">Open</a>', '<a href="%(url)s" target="_blank">Öffnen</a>'),
        ("7&nbsp;days", "7 Tage"),
        ("%(n)s %%", "%(n)s %"),
    ],
)
def test_a_placeholder_that_differs_is_found(english: str, translation: str) -> None:
    assert differing_placeholders(Entry(msgid=english, forms=[translation]))
    assert not differing_placeholders(Entry(msgid=english, forms=[english]))


def test_a_catalogue_is_read_with_contexts_plurals_and_flags() -> None:
    text = (
        '#: newsletter/a.py\n#, fuzzy, python-format\nmsgctxt "send"\nmsgid "%(n)s \\"mail\\""\n'
        'msgid_plural ""\n"%(n)s "\n"mails"\nmsgstr[0] "eine"\nmsgstr[1] ""\n'
    )
    (entry,) = read_po(text)
    assert (entry.context, entry.msgid, entry.plural) == ("send", '%(n)s "mail"', "%(n)s mails")
    assert (entry.forms, entry.places) == (["eine", ""], ["newsletter/a.py"])
    assert entry.flags == {"fuzzy", "python-format"}
    assert not entry.is_translated
