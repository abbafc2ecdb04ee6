"""A local server that implements Resend's API, records the mails it accepts in a ledger, and shows them in an inbox.

It replaces Resend in development, in the demo and in tests. It does not import the rest of the project: standard
library, orjson and zstandard only.

How a call is handled, by module::

    server ──► api ──► sending ──► acceptance ──► ledger, events, suppressions, idempotency   (one transaction)
    sockets    key     key held    quota,             │
               rate    validation  outcomes           └──► webhooks: signed posts, retries
               faults
           ├─► control     /sandbox/…: ledger, faults, replay
           └─► inbox       pages that show the mails and trigger events

All stores share one SQLite `database` and belong to one `team`. `faults` change answers, never the ledger.
"""

from newsletter.sandbox.faults import Fault
from newsletter.sandbox.options import SandboxOptions
from newsletter.sandbox.received import ReceivedFile
from newsletter.sandbox.server import SandboxServer

__all__ = ["Fault", "ReceivedFile", "SandboxOptions", "SandboxServer"]
