"""Links in mails outlive what breaks: they lead on without a worker, and without the database, also after a restart."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests import postgresql
from tests.installation import SeparateInstallation, separate_installation, wait_until
from tests.raw_http import Answer, RawClient

pytestmark = [pytest.mark.processes, pytest.mark.own_database]

TARGET = "https://harbour.example/cranes/1"


def in_installation(installation: SeparateInstallation, name: str) -> Any:
    return json.loads(installation.run("-m", "tests.journeys.wrapped_links", name))


def leads_on(answer: Answer) -> bool:
    return (answer.status, answer.headers.get("location")) == (302, TARGET)


def test_links_lead_on_while_the_database_is_stopped_and_after_a_restart(tmp_path: Path) -> None:
    programs = postgresql.server_programs()
    if programs is None:
        assert "CI" not in os.environ, "PostgreSQL's server programs are missing."
        pytest.skip("PostgreSQL's server programs are not installed.")
    with postgresql.stoppable_cluster(programs) as database:
        installation = SeparateInstallation(tmp_path, database.url)
        installation.run("manage.py", "migrate", "--verbosity", "0")
        paths = in_installation(installation, "make").values()
        client = RawClient(installation.environment["SITE_URL"])
        with installation.processes:
            web = installation.processes.start_web()
            assert all(leads_on(client.get(path)) for path in paths)
            wait_until(lambda: in_installation(installation, "hits") == 2, "both hits are stored")

            database.stop()
            answers = [client.get(path) for path in (*paths, *paths)]
            assert all(map(leads_on, answers))
            assert max(answer.seconds for answer in answers) < 1.0
            web.terminate()
            web.wait()
            installation.processes.start_web()
            assert all(leads_on(client.get(path)) for path in paths), "from the files"
            assert client.get("/l/damaged").status == 404

            database.start()
            assert all(leads_on(client.get(path)) for path in paths)
            # Four at least: those that waited while the server came back are stored, too.
            wait_until(lambda: in_installation(installation, "hits") >= 4, "hits are stored again")


def test_a_server_that_stops_stores_the_hits_that_wait(tmp_path: Path) -> None:
    with separate_installation(tmp_path) as installation:
        path = in_installation(installation, "make")["own"]
        client = RawClient(installation.environment["SITE_URL"])
        web = installation.processes.start_web()
        assert all(leads_on(client.get(path)) for _ in range(50))
        web.terminate()
        assert web.wait() == 0
        assert in_installation(installation, "hits") == 50
