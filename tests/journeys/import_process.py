"""Programs of the tests that kill imports, run inside a separate installation.

`python -m tests.journeys.import_process prepare 10000` makes a newsletter with known subscribers, and uploads a file.
`work` is the worker, `start` presses the button of the wizard after the dry run, and `command …` is
`manage.py import_subscribers …`. `lapse` lets the lease of a dead worker end and prints the progress. `differences
10000` compares the database with what the file says.

`KILL_AT=write:3` in the environment kills the process at its third chunk that writes, in the middle of the transaction;
`write:3:0.2` does it 0.2 seconds later, wherever it is then. `CHUNK` is the number of rows per chunk.
"""

from __future__ import annotations

import datetime
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any, NamedTuple

#: Rows whose number ends with these two digits are not simply new and active.
UNSUBSCRIBED, BOUNCED, COMPLAINED, INVALID, REPEATED, LEFT_HERE, SUPPRESSED_HERE, ACTIVE_HERE = range(8)

#: When these people agreed, says the editor.
DAY = datetime.date(2024, 3, 2)

STATES = {UNSUBSCRIBED: "unsubscribed", BOUNCED: "bounced", COMPLAINED: "complained"}


class Expected(NamedTuple):
    """How a subscriber ends."""

    state: str
    consents: tuple[str, ...]
    tags: frozenset[str]


def address_of(number: int) -> str:
    return "no address" if number % 100 == INVALID else f"reader-{number}@example{number % 50}.org"


def tags_of(number: int) -> frozenset[str]:
    return frozenset({"moved", f"group {number % 40}"})


def lines(count: int) -> Iterator[bytes]:
    """The file. Those that are repeated left in a row at its end."""
    yield b"email,status,first_name,tags\n"
    for number in range(count):
        state = STATES.get(number % 100, "active")
        tags = ",".join(sorted(tags_of(number)))
        yield f'{address_of(number)},{state},Reader {number},"{tags}"\n'.encode()
    for number in range(REPEATED, count, 100):
        yield f"{address_of(number).upper()},unsubscribed,,\n".encode()


def expected(count: int) -> Iterator[tuple[str, Expected]]:
    """Each subscription after the import, by canonical address."""
    for number in range(count):
        kind = number % 100
        if kind in (INVALID, SUPPRESSED_HERE):
            continue
        if kind == LEFT_HERE:
            yield address_of(number), Expected("unsubscribed", (), frozenset())
        elif kind == ACTIVE_HERE:
            yield address_of(number), Expected("active", ("confirmed",), tags_of(number))
        elif kind in (UNSUBSCRIBED, REPEATED):
            yield address_of(number), Expected("unsubscribed", ("unsubscribed",), tags_of(number))
        elif kind in (BOUNCED, COMPLAINED):
            yield address_of(number), Expected("suppressed", ("suppressed",), tags_of(number))
        else:
            yield address_of(number), Expected("active", ("imported",), tags_of(number))


def expected_counts(count: int) -> dict[str, int]:
    """The outcomes of the rows, for a multiple of 100."""
    each = count // 100
    return {
        "created": 92 * each,
        "unsubscribed": 2 * each,
        "suppressed": 2 * each,
        "kept": 2 * each,
        "updated": each,
        "repeated": each,
        "refused": each,
    }


def _prepare(count: int) -> None:
    from django.utils import timezone

    from subscribers.models import (
        Consent,
        ConsentKind,
        Subscriber,
        Subscription,
        SubscriptionState,
        Suppression,
        SuppressionReason,
        fingerprint,
    )
    from subscribers.suppression import check_suppression_secret
    from tests.publications import make_newsletter

    newsletter, now = make_newsletter(), timezone.now()
    check_suppression_secret()
    known = {
        kind: [
            Subscriber(address=address_of(number), canonical=address_of(number), first_name="Known")
            for number in range(kind, count, 100)
        ]
        for kind in (LEFT_HERE, ACTIVE_HERE)
    }
    for kind, subscribers in known.items():
        Subscriber.objects.bulk_create(subscribers, batch_size=1000)
        state = SubscriptionState.ACTIVE if kind == ACTIVE_HERE else SubscriptionState.UNSUBSCRIBED
        made = Subscription.objects.bulk_create(
            [
                Subscription(subscriber=subscriber, mailing_list=newsletter, state=state, confirmed_at=now)
                for subscriber in subscribers
            ],
            batch_size=1000,
        )
        if kind == ACTIVE_HERE:
            Consent.objects.bulk_create(
                [Consent(subscription=subscription, kind=ConsentKind.CONFIRMED, form="link") for subscription in made],
                batch_size=1000,
            )
    Suppression.objects.bulk_create(
        [
            Suppression(fingerprint=fingerprint(address_of(number)), reason=SuppressionReason.COMPLAINT)
            for number in range(SUPPRESSED_HERE, count, 100)
        ],
        batch_size=1000,
    )
    _upload(newsletter, lines(count))


