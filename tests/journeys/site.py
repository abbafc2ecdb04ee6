"""A running site for tests of its web server: a database, gunicorn with gunicorn.conf.py, and a client."""

from __future__ import annotations

import copy
import itertools
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.installation import PreparedSite, SeparateInstallation, separate_installation
from tests.raw_http import Answer, RawClient, webhook_headers

PASSWORD = "quay-side-lantern-7"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
ONE_CLICK = b"List-Unsubscribe=One-Click"
EVENT = b'{"type": "email.delivered", "created_at": "2026-11-20T07:00:00Z", "data": {}}'


class Site:
    """A running site with ten subscribers; `workers` are its server processes."""

    def __init__(self, installation: SeparateInstallation, prepared: PreparedSite, server: int) -> None:
        self.installation, self.webhook_secret, self._server = installation, prepared.webhook_secret, server
        self.client = RawClient(installation.environment["SITE_URL"])
        self._paths = iter(prepared.unsubscribe)
        self._events = itertools.count(1)
        #: The paths of one-click posts so far.
        self.one_clicks: list[str] = []

    def beside(self, port: int) -> Site:
        """The same site on another port, where no server runs yet. It shares the subscribers that are left."""
        other = copy.copy(self)
        other.client = RawClient(f"http://127.0.0.1:{port}")
        return other

    def answers(self) -> bool:
        """Whether a server answers."""
        try:
            return self.client.get("/healthz").status == 200
        except OSError:
            return False

    def one_click(self) -> Answer:
        """Unsubscribe the next subscriber."""
        self.one_clicks.append(next(self._paths))
        return self.client.post_in_chunks(self.one_clicks[-1], ONE_CLICK, FORM)

    def webhook(self) -> Answer:
        """Deliver a new event."""
        headers = webhook_headers(self.webhook_secret, EVENT, f"msg_{next(self._events)}")
        return self.client.post_in_chunks("/webhooks/resend/", EVENT, headers)

    def unsubscribed(self) -> int:
        """How many subscribers are unsubscribed."""
        states = json.loads(self.installation.run("-m", "tests.installation", "states"))
        return int(states.get("unsubscribed", 0))

    def workers(self) -> set[int]:
        """The ids of the server's processes."""
        listed = Path(f"/proc/{self._server}/task/{self._server}/children").read_text()
        return {int(pid) for pid in listed.split()}

    def log(self) -> str:
        """What the server has logged."""
        return (self.installation.processes.logs / "web.log").read_text(errors="replace")


@contextmanager
def running_site(folder: Path) -> Iterator[Site]:
    """A site with a newsletter, ten subscribers and an administrator."""
    with separate_installation(folder) as installation:
        installation.environment["DJANGO_SUPERUSER_PASSWORD"] = PASSWORD
        account = ("--username", "edda", "--email", "edda@example.org")
        installation.run("manage.py", "createsuperuser", "--noinput", *account)
        prepared = installation.prepare_site(10)
        yield Site(installation, prepared, installation.processes.start_web().pid)
