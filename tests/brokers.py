"""Brokers for tests: Redis and RabbitMQ from Debian's packages, on free ports of 127.0.0.1, in temporary directories.

If a program is missing, the test is skipped with the reason, or fails if CI is set.
"""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from newsletter.demo.environment import free_port
from tests.installation import wait_until

#: The scripts on the PATH work for root and one account only; these work for any account.
RABBITMQ_PROGRAMS = Path("/usr/lib/rabbitmq/bin")


@contextmanager
def redis_broker(port: int = 0) -> Iterator[str]:
    """A Redis without persistence, on `port` or a free one; yields its URL."""
    program, port = _required(shutil.which("redis-server"), "redis-server"), port or free_port(0)
    with _directory() as folder:
        command = [program, "--port", str(port), "--bind", "127.0.0.1", "--dir", str(folder)]
        with _running([*command, "--save", "", "--appendonly", "no"], folder, {}):
            wait_until(lambda: _answers(port), "Redis answers", 20)
            yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def rabbitmq_broker(port: int = 0) -> Iterator[str]:
    """A RabbitMQ node on `port` or a free one, with an Erlang port mapper of its own; yields its URL."""
    script = RABBITMQ_PROGRAMS / "rabbitmq-server"
    program = _required(str(script) if script.exists() else shutil.which("rabbitmq-server"), "rabbitmq-server")
    port, mapper = port or free_port(0), free_port(0)
    with _directory() as folder:
        settings = {
            "HOME": str(folder),
            "RABBITMQ_NODENAME": f"newsletter-{port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(port),
            "RABBITMQ_DIST_PORT": str(free_port(0)),
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "-kernel inet_dist_use_interface {127,0,0,1}",
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "ERL_EPMD_PORT": str(mapper),
        }
        try:
            with _running([program], folder, settings):
                wait_until(lambda: _answers(port), "RabbitMQ answers", 60)
                yield f"amqp://guest:guest@127.0.0.1:{port}//"
        finally:
            # The node starts the port mapper as a daemon, which does not end with it.
            subprocess.run(["epmd", "-port", str(mapper), "-kill"], capture_output=True)


def _required(program: str | None, name: str) -> str:
    if program:
        return program
    reason = f"{name} is not installed here"
    if os.environ.get("CI"):
        pytest.fail(reason)
    pytest.skip(reason)


@contextmanager
def _directory() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="newsletter-broker-") as name:
        yield Path(name)


@contextmanager
def _running(command: list[str], folder: Path, settings: Mapping[str, str]) -> Iterator[None]:
    user = _unprivileged(folder)
    environment = {"PATH": os.environ["PATH"], "LC_ALL": "C.UTF-8", **settings}
    with (folder / "output.log").open("wb") as log:
        process = subprocess.Popen(
            command, user=user, group=user, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log
        )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _unprivileged(folder: Path) -> int | None:
    """The account to run as. The servers refuse root, which hands the directory to an account without rights."""
    if os.geteuid() != 0:
        return None
    account = pwd.getpwnam("nobody").pw_uid
    os.chown(folder, account, -1)
    folder.chmod(0o755)
    return account


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
