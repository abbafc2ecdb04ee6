"""Imports: what becomes of each row, and that a kill, a repeat or the size of chunks makes no difference."""

from __future__ import annotations

import datetime
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection
from django.utils import timezone
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from subscribers.addresses import parse_address
from subscribers.consent.actions import decline
from subscribers.imports.chunk import Chunk
from subscribers.imports.control import pause, remembered, resume, start_check, start_run, undo
from subscribers.imports.engine import LEASE, ImportWorker
from subscribers.imports.files import OpenFile
from subscribers.imports.outcomes import Outcome, total
from subscribers.imports.plan import ProofKind
from subscribers.imports.states import RowState
from subscribers.models import (
    Change,
    ChangeKind,
    Consent,
    ConsentForm,
    ConsentKind,
    CustomField,
    Evidence,
    FieldValue,
    Import,
    ImportProblem,
    ImportState,
    StagedRow,
    Subscriber,
    Subscription,
    Suppression,
    SuppressionReason,
    fingerprint,
    record_consents,
)
from subscribers.models import SubscriptionState as State
from subscribers.state_machine import InvalidTransition
from subscribers.suppression import get_suppression, suppress_addresses
from tests.people import ADA, BEN, CLEO, DINA, EMIL, ada, ben, cleo, dina, emil, make_mailing_list
from tests.subscribers.imports.importing import (
    STATEMENT,
    check,
    counts,
    imported,
    plain_file,
    states,
    uploaded,
    work,
)

pytestmark = pytest.mark.django_db

GUS, HANA = "gus@example.org", "hana@example.org"
LONG_AGO, TOMORROW = "2020-01-01", (timezone.now() + datetime.timedelta(days=1)).date().isoformat()


def row(address: str, state: str = "active", name: str = "", tags: str = "", left: str = "") -> tuple[str, ...]:
    return (address, state, name, tags, left)


def dump() -> dict[str, Any]:
    """Everything that an import may change, without keys and times."""
    return {
        "subscribers": sorted(Subscriber.objects.values_list("canonical", "address", "first_name")),
        "subscriptions": sorted(
            Subscription.objects.values_list("subscriber__canonical", "mailing_list", "state", "source")
        ),
        "tags": sorted(
            Subscription.objects.filter(subscription_tags__isnull=False).values_list(
                "subscriber__canonical", "subscription_tags__tag__key"
            )
        ),
        "values": sorted(FieldValue.objects.values_list("subscription__subscriber__canonical", "field__key", "text")),
        "consents": sorted(Consent.objects.exclude(canonical="").values_list("canonical", "kind", "reason")),
        "suppressions": sorted(Suppression.objects.values_list("fingerprint", "reason")),
    }


# What is stored


def test_everybody_is_imported_as_what_they_were_there() -> None:
    stored = imported(
        [
            row("Gus@Example.org", "active", "Gus", "press, VIP"),
            row(HANA, "unconfirmed"),
            row("ida@example.org", "unsubscribed", left="2024-05-01"),
            row("jan@example.org", "bounced"),
            row("kim@example.org", "complained"),
            row("not an address", "active"),
        ]
    )
    assert stored.state == ImportState.FINISHED
    assert counts(stored) == {"created": 1, "pending": 1, "unsubscribed": 1, "suppressed": 2, "refused": 1}
    assert stored.expected == stored.outcomes
    assert states() == {
        GUS: State.ACTIVE,
        HANA: State.PENDING,
        "ida@example.org": State.UNSUBSCRIBED,
        "jan@example.org": State.SUPPRESSED,
        "kim@example.org": State.SUPPRESSED,
    }
    reasons = dict(Suppression.objects.values_list("fingerprint", "reason"))
    assert reasons == {
        fingerprint("jan@example.org"): SuppressionReason.HARD_BOUNCE,
        fingerprint("kim@example.org"): SuppressionReason.COMPLAINT,
    }
    gus = Subscription.objects.get(subscriber__canonical=GUS)
    assert (gus.subscriber.address, gus.subscriber.first_name) == ("Gus@Example.org", "Gus")
    assert (gus.source, gus.import_pk, gus.key.version) == ("import", stored.pk, 4)
    assert {tag.tag.name for tag in gus.subscription_tags.all()} == {"press", "VIP"}
    ida = Subscription.objects.get(subscriber__canonical="ida@example.org")
    assert ida.ended_at is not None
    assert ida.ended_at.date() == datetime.date(2024, 5, 1)


