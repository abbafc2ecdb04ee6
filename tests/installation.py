"""A separate installation for tests: its own database and processes, with real HTTP between them.

Run as a program inside the environment of the installation, this module fills the database or reports its contents:
`python -m tests.installation seed 2000`, `… newsletter`, `… site 3`, `… states`, `… events`, `… signup ada`, `… stop`,
`… report`.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.demo.environment import free_port
from newsletter.demo.processes import Installation


@dataclass(frozen=True)
class PreparedSite:
    """What a client of the site needs: the unsubscribe paths of subscribers, and the signing secret of webhooks."""

    unsubscribe: list[str]
    webhook_secret: str


class SeparateInstallation:
    """One installation: `processes` can be started and killed, `run` starts programs inside it."""

    def __init__(self, folder: Path, database_url: str) -> None:
        self.environment = {
            "PATH": os.environ["PATH"],
            "UNDO_SECONDS": "0",
            "NEWSLETTER_ENV_FILE": os.devnull,
            "SITE_URL": f"http://127.0.0.1:{free_port(0)}",
            "SANDBOX_URL": f"http://127.0.0.1:{free_port(0)}",
            "SECRET_KEY": "outside-" + "k" * 50,
            "SUPPRESSION_SECRET": "outside-" + "s" * 32,
            "DATABASE_URL": database_url,
            "LINK_TABLES_DIR": str(folder / "links"),
            "MEDIA_ROOT": str(folder / "media"),
            "ENVIRONMENT": "outside",
            "PYTHONPATH": str(PROJECT_ROOT),
        }
        self.processes = Installation(
            site_url=self.environment["SITE_URL"],
            sandbox_url=self.environment["SANDBOX_URL"],
            logs=folder,
            root=PROJECT_ROOT,
            environment=self.environment,
        )

    def run(self, *arguments: str) -> str:
        """Run a program of the project inside the installation; its output. A failure shows its errors."""
        done = subprocess.run(
            [sys.executable, *arguments], cwd=PROJECT_ROOT, env=self.environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def prepare_site(self, subscribers: int) -> PreparedSite:
        """Make a newsletter with so many active subscribers."""
        prepared = json.loads(self.run("-m", "tests.installation", "site", str(subscribers)))
        return PreparedSite(**prepared)

    def report(self) -> dict[str, Any]:
        """The state and the counts of the only send."""
        result: dict[str, Any] = json.loads(self.run("-m", "tests.installation", "report"))
        return result

    def sandbox(self, path: str, body: object = None, method: str | None = None) -> dict[str, Any]:
        """Send a request to the sandbox: POST with a body, else GET, or `method`."""
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"} if data else {}
        request = urllib.request.Request(
            self.environment["SANDBOX_URL"] + path, data=data, headers=headers, method=method
        )
        with urllib.request.urlopen(request, timeout=30) as answer:
            result: dict[str, Any] = json.load(answer)
        return result

    def messages(self) -> int:
        """The number of mails that the sandbox has accepted."""
        return int(self.sandbox("/sandbox/ledger")["messages"])


def wait_until(condition: Callable[[], bool], what: str, seconds: float = 60.0) -> None:
    """Return as soon as `condition` is true; fail with `what` after `seconds`."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"Timed out after {seconds:.0f} s, waiting until {what}."
        time.sleep(0.02)


@contextmanager
def separate_installation(folder: Path) -> Iterator[SeparateInstallation]:
    """An installation on the database system that the tests use: a SQLite file, or a new PostgreSQL database."""
    with migrated_database(folder) as url:
        installation = SeparateInstallation(folder, url)
        with installation.processes:
            yield installation


@contextmanager
def migrated_database(folder: Path) -> Iterator[str]:
    """The URL of a database with all tables: a copy, since migrating takes seconds."""
    server = os.environ.get("TEST_DATABASE_URL", "")
    if not server:
        target = folder / "outside.sqlite3"
        _copy_migrated_file(target)
        yield f"sqlite:///{target}"
        return
    template = _migrated_template(server, folder)
    with new_database(folder, f"TEMPLATE {template}") as url:
        yield url


def _copy_migrated_file(target: Path) -> None:
    """Copy an SQLite file that is made once for these sources. Other runs wait, and may then replace the file."""
    folder = PROJECT_ROOT / "var" / "tests"
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"migrated-{_sources()}.sqlite3"
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not path.exists():
            for former in folder.glob("migrated-*"):
                former.unlink()
            # A folder of its own: beside a new file, SQLite would read the write-ahead log of a run that was killed.
            with tempfile.TemporaryDirectory(dir=folder) as fresh:
                unfinished = Path(fresh) / "unfinished.sqlite3"
                _migrate(Path(fresh), f"sqlite:///{unfinished}")
                with closing(sqlite3.connect(unfinished)) as connection:
                    # Everything into the one file.
                    connection.execute("PRAGMA journal_mode = DELETE")
                unfinished.rename(path)
        shutil.copyfile(path, target)


