"""Where the demo lives: a folder with its own database and secrets, and the environment that points to them.

Runs before Django does, so it imports nothing of the project but the configuration.
"""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from newsletter.config.configuration import PROJECT_ROOT, Configuration
from newsletter.config.environment import ENV_FILE_VARIABLE

WEB_PORT, SANDBOX_PORT = 8000, 8026

#: Made once per demo folder, so that links in mails of an earlier run still work.
SECRETS = ("SECRET_KEY", "SUPPRESSION_SECRET")


@dataclass(frozen=True, slots=True)
class DemoHome:
    """One demo installation. `once` has a folder of its own, emptied at each run, so that its numbers add up."""

    once: bool = False

    @property
    def folder(self) -> Path:
        """Everything the demo writes is in here."""
        return PROJECT_ROOT / "var" / "demo" / ("once" if self.once else "site")

    def prepare(self, *, reset: bool = False) -> dict[str, str]:
        """Make the folder and return the whole environment of the demo's processes.

        Every setting is named, so that nothing of the caller's own environment (a real database, a real key) gets in.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        if reset or self.once:
            for path in self.folder.glob("*.sqlite3*"):
                path.unlink()
        return {
            **dict.fromkeys((name.upper() for name in Configuration.model_fields), ""),  # empty: the default
            ENV_FILE_VARIABLE: str(self.folder / "no-other-settings"),
            "SITE_URL": f"http://127.0.0.1:{free_port(WEB_PORT)}",
            "SANDBOX_URL": f"http://127.0.0.1:{free_port(SANDBOX_PORT)}",
            "DATABASE_URL": f"sqlite:///{self.folder}/newsletter.sqlite3",
            "ENVIRONMENT": "demo",
            "PROVIDER": "sandbox",
            "ALLOWED_HOSTS": "localhost",
            "TRUSTED_PROXIES": "0",
            "DEBUG": "false",
            "LOG_LEVEL": "INFO",
            # Who sends one issue and looks at the numbers wants them now.
            **({"UNDO_SECONDS": "0"} if self.once else {}),
            **{name: self._secret(name) for name in SECRETS},
        }

    def _secret(self, name: str) -> str:
        path = self.folder / name.lower()
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(50))
        return path.read_text()


def free_port(wanted: int) -> int:
    """`wanted` on 127.0.0.1 if nobody has it, else any free port."""
    for port in (wanted, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("No free port on 127.0.0.1.")
