"""Two connections to one database, for tests of races on PostgreSQL."""

from __future__ import annotations

import threading
from collections.abc import Callable

from django.db import connection


def waits_for_a_lock() -> bool:
    """Whether a connection to this database waits for another one."""
    with connection.cursor() as cursor:
        # In a transaction, the first answer would be repeated.
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
        )
        return bool(cursor.fetchone()[0])


def in_a_thread(function: Callable[[], object]) -> threading.Thread:
    """Run it beside the test, on a connection of its own."""

    def run() -> None:
        try:
            function()
        finally:
            connection.close()

    thread = threading.Thread(target=run)
    thread.start()
    return thread
