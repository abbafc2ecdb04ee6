"""The demo's environment: a folder with its own database and secrets, and the settings that use them.

It runs before Django does, so it imports nothing of the project but the configuration.
"""

from __future__ import annotations

import secrets
import socket
from dataclasses import dataclass
from pathlib import Path

from newsletter.config.configuration import PROJECT_ROOT, Configuration
from newsletter.config.environment import ENV_FILE_VARIABLE

WEB_PORT, SANDBOX_PORT = 8000, 8026

#: Generated once per demo folder, so that links in mails of an earlier run still work.
SECRETS = ("SECRET_KEY", "SUPPRESSION_SECRET")


@dataclass(frozen=True, slots=True)
class DemoEnvironment:
    """One demo installation. With `once` it has another folder, whose database is deleted at each run."""

    once: bool = False

    @property
    def folder(self) -> Path:
        """The folder for everything that the demo writes."""
        return PROJECT_ROOT / "var" / "demo" / ("once" if self.once else "site")

    def prepare(self, *, reset: bool = False) -> dict[str, str]:
        """Create the folder and return the environment variables of the demo's processes.

        Every setting has a value, so that the caller's own environment, such as a real database, is not used.
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
            "LINK_TABLES_DIR": str(self.folder / "links"),
            "MEDIA_ROOT": str(self.folder / "media"),
            "ENVIRONMENT": "demo",
            "PROVIDER": "sandbox",
            "ALLOWED_HOSTS": "localhost",
            "TRUSTED_PROXIES": "0",
            "DEBUG": "false",
            "LOG_LEVEL": "INFO",
            # One send that is reported at its end needs no undo window.
            **({"UNDO_SECONDS": "0"} if self.once else {}),
            **{name: self._secret(name) for name in SECRETS},
        }

    def _secret(self, name: str) -> str:
        path = self.folder / name.lower()
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(secrets.token_urlsafe(50))
        return path.read_text()


def free_port(preferred: int) -> int:
    """`preferred` on 127.0.0.1 if it is free, otherwise any free port."""
    for port in (preferred, 0):
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("No free port on 127.0.0.1.")