def _migrated_template(server: str, folder: Path) -> str:
    """A database of this server that is made once for these sources."""
    import psycopg

    name = f"migrated_{_sources()}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(hashtext('migrated'))")
        if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone():
            connection.execute("DROP DATABASE IF EXISTS migrated_unfinished")
            connection.execute("CREATE DATABASE migrated_unfinished")
            _migrate(folder, server.rpartition("/")[0] + "/migrated_unfinished")
            connection.execute(f"ALTER DATABASE migrated_unfinished RENAME TO {name}")
    return name


def _migrate(folder: Path, url: str) -> None:
    SeparateInstallation(folder, url).run("manage.py", "migrate", "--verbosity", "0")


@cache
def _sources() -> str:
    """A hash of the code: migrations, and what is done after them."""
    digest = hashlib.sha256()
    for package in ("newsletter", "subscribers"):
        for path in sorted((PROJECT_ROOT / package).rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


@contextmanager
def new_database(folder: Path, options: str = "") -> Iterator[str]:
    """The URL of an empty database on the system that the tests use; `options` of PostgreSQL's CREATE DATABASE."""
    server = os.environ.get("TEST_DATABASE_URL", "")
    if not server:
        yield f"sqlite:///{folder}/outside.sqlite3"
        return
    import psycopg

    name = f"outside_{uuid.uuid4().hex[:12]}"
    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} {options}")
        yield server.rpartition("/")[0] + f"/{name}"
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


def _seed(subscribers: int) -> None:
    from newsletter.sending.schedule import send_now
    from subscribers.imports.confirmed import import_confirmed
    from tests.publications import make_issue

    issue = make_issue(stories=31)
    addresses = (f"reader-{number}@readers.example" for number in range(subscribers))
    import_confirmed(issue.newsletter, addresses, proof="Made for a test.")
    send_now(issue, by="tests")


def _prepare_site(subscribers: int) -> None:
    from django.conf import settings

    from subscribers.consent.tokens import unsubscribe_url
    from subscribers.imports.confirmed import import_confirmed
    from subscribers.models import Subscription
    from tests.publications import make_newsletter

    addresses = [f"reader-{number}@readers.example" for number in range(subscribers)]
    import_confirmed(make_newsletter(), addresses, proof="Made for a test.")
    urls = [unsubscribe_url(key) for key in Subscription.objects.order_by("pk").values_list("key", flat=True)]
    paths = [url.removeprefix(settings.SITE_URL) for url in urls]
    print(json.dumps({"unsubscribe": paths, "webhook_secret": settings.WEBHOOK_SECRETS[0]}))


def _count_by_state() -> None:
    from django.db.models import Count

    from subscribers.models import Subscription

    rows = Subscription.objects.order_by().values_list("state").annotate(Count("pk"))
    print(json.dumps(dict(rows)))


def _list_events() -> None:
    from newsletter.models import Event

    print(json.dumps(list(Event.objects.order_by("pk").values_list("event_id", flat=True))))


def _sign_up(name: str) -> None:
    from newsletter.models import Newsletter
    from subscribers.addresses import parse_address
    from subscribers.models import Evidence
    from subscribers.signup.queue import store_signup

    store_signup(Newsletter.objects.get(), parse_address(f"{name}@readers.example"), Evidence(form="tests"))


def _stop_all_sending() -> None:
    """Print how many mails the sandbox has accepted at the moment of the stop."""
    from django.conf import settings

    from newsletter.sending.switch import stop_all_sending

    stop_all_sending(by="tests", text="The API key leaked.")
    with urllib.request.urlopen(f"{settings.SANDBOX_URL}/sandbox/ledger", timeout=30) as answer:
        print(json.load(answer)["messages"])


def _resume() -> None:
    """Resume sending, and each send that is paused."""
    from newsletter.models import Send, SendState
    from newsletter.sending.control import resume_send
    from newsletter.sending.switch import resume_sending

    resume_sending(by="tests")
    for send in Send.objects.filter(state=SendState.PAUSED):
        resume_send(send, by="tests")


def _age() -> None:
    """Let two hours pass since the last attempt of held batches."""
    from datetime import timedelta

    from django.utils import timezone

    from newsletter.models import Batch, BatchState

    Batch.objects.filter(state=BatchState.HELD).update(last_attempt_at=timezone.now() - timedelta(hours=2))


def _report() -> None:
    from dataclasses import asdict

    from newsletter.models import Send
    from newsletter.reports.statistics import report_of

    send = Send.objects.get()
    print(json.dumps({"state": send.state, **asdict(report_of(send))}))


if __name__ == "__main__":
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "newsletter.settings")
    import django

    django.setup()
    if sys.argv[1] == "seed":
        _seed(int(sys.argv[2]))
    elif sys.argv[1] == "newsletter":
        from tests.publications import make_newsletter

        make_newsletter()
    elif sys.argv[1] == "site":
        _prepare_site(int(sys.argv[2]))
    elif sys.argv[1] == "states":
        _count_by_state()
    elif sys.argv[1] == "events":
        _list_events()
    elif sys.argv[1] == "signup":
        _sign_up(*sys.argv[2:])
    elif sys.argv[1] == "stop":
        _stop_all_sending()
    elif sys.argv[1:] == ["resume", "age"]:
        _resume()
        _age()
    else:
        _report()