def test_each_row_has_a_consent_with_statement_and_evidence() -> None:
    header = ("email", "status", "CONFIRM_TIME", "CONFIRM_IP")
    stored = imported(
        [(GUS, "active", "2024-03-02 18:31:40", "203.0.113.7"), (HANA, "unsubscribed", "", "")], header=header
    )
    consent = Consent.objects.get(canonical=GUS)
    assert consent.text is not None
    assert (consent.kind, consent.form, consent.text.text, consent.by) == (
        ConsentKind.IMPORTED,
        ConsentForm.IMPORT,
        STATEMENT,
        "ines",
    )
    assert consent.detail.startswith("double_opt_in_elsewhere")
    assert "2024-03-02 18:31:40" in consent.detail
    assert "203.0.113.7" in consent.detail
    assert consent.source == f"{stored.file_name}:2"
    assert Consent.objects.get(canonical=HANA).kind == ConsentKind.UNSUBSCRIBED


@pytest.mark.parametrize("proof", [ProofKind.SINGLE_OPT_IN, ProofKind.UNKNOWN])
def test_without_a_confirmation_nobody_becomes_active(proof: ProofKind) -> None:
    stored = imported([row(GUS), row(HANA, "unsubscribed")], proof=proof)
    assert states() == {GUS: State.PENDING, HANA: State.UNSUBSCRIBED}
    assert counts(stored) == {"pending": 1, "unsubscribed": 1}


def test_a_list_of_suppressions_makes_nobody_a_subscriber() -> None:
    imported([row(GUS), row(HANA, "bounced")], proof=ProofKind.SUPPRESSION_LIST)
    assert set(states().values()) == {State.SUPPRESSED}
    assert set(Suppression.objects.values_list("reason", flat=True)) == {SuppressionReason.MANUAL}


def test_a_check_changes_nothing() -> None:
    before = dump()
    stored = check(uploaded(plain_file([row(GUS, tags="new"), row(HANA, "bounced"), row("x", "active")])))
    assert dump() == before
    assert not CustomField.objects.exists()
    assert (stored.state, stored.row_count, total(stored.expected)) == (ImportState.CHECKED, 3, 3)
    shown = [(entry["address"], entry["state"], entry["outcome"]) for entry in stored.preview]
    assert shown == [(GUS, "active", "created"), (HANA, "suppressed", "suppressed"), ("x", "", "refused")]


def test_a_check_can_be_repeated_with_another_plan() -> None:
    stored = check(uploaded(plain_file([row(GUS), row("x")])))
    again = check(stored, proof=ProofKind.SINGLE_OPT_IN)
    assert (again.state, again.row_count) == (ImportState.CHECKED, 2)
    assert {outcome: sum(found.values()) for outcome, found in again.expected.items()} == {"pending": 1, "refused": 1}
    assert again.refusals.count() == 1


def test_refused_rows_are_kept_with_their_reason() -> None:
    stored = check(uploaded(plain_file([row("nobody", name="N"), row(GUS)])))
    refusal = stored.refusals.get()
    assert (refusal.line, refusal.reason, refusal.cells[:3]) == (2, "invalid_address", ["nobody", "active", "N"])


def test_a_file_that_cannot_be_read_fails_with_the_sentence() -> None:
    rows = plain_file([row(f"r{number}@example.org") for number in range(1100)])
    stored = check(uploaded(rows + b'"hana@example.org,active,,,\n'), chunk=500)
    assert (stored.state, stored.problem) == (ImportState.FAILED, ImportProblem.FILE)
    assert "1102" in stored.detail


# Known subscribers


def test_the_same_file_twice_changes_nothing() -> None:
    rows = [row(GUS, "active", "Gus", "press"), row(HANA, "unsubscribed"), row("jan@example.org", "bounced")]
    imported(rows)
    first = dump()
    again = imported(rows)
    assert dump() == first
    assert counts(again) == {"already": 3}


