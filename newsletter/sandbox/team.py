"""One team: everything that Resend shares within a team."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence

from newsletter.sandbox.bodies import Bodies
from newsletter.sandbox.database import Database, Stopping
from newsletter.sandbox.endpoint import Endpoint
from newsletter.sandbox.events import OF_RECEIVED, Events
from newsletter.sandbox.faults import FaultQueue
from newsletter.sandbox.idempotency import IdempotencyKeys
from newsletter.sandbox.ledger import Ledger, LedgerMail
from newsletter.sandbox.limiter import RateLimiter
from newsletter.sandbox.options import RECEIVED_EVENT, SandboxOptions
from newsletter.sandbox.outcomes import PlannedEvent
from newsletter.sandbox.received import Received, ReceivedFile, event_data
from newsletter.sandbox.suppressions import Suppressions
from newsletter.sandbox.validation import Mail


class Team:
    """Options, clock and stores. `options` may be replaced while the server runs."""

    def __init__(self, options: SandboxOptions, clock: Callable[[], float]) -> None:
        self.options = options
        self.clock = clock
        self.database = Database(options.ledger)
        self.bodies = Bodies(self.database)
        self.ledger = Ledger(self.database, self.bodies)
        self.events = Events(self.database)
        self.endpoint = Endpoint(self.database, clock())
        self.suppressions = Suppressions(self.database)
        self.received = Received(self.database)
        self.keys = IdempotencyKeys(self.database, self.bodies)
        self.limiter = RateLimiter(clock)
        self.faults = FaultQueue()
        self.stopping = threading.Event()

    def stop(self) -> None:
        """Wake all waiting threads, because the server stops."""
        self.stopping.set()
        with self.database.changed:
            self.database.changed.notify_all()

    def pause(self, seconds: float) -> None:
        """Wait in real time. Raises Stopping if the server stops meanwhile."""
        if seconds and self.stopping.wait(seconds):
            raise Stopping

    def trigger(self, mail: LedgerMail, event: PlannedEvent) -> None:
        """Trigger an event for an accepted mail now, as the buttons of the inbox do."""
        self.plan(mail.number, mail.id, mail.address, [event], self.clock())

    def receive(
        self, sender: str, to: Sequence[str], subject: str, files: Sequence[ReceivedFile], original: bytes | None = None
    ) -> str:
        """Receive a mail: store it, and plan its event. Returns its id."""
        now = self.clock()
        with self.database.transaction():
            uid = self.received.add(sender=sender, to=to, subject=subject, files=files, original=original, now=now)
            mail = self.received.mail(uid)
            assert mail is not None  # noqa: S101 - for the type checker: it was just stored
            data = event_data(mail, self.received.files(mail)[0])
            self.events.plan(OF_RECEIVED, [PlannedEvent(RECEIVED_EVENT, 0.0, data)], now, self.options)
        return uid

    def plan(self, number: int, uid: str, address: str, planned: list[PlannedEvent], start: float) -> None:
        """Store the events of a mail. Bounces and complaints suppress the address from their time on."""
        with self.database.transaction():
            for event, happens_at in self.events.plan(number, planned, start, self.options):
                if event.origin:
                    self.suppressions.add(address, event.origin, happens_at, uid)


def addresses_of(mails: list[Mail]) -> list[str]:
    """The bare addresses of all recipients of these mails."""
    return [address for mail in mails for address, _field in mail.recipients]
