"""Validation of a mail, field by field."""

from __future__ import annotations

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from newsletter.sandbox import SandboxOptions
from newsletter.sandbox.refusals import Refusal
from newsletter.sandbox.validation import Mail, bare_address, read_mail, read_mails
from tests.sandbox.peers import ADA, mail

NOW = 1_790_000_000.0
OPTIONS = SandboxOptions()


def refused(fields: object, options: SandboxOptions = OPTIONS) -> Refusal:
    with pytest.raises(Refusal) as caught:
        read_mail(fields, options, NOW)
    return caught.value


@pytest.mark.parametrize("name", ["from", "to", "subject"])
@pytest.mark.parametrize("value", [None, ""])
def test_a_missing_field_is_named(name: str, value: str | None) -> None:
    error = refused({**mail(), name: value})
    assert (error.status, error.name, error.message) == (422, "missing_required_field", f"Missing `{name}` field.")


def test_html_or_text_is_required() -> None:
    assert refused(mail(html=None, text=None)).message == "Missing `html` or `text` field."
    assert refused(mail(html="", text="")).name == "missing_required_field"
    assert read_mail(mail(html=None), OPTIONS, NOW).html == ""


@pytest.mark.parametrize(
    "address",
    [
        "ada@readers.test",
        "Ada <ada@readers.test>",
        '"Lovelace, Ada" <ada.b+c@readers.test>',
        "Ада <ada@xn--e1afmkfd.test>",
        "o'neil@sub.readers.test",
        "<ada@readers.test>",
    ],
)
def test_addresses_in_both_forms_are_accepted(address: str) -> None:
    assert read_mail(mail(address), OPTIONS, NOW).to == (address,)


@pytest.mark.parametrize(
    "address",
    [
        "ada",
        "ada@",
        "@readers.test",
        "ada@localhost",
        "ada@readers..test",
        ".ada@readers.test",
        "a..da@readers.test",
        "ädä@readers.test",
        "ada@пример.test",
        "ada@readers.test, ben@readers.test",
        "Ada <ada@readers.test> <ben@readers.test>",
        "Ada <ada@readers.test",
        "ada@readers.test\nBcc: ben@readers.test",
        "a" * 65 + "@readers.test",
        "ada@-readers.test",
        " ",
        7,
        ["ada@readers.test"],
    ],
)
@pytest.mark.parametrize("name", ["to", "cc", "bcc", "reply_to"])
def test_an_invalid_address_is_refused(name: str, address: object) -> None:
    error = refused({**mail(), name: [address]})
    assert (error.status, error.name) == (422, "validation_error")
    assert f"`{name}`" in error.message


def test_the_sender_must_be_one_address() -> None:
    assert refused({**mail(), "from": "The Digest"}).message.startswith("Invalid `from` field.")
    assert refused({**mail(), "from": ["a@letters.test"]}).status == 422


def test_up_to_fifty_recipients_are_accepted() -> None:
    assert len(read_mail(mail([ADA] * 50), OPTIONS, NOW).to) == 50
    assert "50" in refused(mail([ADA] * 51)).message
    assert refused(mail([])).message == "Missing `to` field."


@pytest.mark.parametrize("domain", ["example.com", "test.com", "EXAMPLE.com"])
@pytest.mark.parametrize("name", ["to", "cc", "bcc"])
def test_recipients_at_example_domains_are_refused(name: str, domain: str) -> None:
    fields = {**mail(), name: f"ada@{domain}"}
    assert refused(fields).status == 422
    assert read_mail(fields, SandboxOptions(block_example_domains=False), NOW).recipients


def test_reply_to_may_use_an_example_domain() -> None:
    assert read_mail(mail(reply_to="ada@example.com"), OPTIONS, NOW).reply_to == ("ada@example.com",)


def test_only_verified_domains_may_send() -> None:
    options = SandboxOptions(verified_domains=frozenset({"letters.test"}))
    assert read_mail(mail(), options, NOW).sender == "The Digest <digest@letters.test>"
    error = refused({**mail(), "from": "a@other.test"}, options)
    assert (error.status, error.name) == (403, "validation_error")
    assert error.message == "The `other.test` domain is not verified. Please, add and verify your domain."