def test_known_names_stay_and_empty_ones_are_filled() -> None:
    imported([row(GUS, name="Gus"), row(HANA)])
    stored = imported([row(GUS, name="August"), row(HANA, name="Hana", tags="new")])
    assert counts(stored) == {"already": 1, "updated": 1}
    assert sorted(Subscriber.objects.values_list("first_name", flat=True)) == ["Gus", "Hana"]
    changes = Change.objects.filter(subscriber__canonical=HANA)
    assert {(change.kind, change.values.get("to") or change.values.get("tag")) for change in changes} == {
        (ChangeKind.NAME, "Hana"),
        (ChangeKind.TAG_ADDED, "new"),
    }


def test_names_and_fields_are_replaced_if_the_plan_says_so() -> None:
    header = ("email", "status", "first_name", "Boat")
    imported([(GUS, "active", "Gus", "Elster")], header=header)
    filled = imported([(GUS, "active", "August", "Möwe")], header=header)
    assert counts(filled) == {"already": 1}
    stored = imported([(GUS, "active", "August", "Möwe")], header=header, update_mode="replace")
    assert counts(stored) == {"updated": 1}
    assert Subscriber.objects.get().first_name == "August"
    assert FieldValue.objects.get().text == "Möwe"
    change = Change.objects.get(kind=ChangeKind.FIELD)
    assert change.values == {"field": "boat", "from": "Elster", "to": "Möwe"}
    again = imported([(GUS, "active", "August", "Möwe")], header=header, update_mode="replace")
    assert counts(again) == {"already": 1}


def test_values_keep_their_types() -> None:
    header = ("email", "status", "Berths", "Launched")
    rows = [(GUS, "active", "4", "1962-05-01"), (HANA, "active", "6.5", "1970-01-31")]
    imported(rows, header=header)
    kinds = dict(CustomField.objects.values_list("key", "kind"))
    assert kinds == {"berths": "number", "launched": "date"}
    values = FieldValue.objects.filter(subscription__subscriber__canonical=HANA)
    assert {value.field.key: value.number or value.date for value in values} == {
        "berths": Decimal("6.5"),
        "launched": datetime.date(1970, 1, 31),
    }
    assert counts(imported(rows, header=header, update_mode="replace")) == {"already": 2}


# A “no” here


def _erased() -> None:
    """Only the hash is left."""
    suppress_addresses({GUS: (SuppressionReason.MANUAL, "")})


def _declined_elsewhere() -> None:
    subscription = ben(make_mailing_list("tide-tables"))
    Subscriber.objects.filter(pk=subscription.subscriber_id).update(canonical=GUS, address=GUS)
    decline(subscription.key, Evidence(form=ConsentForm.DECLINE))


def _deleted(kind: ConsentKind, list_slug: str = "harbour-notes") -> None:
    """The row was deleted, the proof of the step is left."""
    mailing_list = make_mailing_list(list_slug, name=list_slug)
    subscription = ada(mailing_list)
    Subscriber.objects.filter(pk=subscription.subscriber_id).update(canonical=GUS, address=GUS)
    subscription.refresh_from_db()
    record_consents(kind, [subscription], Evidence(form=ConsentForm.UNSUBSCRIBE))
    subscription.subscriber.delete()


NO = {
    "erased": _erased,
    "declined on another list": _declined_elsewhere,
    "left and was deleted": lambda: _deleted(ConsentKind.UNSUBSCRIBED),
    "declined on another list and was deleted": lambda: _deleted(ConsentKind.DECLINED, "tide-tables"),
    "complained on another list and was deleted": lambda: _deleted(ConsentKind.SUPPRESSED, "tide-tables"),
}


@pytest.mark.parametrize("no", NO.values(), ids=NO.keys())
@pytest.mark.parametrize("state", ["active", "unconfirmed"])
def test_a_known_no_wins_whatever_is_left_of_it(no: Any, state: str) -> None:
    no()
    before = states()
    stored = imported([row(GUS, state, "Gus", "press")])
    assert counts(stored) == {"kept": 1}
    assert states() == before
    assert not Consent.objects.filter(form=ConsentForm.IMPORT).exists()


