"""A local server that speaks Resend's API, keeps a ledger of what it accepted and shows it in an inbox.

It stands in for Resend in development, in the demo and as the peer of the tests. It knows nothing of the rest of
the project: standard library, orjson and zstandard only.
"""

from newsletter.sandbox.faults import Fault
from newsletter.sandbox.options import SandboxOptions
from newsletter.sandbox.server import SandboxServer

__all__ = ["Fault", "SandboxOptions", "SandboxServer"]
