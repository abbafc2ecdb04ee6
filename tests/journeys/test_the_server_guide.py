"""The commands of “On a server” in docs/run-it.md, one after the other, on a machine in a folder."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import urllib.parse
from collections.abc import Iterator
from pathlib import Path

import pytest

from newsletter.config.configuration import PROJECT_ROOT
from newsletter.demo.environment import free_port
from tests.machine import STAND_INS, Machine, programs_of, stop_all
from tests.postgresql import cluster, server_programs

pytestmark = [pytest.mark.processes, pytest.mark.own_database]

GUIDE = (PROJECT_ROOT / "docs" / "run-it.md").read_text(encoding="utf-8")

#: Places of a real machine, which are folders of the test.
PLACES = ("/srv/newsletter", "/etc/systemd/system", "/etc/nginx", "/var/www")

#: Commands that are not run, with the reason.
NOT_RUN = {
    "sudo -u newsletter .venv/bin/python manage.py configure": "it asks; tests/newsletter/commands answers it",
}

#: Commands that may end with another status than 0, with the reason.
ALLOWED_STATUS = {"manage.py doctor": "1 means that something is missing: there is no newsletter yet"}

#: Seconds for all commands.
TIMEOUT = 300

#: An account without any rights, for tests that run as root.
NOBODY = 65534

PROGRAMS = ("git", "curl", "openssl", "createuser", "nginx")


def commands_of(section: str) -> list[str]:
    """Every line of the fenced blocks of a section, in order, without the comment at its end."""
    start = GUIDE.index(f"## {section}\n")
    text = GUIDE[start : GUIDE.index("\n## ", start)]
    blocks = re.findall(r"^```\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    return [re.sub(r"\s+# .*", "", line) for block in blocks for line in block.splitlines()]


def interpreter() -> tuple[list[str], int | None]:
    """How an account without rights can run Python with our packages, and its user id; None if only we can."""
    packages = f"PYTHONPATH={sysconfig.get_path('purelib')}"
    if os.geteuid() == 0:
        same_version = f"python{sys.version_info.major}.{sys.version_info.minor}"
        for program in (os.path.realpath(sys.executable), shutil.which(same_version, path="/usr/local/bin:/usr/bin")):
            command = ["env", "-i", packages, program or "", "-c", "import django, pydantic_core, psycopg"]
            if (
                program
                and subprocess.run(command, user=NOBODY, group=NOBODY, cwd="/", capture_output=True).returncode == 0
            ):
                return [packages, program], NOBODY
    return [packages, os.path.realpath(sys.executable)], None


@pytest.fixture
def machine() -> Iterator[Machine]:
    programs = server_programs()
    missing = [name for name in PROGRAMS if shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin") is None]
    if missing or programs is None or not (PROJECT_ROOT / ".git").exists():
        assert not os.environ.get("CI"), f"missing: {missing}"
        pytest.skip(f"needs a git checkout, PostgreSQL and {', '.join(PROGRAMS)}; missing: {missing}")
    python, account = interpreter()
    # Not below pytest's own folder, which only its owner may enter.
    with tempfile.TemporaryDirectory(prefix="newsletter-machine-") as root, cluster(programs) as url:
        Path(root).chmod(0o755)
        server = urllib.parse.urlsplit(url)
        made = Machine(
            root=root,
            ports={port: free_port(0) for port in ("80", "443", "8000")},
            account=account,
            python=python,
            administrator={"PGHOST": str(server.hostname), "PGPORT": str(server.port), "PGUSER": str(server.username)},
            host="digest.example.org",
        )
        try:
            yield made
        finally:
            stop_all(made)


def make_origin(machine: Machine) -> None:
    """A repository to clone from, which belongs to the account: git refuses that of another one."""
    origin = machine.own("origin.git")
    subprocess.run(["git", "clone", "--quiet", "--bare", "--depth", "1", PROJECT_ROOT.as_uri(), origin], check=True)
    if machine.account is not None:
        subprocess.run(["chown", "-R", f"{machine.account}:{machine.account}", origin], check=True)


def script_of(machine: Machine, lines: list[str]) -> str:
    """The commands as one script, with the folder's places."""
    text = []
    for line in lines:
        if line in NOT_RUN:
            continue
        line = line.replace("https://git.example.org/newsletter.git", f"{machine.root}/origin.git")
        for place in PLACES:
            line = line.replace(place, f"{machine.root}{place}")
        if any(command in line for command in ALLOWED_STATUS):
            line += " || [ $? = 1 ]"
        text.append(line)
    return "set -eux -o pipefail\n" + "\n".join(text) + "\n"


def test_each_command_of_the_guide_works_on_a_machine_in_a_folder(machine: Machine) -> None:
    lines = commands_of("On a server")
    assert set(NOT_RUN) <= set(lines)
    folders = ("srv", "etc/systemd/system", "etc/nginx/sites-available", "etc/nginx/sites-enabled", "var/www/html")
    for folder in folders:
        machine.own(folder).mkdir(parents=True)
    make_origin(machine)
    environment = {"PATH": f"{programs_of(machine)}:/usr/local/bin:/usr/bin:/bin"}
    script = script_of(machine, lines)
    done = subprocess.run(
        ["bash"], input=script, env=environment, cwd="/", capture_output=True, text=True, timeout=TIMEOUT
    )
    logs = "".join(path.read_text(errors="replace")[-2000:] for path in machine.run.glob("*.log"))
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}\n{logs}"
    settings = machine.own("srv", "newsletter", ".env").stat()
    assert settings.st_mode & 0o777 == 0o600
    assert settings.st_uid == (machine.account or os.geteuid())
    assert "Traceback" not in logs
    assert "OK" in done.stdout, "doctor has found the worker or the database"
    assert "worker is running" in done.stdout
    assert list(machine.own("srv", "newsletter", "var").glob("newsletter-*.zip")), "the update made a backup"


def test_every_program_of_the_guide_is_real_or_listed_as_a_stand_in() -> None:
    real = {"cd", "git", "install", "cp", "ln", "tee", "sed", ".venv/bin/python"}
    for line in commands_of("On a server"):
        for part in line.split(" | "):
            words = [word for word in shlex.split(part) if "=" not in word]
            while words and words[0] in ("sudo", "-u", "newsletter", "postgres"):
                words.pop(0)
            assert not words or words[0] in real | set(STAND_INS), line
