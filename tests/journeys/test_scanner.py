"""A mail filter opens every link of every mail on the web server as shipped: no table changes, except for its hits."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from subscribers.consent.tokens import Purpose
from tests.faults.judge import rows_of, snapshot_of
from tests.installation import SeparateInstallation, separate_installation, wait_until
from tests.newsletter.engagement.logs import CHROME
from tests.raw_http import Answer, RawClient, head_of, send

pytestmark = pytest.mark.processes

#: Hits, and their counts.
OF_HITS = {"newsletter_hit", "newsletter_engagementcounter"}

TABLES = {
    "sqlite": "SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'sqlite_sequence'",
    "postgresql": "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'",
}

PROGRAM = ("-m", "tests.journeys.scanned_links")


def contents(installation: SeparateInstallation) -> dict[str, list[str]]:
    """All rows of all tables that are not about hits."""
    database = installation.environment["DATABASE_URL"]
    tables = {name for (name,) in rows_of(database, TABLES[database.partition(":")[0]])} - OF_HITS
    names = sorted(tables)
    found = snapshot_of(database, *(f'SELECT * FROM "{name}"' for name in names))
    return {name: sorted(map(repr, rows)) for name, rows in zip(names, found, strict=True)}


def fetch(client: RawClient, method: str, path: str) -> Answer:
    with client.connect() as connection:
        head = head_of(method, path, {"Host": client.host, "Connection": "close", "User-Agent": CHROME})
        return send(connection, head + b"\r\n")


def in_installation(installation: SeparateInstallation, name: str) -> Any:
    return json.loads(installation.run(*PROGRAM, name))


def test_a_scanner_that_opens_every_link_changes_nothing_but_the_hits_of_machines(tmp_path: Path) -> None:
    with separate_installation(tmp_path) as installation:
        site = installation.environment["SITE_URL"]
        paths = [urlsplit(url).path for url in in_installation(installation, "make") if url.startswith(site)]
        assert {path.split("/")[1] for path in paths} >= {*Purpose, "l", "harbour-notes"}
        client = RawClient(site)
        installation.processes.start_web()
        before = contents(installation)
        answers = [fetch(client, method, path) for method in ("HEAD", "GET", "GET") for path in paths]
        assert {answer.status for answer in answers} == {200, 302}
        assert not [answer for answer in answers if "set-cookie" in answer.headers]
        got = 2 * sum(path.startswith("/l/") for path in paths)
        count = "SELECT count(*) FROM newsletter_hit"
        database = installation.environment["DATABASE_URL"]
        wait_until(lambda: rows_of(database, count) == [(got,)], "every GET of a wrapped link is a hit")
        assert in_installation(installation, "judge") == {"hits": got, "humans": 0}
        assert contents(installation) == before