def test_leaving_another_list_blocks_nothing() -> None:
    _deleted(ConsentKind.UNSUBSCRIBED, "tide-tables")
    assert counts(imported([row(GUS)])) == {"created": 1}


#: State here → state in the file → state afterwards. The file says nothing about when.
MATRIX = {
    ADA: {"active": State.ACTIVE, "unconfirmed": State.ACTIVE, "unsubscribed": State.ACTIVE, "bounced": State.ACTIVE},
    BEN: {
        "active": State.PENDING,
        "unconfirmed": State.PENDING,
        "unsubscribed": State.PENDING,
        "bounced": State.PENDING,
    },
    CLEO: dict.fromkeys(("active", "unconfirmed", "unsubscribed", "bounced", "complained"), State.UNSUBSCRIBED),
    DINA: dict.fromkeys(("active", "unconfirmed", "unsubscribed", "bounced", "complained"), State.SUPPRESSED),
    EMIL: dict.fromkeys(("active", "unconfirmed", "unsubscribed", "bounced", "complained"), State.SUPPRESSED),
}


@pytest.mark.parametrize(
    ("address", "word", "after"),
    [(address, word, after) for address, cells in MATRIX.items() for word, after in cells.items()],
)
def test_states_here_meet_states_of_the_file(address: str, word: str, after: State) -> None:
    for make in (ada, ben, cleo, dina, emil):
        make()
    stored = imported([row(address, word)])
    assert states()[address] == after
    assert total(stored.outcomes) == 1
    assert stored.expected == stored.outcomes


@pytest.mark.parametrize("word", ["unsubscribed", "bounced", "complained"])
def test_a_later_no_of_the_file_ends_what_is_open_here(word: str) -> None:
    subscription = ada()
    record_consents(
        ConsentKind.CONFIRMED,
        [subscription],
        Evidence(form=ConsentForm.CONFIRM, at=timezone.now() - datetime.timedelta(days=9)),
    )
    stored = imported([row(ADA, word, left=(timezone.now() - datetime.timedelta(days=2)).date().isoformat())])
    target = State.UNSUBSCRIBED if word == "unsubscribed" else State.SUPPRESSED
    assert states() == {ADA: target}
    assert counts(stored) == {str(target): 1}
    assert Consent.objects.filter(subscription=subscription, form=ConsentForm.IMPORT).count() == 1


@pytest.mark.parametrize("word", ["unsubscribed", "bounced", "complained"])
def test_an_earlier_no_of_the_file_leaves_what_is_open_here(word: str) -> None:
    record_consents(ConsentKind.CONFIRMED, [ada()], Evidence(form=ConsentForm.CONFIRM))
    stored = imported([row(ADA, word, left=LONG_AGO)])
    assert states() == {ADA: State.ACTIVE}
    assert counts(stored) == {"differs": 1}
    assert not Suppression.objects.exists()


def test_a_bounce_is_compared_with_the_subscriptions_of_every_list() -> None:
    record_consents(ConsentKind.CONFIRMED, [ada(make_mailing_list("tide-tables"))], Evidence(form=ConsentForm.CONFIRM))
    assert counts(imported([row(ADA, "bounced", left=LONG_AGO)])) == {"differs": 1}
    assert not Suppression.objects.exists()


def test_a_no_ends_what_only_an_import_began() -> None:
    imported([row(GUS), row(HANA)])
    stored = imported([row(GUS, "unsubscribed"), row(HANA, "complained")])
    assert counts(stored) == {"unsubscribed": 1, "suppressed": 1}
    assert states() == {GUS: State.UNSUBSCRIBED, HANA: State.SUPPRESSED}
    assert counts(imported([row(GUS), row(HANA)])) == {"kept": 2}


def test_a_complaint_of_the_file_outranks_a_known_bounce() -> None:
    emil()
    imported([row(EMIL, "complained")])
    assert Suppression.objects.get().reason == SuppressionReason.COMPLAINT


# Rows that repeat, chunks, kills


