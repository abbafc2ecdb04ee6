"""A PostgreSQL server for one run of the tests: `python -m tests.postgresql COMMAND…`.

Starts a temporary cluster on a free port of 127.0.0.1, runs the command with its URL in TEST_DATABASE_URL, and removes
the cluster. If TEST_DATABASE_URL is already set, that server is used. Without PostgreSQL's programs the run is skipped
with the reason, or fails if CI is set.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


def server_programs() -> Path | None:
    """The directory of initdb and pg_ctl: on the PATH, or where Debian installs them."""
    found = shutil.which("initdb")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"), reverse=True)
    return next((folder for folder in folders if (folder / "pg_ctl").exists()), None)


class Cluster:
    """A server in its own folder. Unless it is `durable`, it does not wait for the disk: tests need speed."""

    def __init__(self, programs: Path, folder: Path, *, durable: bool = False) -> None:
        self._programs, self._data, self._port = programs, folder / "data", _free_port()
        self._fsync = "on" if durable else "off"
        self._user = _unprivileged(folder)
        self.url = f"postgresql://tests@127.0.0.1:{self._port}/postgres"
        initdb: list[str | Path] = [programs / "initdb", "-D", self._data]
        _run([*initdb, "-U", "tests", "-A", "trust", "-E", "UTF8", "--no-sync"], self._user)

    def start(self) -> None:
        """Start the server and wait until it accepts connections."""
        options = (
            f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories= "
            f"-c fsync={self._fsync} -c max_connections=60"
        )
        self._pg_ctl("-o", options, "-l", self._data / "log", "start")

    def stop(self) -> None:
        """Stop the server at once and end all connections."""
        self._pg_ctl("-m", "immediate", "stop")

    def _pg_ctl(self, *arguments: str | Path) -> None:
        _run([self._programs / "pg_ctl", "-D", self._data, "-w", *arguments], self._user)


@contextmanager
def cluster(programs: Path, *, durable: bool = False) -> Iterator[str]:
    """A running server; yields its URL. A `durable` one waits for the disk at each commit, as in production."""
    with stoppable_cluster(programs, durable=durable) as server:
        yield server.url


@contextmanager
def stoppable_cluster(programs: Path, *, durable: bool = False) -> Iterator[Cluster]:
    """A running server, which is removed afterwards."""
    with tempfile.TemporaryDirectory(prefix="newsletter-tests-") as folder:
        server = Cluster(programs, Path(folder), durable=durable)
        server.start()
        try:
            yield server
        finally:
            server.stop()


def _unprivileged(folder: Path) -> str | None:
    """The account to run as. PostgreSQL refuses root, which hands the directory to the package's account."""
    if os.geteuid() != 0:
        return None
    shutil.chown(folder, "postgres")
    folder.chmod(0o755)
    return pwd.getpwnam("postgres").pw_name


def _run(command: list[str | Path], as_user: str | None) -> None:
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8"}
    subprocess.run(
        command, check=True, user=as_user, env=environment, cwd="/", stdout=subprocess.DEVNULL, stdin=subprocess.DEVNULL
    )


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def main(command: list[str]) -> int:
    """Run the command against PostgreSQL; its exit status."""
    if os.environ.get("TEST_DATABASE_URL"):
        return subprocess.call(command)
    programs = server_programs()
    if programs is None:
        print("Skipped: PostgreSQL's server programs (initdb, pg_ctl) are not installed.")
        return 1 if os.environ.get("CI") else 0
    with cluster(programs) as url:
        return subprocess.call(command, env={**os.environ, "TEST_DATABASE_URL": url})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
