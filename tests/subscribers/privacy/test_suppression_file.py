"""Suppressions as files: hashes out and in, addresses in."""

from __future__ import annotations

import io

import pytest
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.django import TestCase

from subscribers.models import Subscription, Suppression, SuppressionReason, SuppressionSecret
from subscribers.models import SubscriptionState as State
from subscribers.privacy.suppression_file import FileRefused, bounded_lines, export_lines, import_file
from subscribers.suppression import filter_suppressed, get_suppression, suppress_addresses
from tests.people import ADA, BEN, CLEO, ada, ben

pytestmark = pytest.mark.django_db

MANUAL = SuppressionReason.MANUAL


def suppressed_with_reasons() -> list[tuple[str, str]]:
    return sorted(Suppression.objects.values_list("fingerprint", "reason"))


def test_an_export_has_hashes_and_reasons_and_no_address_and_no_words() -> None:
    suppress_addresses({ADA: (SuppressionReason.COMPLAINT, "ada wrote to us"), BEN: (MANUAL, "")})
    text = "".join(export_lines())
    assert text.count("\r\n") == 4
    assert "ada" not in text
    assert "@" not in text
    assert "complaint" in text


def test_an_export_is_imported_elsewhere_and_a_repeat_changes_nothing() -> None:
    suppress_addresses({ADA: (SuppressionReason.COMPLAINT, ""), BEN: (MANUAL, ""), CLEO: (MANUAL, "")})
    before, lines = suppressed_with_reasons(), list(export_lines())
    times = dict(Suppression.objects.values_list("fingerprint", "created_at"))
    Suppression.objects.all().delete()
    subscription = ada()
    result = import_file(lines, reason=MANUAL)
    assert (result.read, result.ended, result.skipped) == (3, 1, 0)
    assert suppressed_with_reasons() == before
    for key, at in Suppression.objects.values_list("fingerprint", "created_at"):
        assert at == times[key].replace(microsecond=0)
    subscription.refresh_from_db()
    assert subscription.state == State.SUPPRESSED
    again = import_file(lines, reason=MANUAL)
    assert (again.read, again.ended) == (3, 0)
    assert suppressed_with_reasons() == before


def test_hashes_of_another_secret_are_refused() -> None:
    suppress_addresses({ADA: (MANUAL, "")})
    lines = list(export_lines())
    lines[0] = lines[0].replace(SuppressionSecret.objects.get().fingerprint, "0" * 32)
    Suppression.objects.all().delete()
    with pytest.raises(FileRefused, match="another SUPPRESSION_SECRET"):
        import_file(lines, reason=MANUAL)
    assert not Suppression.objects.exists()


def test_a_lighter_reason_in_a_file_does_not_replace_a_heavier_one() -> None:
    suppress_addresses({ADA: (SuppressionReason.HARD_BOUNCE, "")})
    lines = list(export_lines())
    suppress_addresses({ADA: (SuppressionReason.COMPLAINT, "")})
    import_file(lines, reason=MANUAL)
    assert get_suppression(ADA).reason == SuppressionReason.COMPLAINT  # type: ignore[union-attr]


@pytest.mark.parametrize(
    "text",
    [
        f"{ADA}\n{BEN}\n",
        f"\ufeffEmail;Reason\r\n{ADA};spam\r\n{BEN};bounce\r\n",
        f"email\treason\n{ADA.upper()}\tspam\n\n{BEN}\t\n",
        f'"Email Address","When"\n"{ADA}","2026"\n"{BEN}","2026"\n',
    ],
    ids=["one per line", "semicolons", "tabs", "quoted"],
)
def test_addresses_of_a_file_are_suppressed(text: str) -> None:
    subscription = ben()
    result = import_file(io.StringIO(text), reason=MANUAL, detail="asked", by="ida")
    assert (result.read, result.ended, result.skipped) == (2, 1, 0)
    assert filter_suppressed([ADA, BEN, CLEO]) == {ADA, BEN}
    proof = subscription.consents.get()
    assert (proof.reason, proof.by) == (MANUAL, "ida")


def test_lines_that_cannot_be_read_are_counted_and_the_others_are_taken() -> None:
    result = import_file([f"{ADA}\n", "nobody\n", "x" * 5_000 + "\n", f"{BEN}\n"], reason=MANUAL)
    assert (result.read, result.skipped, result.unreadable) == (2, 2, [2, 3])


@pytest.mark.parametrize("text", ["name\nAda\nBen\n", "PK\x03\x04\x00\x00binary", "# suppressions 9\nx\n"])
def test_a_file_without_addresses_is_refused(text: str) -> None:
    with pytest.raises(FileRefused):
        import_file(io.StringIO(text), reason=MANUAL)
    assert not Suppression.objects.exists()


def test_a_file_without_line_breaks_is_read_in_pieces() -> None:
    pieces = list(bounded_lines(io.StringIO("x" * 25_000)))
    assert [len(piece) for piece in pieces] == [10_000, 10_000, 5_000]


def test_a_time_in_the_future_or_none_becomes_the_present_one() -> None:
    suppress_addresses({ADA: (MANUAL, "")})
    head, names, row = export_lines()
    key = row.split(",")[0]
    for at in ("2999-01-01T00:00:00+00:00", "", "yesterday"):
        Suppression.objects.all().delete()
        import_file([head, names, f"{key},manual,{at}\r\n"], reason=MANUAL)
        assert Suppression.objects.get().created_at <= timezone.now()


class AnyFile(TestCase):
    """No file makes an import fail in another way than by a refusal."""

    @settings(max_examples=60, deadline=None)
    @given(st.lists(st.text(max_size=40), max_size=6), st.booleans())
    def test_any_lines_are_read_or_refused(self, lines: list[str], hashes: bool) -> None:
        head = [next(iter(export_lines()))] if hashes else []
        try:
            import_file([*head, *lines], reason=MANUAL)
        except FileRefused:
            assert not Subscription.objects.exists()