def test_of_several_rows_the_strongest_state_counts() -> None:
    rows = [
        row(GUS, "active", "", "a"),
        row("GUS@example.org", "unsubscribed", "Gus"),
        row(GUS, "unconfirmed", "X", "b"),
    ]
    stored = imported(rows)
    assert states() == {GUS: State.UNSUBSCRIBED}
    assert counts(stored) == {"unsubscribed": 1, "repeated": 2}
    gus = Subscription.objects.get()
    assert gus.subscriber.first_name == "Gus"
    assert sorted(gus.subscription_tags.values_list("tag__name", flat=True)) == ["a", "b"]


people = st.sampled_from([f"p{number}@example.org" for number in range(5)] + ["P1@Example.org", "broken"])
words = st.sampled_from(["active", "unconfirmed", "unsubscribed", "bounced", "complained", "what"])
file_rows = st.lists(
    st.builds(row, people, words, st.sampled_from(["", "A", "B"]), st.sampled_from(["", "x", "y", "x, y"])), max_size=8
)


@settings(max_examples=10, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=file_rows, chunk=st.integers(1, 4), more=file_rows)
def test_the_outcome_never_depends_on_the_chunks(rows: Any, chunk: int, more: Any) -> None:
    lists = [make_mailing_list(f"list-{number}", name="Same name") for number in range(2)]
    results = []
    for mailing_list, size in zip(lists, (chunk, 1000), strict=True):
        first = imported(rows, mailing_list=mailing_list, chunk=size)
        second = imported(more, mailing_list=mailing_list, chunk=size)
        assert first.expected == first.outcomes
        assert second.expected == second.outcomes
        assert total(first.outcomes) == len(rows)
        found = dump()
        results.append((found, first.outcomes, second.outcomes))
        _empty()
    compared = [
        [{**result[0], "subscriptions": [(a, s) for a, _list, s, _source in result[0]["subscriptions"]]}, *result[1:]]
        for result in results
    ]
    assert compared[0] == compared[1]


def _empty() -> None:
    """Forget everybody, also those whose consents cannot be deleted."""
    Suppression.objects.all().delete()
    Consent.objects.update(address="", canonical="", source="", by="", detail="")
    Subscription.objects.all().delete()
    Subscriber.objects.all().delete()


def _thirty() -> list[tuple[str, ...]]:
    every = ("active", "active", "unsubscribed", "bounced", "unconfirmed")
    return [row(f"r{number % 27}@example.org", every[number % 5], f"N{number}", "a, b") for number in range(30)]


def _work_until_killed(worker: ImportWorker, stored: Import) -> None:
    while worker.claim(stored.pk):
        worker.advance(stored.pk)