@pytest.mark.parametrize(
    "headers",
    [{"X-Count": 1}, {"X-A": None}, {"X-A": "a\r\nBcc: x"}, {"X A": "a"}, {"": "a"}, {"X-Ä": "a"}, ["X-A"], "X-A: a"],
)
def test_header_values_must_be_strings_without_line_breaks(headers: object) -> None:
    error = refused(mail(headers=headers))
    assert (error.status, error.name) == (422, "validation_error")
    assert "`headers" in error.message


def test_subjects_must_not_contain_line_breaks() -> None:
    assert refused(mail(subject="a\nBcc: x")).status == 422
    assert refused(mail(subject=5)).message == "The `subject` field must be a `string`."


@pytest.mark.parametrize("part", ["name", "value"])
@pytest.mark.parametrize("text", ["", "a b", "ä", "a:b", "a" * 257, None, 5, "a\n"])
def test_tags_must_be_ascii_letters_digits_and_two_signs(part: str, text: object) -> None:
    tag = {"name": "delivery", "value": "1", part: text}
    assert refused(mail(tags=[tag])).status == 422


@pytest.mark.parametrize("tags", [{"delivery": "1"}, ["delivery"], [{"name": "a", "value": "b"}] * 76])
def test_tags_must_be_a_list_of_at_most_75_pairs(tags: object) -> None:
    assert refused(mail(tags=tags)).status == 422


def test_tags_with_every_allowed_character_are_accepted() -> None:
    tag = {"name": "aZ09_-", "value": "x" * 256}
    assert read_mail(mail(tags=[tag] * 75), OPTIONS, NOW).tags[0] == ("aZ09_-", "x" * 256)


@pytest.mark.parametrize("moment", ["yesterday", "2020-01-01T00:00:00Z", "in 31 days", "", 17])
def test_a_schedule_must_be_within_thirty_days(moment: object) -> None:
    assert refused(mail(scheduled_at=moment)).status == 422


def test_times_are_in_iso_8601_or_in_words() -> None:
    assert read_mail(mail(scheduled_at="in 5 min"), OPTIONS, NOW).scheduled_at == NOW + 300
    assert read_mail(mail(scheduled_at="2026-09-22T00:00:00+02:00"), OPTIONS, NOW).scheduled_at == 1_790_028_000.0


@pytest.mark.parametrize("attachments", [[{}], [{"filename": "a.txt"}], ["a"], [None]])
def test_an_attachment_needs_content_or_a_path(attachments: object) -> None:
    assert refused(mail(attachments=attachments)).name == "invalid_attachment"


def test_topics_must_be_uuids_and_templates_exclude_contents() -> None:
    assert refused(mail(topic_id="news")).name == "invalid_parameter"
    assert refused(mail(template={"id": "x"})).name == "validation_error"
    assert refused(mail(template={"id": "x"}, html=None, text=None)).name == "not_found"


def test_unknown_fields_are_ignored() -> None:
    assert read_mail(mail(replyTo=5), OPTIONS, NOW).reply_to == ()


def test_permissive_mode_keeps_the_indices_of_valid_and_invalid_mails() -> None:
    mails, errors = read_mails([mail(), 5, mail("x"), mail()], OPTIONS, NOW, permissive=True)
    assert list(mails) == [0, 3]
    assert [error["index"] for error in errors] == [1, 2]


def test_bare_addresses_are_in_lower_case() -> None:
    assert bare_address("Ada <Ada@Readers.test> ") == "ada@readers.test"
    assert bare_address("Ada@Readers.test") == "ada@readers.test"


ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=30) | st.emails(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["from", "to", "cc", "bcc", "reply_to", "subject", "html", "text", "headers", "tags", "scheduled_at"]


def mail_or_refusal(fields: dict[str, Any]) -> Mail | Refusal:
    try:
        return read_mail(fields, OPTIONS, NOW)
    except Refusal as error:
        return error


@given(st.dictionaries(st.sampled_from([*FIELDS, "attachments", "template", "topic_id"]), ANYTHING), st.booleans())
def test_any_input_is_a_mail_or_a_refusal(fields: dict[str, Any], whole: bool) -> None:
    result = mail_or_refusal({**mail(), **fields} if whole else fields)
    if isinstance(result, Refusal):
        assert result.status in (403, 404, 422)
    else:
        assert all(re.fullmatch(r"[!-~]+@[a-z0-9.-]+", address) for address, _field in result.recipients)
        assert "\n" not in result.subject
