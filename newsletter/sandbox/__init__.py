"""A local server that speaks Resend's API, keeps a ledger of what it accepted and shows it in an inbox.

It stands in for Resend in development, in the demo and as the peer of the tests. It knows nothing of the rest of
the project: standard library, orjson and zstandard only.

The way of a call, and the rooms that it passes::

    server ──► api ──► sending ──► acceptance ──► ledger, events, suppressions, idempotency   (one transaction)
    sockets    key     key held    quota,             │
               rate    validation  outcomes           └──► webhooks: signed posts, retries
               faults
           ├─► control     /sandbox/…: ledger, faults, replay
           └─► inbox       pages to read the mails and to let something happen to them

Stores share one SQLite `database` and belong to one `team`; `faults` spoil answers, never the ledger.
"""

from newsletter.sandbox.faults import Fault
from newsletter.sandbox.options import SandboxOptions
from newsletter.sandbox.server import SandboxServer

__all__ = ["Fault", "SandboxOptions", "SandboxServer"]