@pytest.mark.parametrize("chunks", [1, 3, 7])
def test_a_killed_worker_loses_nothing(chunks: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = imported(_thirty(), mailing_list=make_mailing_list("whole"))
    expected = dump()["subscriptions"]
    stored = check(uploaded(plain_file(_thirty())), chunk=4)
    start_run(stored, by="ines")
    killed, died = ImportWorker(chunk=4), []
    write = Chunk.write

    def dying(chunk: Chunk) -> None:
        write(chunk)
        died.append(1)
        if len(died) == chunks:
            raise KeyboardInterrupt

    monkeypatch.setattr(Chunk, "write", dying)
    with pytest.raises(KeyboardInterrupt):
        _work_until_killed(killed, stored)
    monkeypatch.undo()
    stored.refresh_from_db()
    assert stored.done_count < stored.row_count
    other = ImportWorker(chunk=7)
    assert not other.claim(stored.pk), "the lease of the dead worker still holds"
    assert other.claim(stored.pk, timezone.now() + LEASE * 2)
    while other.advance(stored.pk):
        pass
    stored.refresh_from_db()
    assert stored.state == ImportState.FINISHED
    assert stored.resumed_at is not None
    here = [(a, s) for a, pk, s, _source in dump()["subscriptions"] if pk == stored.mailing_list_id]
    assert total(stored.outcomes) == total(whole.outcomes) == 30
    assert {a for a, _s in here} <= {a for a, _pk, _s, _source in expected}


def test_staged_rows_that_a_crash_lost_are_read_again() -> None:
    stored = check(uploaded(plain_file(_thirty())), chunk=4)
    start_run(stored, by="ines")
    work(stored, chunk=4, steps=3)
    StagedRow.objects.all().delete()
    work(stored, chunk=4)
    assert stored.state == ImportState.FINISHED
    assert stored.outcomes == stored.expected


def test_staged_rows_are_deleted_after_the_end() -> None:
    imported([row(GUS)])
    worker = ImportWorker()
    while worker.work():
        pass
    assert not StagedRow.objects.exists()


def test_a_paused_import_waits_and_continues() -> None:
    stored = check(uploaded(plain_file(_thirty())), chunk=4)
    start_run(stored, by="ines")
    work(stored, chunk=4, steps=2)
    pause(stored)
    assert not ImportWorker().claim(stored.pk)
    done = Subscription.objects.count()
    resume(stored)
    work(stored)
    assert stored.state == ImportState.FINISHED
    assert Subscription.objects.count() == 27 > done


def test_an_import_under_another_secret_pauses(monkeypatch: pytest.MonkeyPatch, settings: Any) -> None:
    dina()
    stored = check(uploaded(plain_file([row(GUS)])))
    start_run(stored, by="ines")
    settings.SUPPRESSION_SECRET = "another" * 8
    work(stored)
    assert (stored.state, stored.problem) == (ImportState.PAUSED, ImportProblem.SECRET)
    assert GUS not in states()


def test_a_file_with_too_many_tags_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("subscribers.imports.staging.MAX_TAG_NAMES", 2)
    stored = check(uploaded(plain_file([row(GUS, tags="a, b, c")])))
    assert (stored.state, stored.problem) == (ImportState.FAILED, ImportProblem.TOO_MANY_TAGS)


# Undo


def test_undo_removes_what_the_import_made() -> None:
    ada()
    before = dump()
    stored = imported(
        [row(ADA), row(GUS, "active", "Gus", "press"), row(HANA, "unsubscribed"), row("jan@example.org", "bounced")]
    )
    undo(stored)
    work(stored)
    assert (stored.state, stored.undone) == (ImportState.UNDONE, {"removed": 3, "kept": 0})
    after = dump()
    assert {key: after[key] for key in ("subscribers", "subscriptions", "tags", "suppressions")} == {
        key: before[key] for key in ("subscribers", "subscriptions", "tags", "suppressions")
    }
    assert not Consent.objects.exclude(canonical="").exists(), "what is left of the proof names nobody"
    assert counts(imported([row(GUS)])) == {"created": 1}


def test_undo_keeps_who_acted_or_was_changed_since() -> None:
    stored = imported([row(GUS), row(HANA), row("ida@example.org")])
    by_address = {subscription.subscriber.canonical: subscription for subscription in Subscription.objects.all()}
    record_consents(ConsentKind.PAUSED, [by_address[GUS]], Evidence(form=ConsentForm.PREFERENCES))
    imported([row(HANA, name="Hana", tags="later")])
    undo(stored)
    work(stored)
    assert stored.undone == {"removed": 1, "kept": 2}
    assert set(states()) == {GUS, HANA}


def test_undo_keeps_who_was_sent_an_issue() -> None:
    stored = imported([row(GUS), row(HANA)])
    sent = {Subscriber.objects.get(canonical=GUS).pk}
    undo(stored)
    worker = ImportWorker(mailed=lambda _list, pks: sent & set(pks))
    while worker.claim(stored.pk):
        worker.advance(stored.pk)
    assert set(states()) == {GUS}


def test_undo_keeps_a_suppression_with_other_evidence() -> None:
    stored = imported([row(GUS, "bounced"), row(HANA, "bounced")])
    suppress_addresses({GUS: (SuppressionReason.COMPLAINT, "")})
    undo(stored)
    work(stored)
    assert list(Suppression.objects.values_list("fingerprint", flat=True)) == [fingerprint(GUS)]


@pytest.mark.parametrize("reason", SuppressionReason)
def test_undo_keeps_a_suppression_that_was_confirmed_here_since(reason: SuppressionReason) -> None:
    """Whether a bounce or a complaint came in, an editor suppressed the address, or it is on another list."""
    stored = imported([row("gus@example.net", "complained"), row("hal@example.net", "complained")])
    suppress_addresses({"gus@example.net": (reason, "")})
    undo(stored)
    work(stored)
    kept = get_suppression("gus@example.net")
    assert kept is not None
    assert kept.reason == SuppressionReason.COMPLAINT
    assert get_suppression("hal@example.net") is None


def test_a_running_import_can_be_cancelled_and_undone() -> None:
    stored = check(uploaded(plain_file(_thirty())), chunk=4)
    start_run(stored, by="ines")
    work(stored, chunk=4, steps=3)
    undo(stored)
    work(stored)
    assert stored.state == ImportState.UNDONE
    assert not Subscription.objects.exists()


def test_an_import_runs_only_after_its_check() -> None:
    stored = uploaded(plain_file([row(GUS)]))
    with pytest.raises(InvalidTransition):
        start_run(stored, by="ines")
    assert parse_address(GUS).canonical not in states()


def test_a_chunk_takes_a_bounded_number_of_statements(django_assert_max_num_queries: Any) -> None:
    stored = check(uploaded(plain_file([row(f"r{number}@example.org", name="R", tags="a") for number in range(300)])))
    start_run(stored, by="ines")
    worker = ImportWorker()
    assert worker.claim(stored.pk)
    with django_assert_max_num_queries(80):
        worker.advance(stored.pk)
    assert connection.vendor in ("sqlite", "postgresql")
    assert Outcome.CREATED in Import.objects.get(pk=stored.pk).outcomes


def test_a_plan_is_stored_for_files_with_the_same_columns() -> None:
    first = check(uploaded(plain_file([row(GUS)])))
    second, other = uploaded(plain_file([row(HANA)])), uploaded(plain_file([("a",)], ("email",)))
    with OpenFile(second) as file:
        assert remembered(second, file.source) == first
    with OpenFile(other) as file:
        assert remembered(other, file.source) is None
        start_check(other, [None], file.source, by="ines")


LISTMONK = ("uuid", "email", "name", "attributes", "status", "created_at", "updated_at")


def test_values_without_a_field_or_of_another_type_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first rows decide about fields and their types."""
    monkeypatch.setattr("subscribers.imports.plan.SAMPLE_ROWS", 1)
    rows = [
        ("1", "ada@example.org", "", '{"berth": 7}', "enabled", "", ""),
        ("2", "ben@example.org", "", '{"berth": "A-17", "boat": "Elster"}', "enabled", "", ""),
        ("3", "cleo@example.org", "", '{"berth": "none", "bo\\u0000at": "Elster"}', "enabled", "", ""),
        ("4", "dina@example.org", "", "{broken", "enabled", "last May", ""),
    ]
    stored = imported(rows, header=LISTMONK, answer=RowState.ACTIVE)
    assert stored.dropped_values == {
        "berth": 2,
        "attributes.boat": 1,
        "attributes.bo at": 1,
        "attributes": 1,
        "created_at": 1,
    }
    assert counts(stored) == {"created": 4}


@pytest.mark.parametrize("name", ["b" * 101, "bo\\u0000at", "\\ud800", "bo\\u202eat"])
def test_names_that_cannot_be_stored_become_no_fields(name: str) -> None:
    rows = [("1", "ada@example.org", "", f'{{"{name}": "Elster", "berth": "7"}}', "enabled", "", "")]
    stored = imported(rows, header=LISTMONK, answer=RowState.ACTIVE)
    assert counts(stored) == {"created": 1}
    assert list(CustomField.objects.exclude(key="last_name").values_list("key", flat=True)) == ["berth"]
    assert sum(stored.dropped_values.values()) == 1


def test_a_plan_is_not_remembered_for_files_without_names_of_columns() -> None:
    check(uploaded(b'"Ada","ada@example.org"\n', "harbour-active.csv"))
    second = uploaded(b"ben@example.org\n")
    with OpenFile(second) as file:
        assert remembered(second, file.source) is None