def _upload(mailing_list: Any, blocks: Iterator[bytes]) -> None:
    from subscribers.imports.control import start_check
    from subscribers.imports.files import OpenFile, store_file
    from subscribers.imports.plan import ProofKind, guess_mapping
    from subscribers.imports.presets import recognise

    stored = store_file(mailing_list, "people.csv", blocks, by="ida")
    with OpenFile(stored) as file:
        table = file.source.tables[0]
        plan = guess_mapping(table, recognise(table, stored.file_name))
        plan = replace(plan, proof=ProofKind.EXISTING_CUSTOMER, proof_date=DAY, statement="Customers of our shop.")
        start_check(stored, [plan], file.source, by="ida")


def _start() -> None:
    from subscribers.imports.control import start_run
    from subscribers.models import Import

    _work()
    start_run(Import.objects.get(), by="ida")


def _command(*arguments: str) -> None:
    from django.core.management import call_command

    call_command("import_subscribers", *arguments)


def _work() -> None:
    from newsletter.worker import steps

    while steps._import_subscribers():
        pass


def _lapse() -> None:
    from django.db.models import F

    from subscribers.imports.engine import LEASE
    from subscribers.models import Import

    stored = Import.objects.get(heartbeat_at__isnull=False)
    Import.objects.update(heartbeat_at=F("heartbeat_at") - 2 * LEASE)
    print(json.dumps({"state": stored.state, "read": stored.row_count, "done": stored.done_count, "pk": stored.pk}))


def _differences(count: int) -> None:
    """Print what differs, at most ten of each kind."""
    from subscribers.models import Import, Suppression, fingerprint

    wanted, found = dict(expected(count)), _found()
    differing = [key for key in wanted.keys() | found.keys() if wanted.get(key) != found.get(key)]
    reasons = {
        fingerprint(address_of(number)): "hard_bounce" if kind == BOUNCED else "complaint"
        for kind in (BOUNCED, COMPLAINED, SUPPRESSED_HERE)
        for number in range(kind, count, 100)
    }
    suppressed = dict(Suppression.objects.values_list("fingerprint", "reason"))
    stored = Import.objects.get()
    outcomes = {outcome: sum(rows.values()) for outcome, rows in stored.outcomes.items()}
    differences = {
        "subscribers": [(key, wanted.get(key), str(found.get(key))) for key in differing[:10]],
        "suppressions": list(reasons.items() ^ suppressed.items())[:10],
        "outcomes": [] if outcomes == expected_counts(count) else outcomes,
        "state": "" if stored.state == "finished" else stored.state,
    }
    print(json.dumps({kind: value for kind, value in differences.items() if value}, default=list))


def _found() -> dict[str, Expected]:
    from subscribers.models import Consent, Subscription, SubscriptionTag

    consents: dict[str, list[str]] = {}
    for canonical, kind in Consent.objects.values_list("subscription__subscriber__canonical", "kind").iterator():
        consents.setdefault(canonical, []).append(kind)
    tags: dict[str, list[str]] = {}
    named = SubscriptionTag.objects.values_list("subscription__subscriber__canonical", "tag__name")
    for canonical, name in named.iterator():
        tags.setdefault(canonical, []).append(name)
    rows = Subscription.objects.values_list("subscriber__canonical", "state").iterator()
    return {
        canonical: Expected(state, tuple(consents.pop(canonical, ())), frozenset(tags.pop(canonical, ())))
        for canonical, state in rows
    }


def _arm(kill_at: str) -> None:
    """Let this process kill itself when a step is reached for the nth time."""
    from subscribers.imports import engine
    from subscribers.imports.chunk import Chunk

    name, times, *later = kill_at.split(":")
    owner, step = {"read": (engine, "store_rows"), "write": (Chunk, "_add_tags"), "check": (Chunk, "counts")}[name]
    original: Callable[..., Any] = getattr(owner, step)
    reached = 0

    def counted(*arguments: Any) -> Any:
        nonlocal reached
        reached += 1
        if reached == int(times):
            if not later:
                os.kill(os.getpid(), signal.SIGKILL)
            threading.Timer(float(later[0]), os.kill, (os.getpid(), signal.SIGKILL)).start()
        return original(*arguments)

    setattr(owner, step, counted)


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    import django

    django.setup()
    from subscribers.imports import engine

    if "CHUNK" in os.environ:
        engine.CHUNK.update(dict.fromkeys(engine.CHUNK, int(os.environ["CHUNK"])))
    if os.environ.get("KILL_AT"):
        _arm(os.environ["KILL_AT"])
    program, *arguments = sys.argv[1:]
    if program == "prepare":
        _prepare(int(arguments[0]))
    elif program == "start":
        _start()
    elif program == "command":
        _command(*arguments)
    elif program == "work":
        _work()
    elif program == "lapse":
        _lapse()
    else:
        _differences(int(arguments[0]))
