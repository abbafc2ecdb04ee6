"""Links that lead through the site: how long a real web server takes to lead on, while it records each click.

`gunicorn` with gunicorn.conf.py on SQLite, over HTTP on this machine; client and server share the cores.
"""

from __future__ import annotations

import http.client
import json
import statistics
import tempfile
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.benchmarks.rows import Row
from tests.installation import separate_installation

CLICKS = 2_000


def measure() -> list[Row]:
    """Milliseconds from the request to the end of the answer, and how many of the clicks are stored in the end."""
    with tempfile.TemporaryDirectory() as folder, separate_installation(Path(folder)) as installation:
        paths = json.loads(installation.run("-m", "tests.journeys.wrapped_links", "make"))
        web = installation.processes.start_web()
        host = urlsplit(installation.environment["SITE_URL"]).netloc
        rows = []
        for name, path in (("the same for all", paths["shared"]), ("of one subscriber", paths["own"])):
            seconds = sorted(_follow(host, path))
            rows += [
                Row(f"follow a link, {name}: median", 1000 * statistics.median(seconds), "ms", "<= 5"),
                Row(f"follow a link, {name}: 99 of 100", 1000 * seconds[len(seconds) * 99 // 100], "ms"),
            ]
        web.terminate()
        web.wait()
        stored = json.loads(installation.run("-m", "tests.journeys.wrapped_links", "hits"))
        return [*rows, Row("clicks stored", float(stored), f"of {2 * CLICKS:,}")]


def _follow(host: str, path: str) -> list[float]:
    connection = http.client.HTTPConnection(host)
    seconds = []
    for _ in range(CLICKS):
        began = time.perf_counter()
        connection.request("GET", path, headers={"User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Firefox/140.0"})
        answer = connection.getresponse()
        answer.read()
        seconds.append(time.perf_counter() - began)
        assert answer.status == 302
    connection.close()
    return seconds
